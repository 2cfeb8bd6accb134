//! Changes of the record, each inside the writer's transaction.

use super::{StoreError, codec, read};
use crate::{
    ambient::Ambient,
    authority::{Permit, Verb},
    event::What,
    generation::Delta,
    id::{EncounterId, EncounterKey, SubjectId, WatchlistId},
    law::{Category, Nation, OwnReference},
    subject::{NewEncounter, RawFeatures},
    timestamp::Timestamp,
    watchlist::Watchlist,
};
use matcher::template::{ModelId, ModelProfile};
use rusqlite::{Connection, ToSql, params};
use std::collections::BTreeMap;

/// A change in the making: one transaction's connection and what belongs to its event.
pub(crate) struct Change<'a> {
    pub(crate) connection: &'a Connection,
    pub(crate) now: Timestamp,
    pub(crate) salt: [u8; 32],
    pub(crate) ambient: &'a Ambient,
}

/// A change made: what the caller learns, what the log learns, what the search learns.
pub(crate) struct Done<T> {
    pub(crate) outcome: T,
    pub(crate) what: What,
    pub(crate) deltas: Vec<Delta>,
}

/// A subject's row.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SubjectKey(i64);

pub(super) fn encounter_checksum(id: EncounterId, subject: SubjectId, model: &str, features: &[u8]) -> u32 {
    codec::checksum(&[&id.bytes(), &subject.bytes(), model.as_bytes(), features])
}

/// The features of an encounter as it stands in its row, if they are what was written.
pub(super) fn checked_features(
    id: EncounterId,
    subject: SubjectId,
    model: &str,
    (features, checksum): (&[u8], u32),
) -> Result<Vec<f32>, StoreError> {
    let whole = checksum == encounter_checksum(id, subject, model, features);
    let features = codec::features_from_bytes(features).filter(|_| whole);
    features.ok_or_else(|| StoreError::Damaged(format!("encounter {id} fails its checksum")))
}

pub(super) fn model_checksum(name: &str, dimension: u32, mean: Option<&[u8]>) -> u32 {
    codec::checksum(&[name.as_bytes(), &dimension.to_le_bytes(), mean.unwrap_or_default()])
}

impl Change<'_> {
    pub(crate) fn insert_model(&self, profile: &ModelProfile) -> Result<(), StoreError> {
        let mean = profile.mean().map(codec::features_to_bytes);
        let dimension = profile.dimension() as u32;
        let checksum = model_checksum(profile.id().as_str(), dimension, mean.as_deref());
        let sql = "INSERT INTO model (name, dimension, mean, checksum) VALUES (?1, ?2, ?3, ?4)";
        self.connection.execute(sql, params![profile.id().as_str(), dimension, mean, checksum])?;
        Ok(())
    }

    /// `false` when the owner has a watchlist of this name.
    pub(crate) fn insert_watchlist(&self, watchlist: &Watchlist) -> Result<bool, StoreError> {
        let policy = &watchlist.policy;
        let sql = "INSERT INTO watchlist (id, owner, name, purposes, legal_bases, handling, categories, model, \
                   threshold, retention_days, created_at) SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, key, ?9, ?10, ?11 \
                   FROM model WHERE name = ?8 ON CONFLICT (owner, name) DO NOTHING";
        let inserted = self.connection.execute(
            sql,
            params![
                watchlist.id.bytes(),
                watchlist.owner.as_str(),
                policy.name.as_str(),
                codec::words_to_text(&policy.purposes),
                codec::words_to_text(&policy.legal_bases),
                policy.handling.as_str(),
                codec::words_to_text(&policy.categories),
                policy.model.as_str(),
                policy.threshold.value(),
                policy.retention_days,
                watchlist.created_at.unix_ms(),
            ],
        )?;
        Ok(inserted == 1)
    }

    pub(crate) fn insert_subject(
        &self,
        owner: &Nation,
        reference: &OwnReference,
    ) -> Result<(SubjectId, SubjectKey), StoreError> {
        let id = SubjectId::mint(self.ambient);
        let sql = "INSERT INTO subject (id, owner, reference, enrolled_at) VALUES (?1, ?2, ?3, ?4)";
        let values = params![id.bytes(), owner.as_str(), reference.as_str(), self.now.unix_ms()];
        self.connection.prepare_cached(sql)?.execute(values)?;
        Ok((id, SubjectKey(self.connection.last_insert_rowid())))
    }

    /// A subject of this owner, and when it was retired, if it was.
    pub(crate) fn find_subject(
        &self,
        owner: &Nation,
        id: SubjectId,
    ) -> Result<Option<(SubjectKey, OwnReference, Option<Timestamp>)>, StoreError> {
        let sql = "SELECT key, reference, retired_at FROM subject WHERE id = ?1 AND owner = ?2";
        let mut statement = self.connection.prepare_cached(sql)?;
        let mut rows = statement.query(params![id.bytes(), owner.as_str()])?;
        let Some(row) = rows.next()? else { return Ok(None) };
        let reference = codec::parse(&row.get::<_, String>(1)?, "a subject's reference")?;
        Ok(Some((SubjectKey(row.get(0)?), reference, codec::maybe_time(row, 2, "a subject")?)))
    }

    /// The same for whoever holds a permit: a subject of the holder's nation, all of whose watchlists the
    /// grant reaches.
    pub(crate) fn find_permitted<V: Verb>(
        &self,
        permit: &Permit<V>,
        id: SubjectId,
    ) -> Result<Option<(SubjectKey, OwnReference, Option<Timestamp>)>, StoreError> {
        let Some(found) = self.find_subject(&permit.actor().nation, id)? else { return Ok(None) };
        let reached = self.entries_of(found.0)?.into_iter().all(|list| permit.reaches_own(list));
        Ok(reached.then_some(found))
    }

    pub(crate) fn retire_subject(&self, subject: SubjectKey) -> Result<(), StoreError> {
        self.recount(subject, |change| {
            let sql = "UPDATE subject SET retired_at = ?2 WHERE key = ?1";
            change.connection.prepare_cached(sql)?.execute([subject.0, change.now.unix_ms()])?;
            let sql = "UPDATE entry SET state = 1 WHERE subject = ?1 AND state = 0";
            change.connection.prepare_cached(sql)?.execute([subject.0])?;
            Ok(())
        })
    }

    pub(crate) fn insert_entry(
        &self,
        subject: SubjectKey,
        watchlist: &Watchlist,
        category: Category,
    ) -> Result<(), StoreError> {
        self.recount(subject, |change| change.put_entry(subject, watchlist, category))
    }

    fn put_entry(
        &self,
        subject: SubjectKey,
        watchlist: &Watchlist,
        category: Category,
    ) -> Result<(), StoreError> {
        let until = self.now.plus_days(watchlist.policy.retention_days);
        // One row of values, here and below: for a SELECT, SQLite would keep what each statement has to undo.
        let sql = "INSERT INTO entry (subject, watchlist, category, listed_at, retain_until, state) \
                   VALUES (?1, (SELECT key FROM watchlist WHERE id = ?2), ?3, ?4, ?5, 0)";
        let (listed, until) = (self.now.unix_ms(), until.unix_ms());
        let values = params![subject.0, watchlist.id.bytes(), category.as_str(), listed, until];
        self.connection.prepare_cached(sql)?.execute(values)?;
        Ok(())
    }

    pub(crate) fn insert_encounter(
        &self,
        subject: (SubjectId, SubjectKey),
        new: &NewEncounter,
    ) -> Result<(EncounterId, EncounterKey), StoreError> {
        let mut put = None;
        self.recount(subject.1, |change| {
            put = Some(change.put_encounter(subject, new)?);
            Ok(())
        })?;
        put.ok_or_else(|| codec::damaged("an encounter"))
    }

    fn put_encounter(
        &self,
        (subject, key): (SubjectId, SubjectKey),
        new: &NewEncounter,
    ) -> Result<(EncounterId, EncounterKey), StoreError> {
        let id = EncounterId::mint(self.ambient);
        let RawFeatures { model, features } = &new.sample;
        let features = codec::features_to_bytes(features);
        let checksum = encounter_checksum(id, subject, model.as_str(), &features);
        let sql = "INSERT INTO encounter (id, subject, reference, model, captured_at, enrolled_at, checksum, \
                   features) VALUES (?1, ?2, ?3, (SELECT key FROM model WHERE name = ?4), ?5, ?6, ?7, ?8)";
        self.connection.prepare_cached(sql)?.execute(params![
            id.bytes(),
            key.0,
            new.reference.as_ref().map(OwnReference::as_str),
            model.as_str(),
            new.captured_at.map(Timestamp::unix_ms),
            self.now.unix_ms(),
            checksum,
            features,
        ])?;
        Ok((id, EncounterKey(self.connection.last_insert_rowid())))
    }

    /// A new subject with one entry and one encounter, of the watchlist's model: one active reference more, without
    /// counting.
    pub(crate) fn insert_first(
        &self,
        owner: &Nation,
        reference: &OwnReference,
        (watchlist, category): (&Watchlist, Category),
        new: &NewEncounter,
    ) -> Result<(SubjectId, EncounterId, EncounterKey), StoreError> {
        assert_eq!(watchlist.policy.model, new.sample.model, "a template of another model");
        let (id, key) = self.insert_subject(owner, reference)?;
        self.put_entry(key, watchlist, category)?;
        let (encounter, encounter_key) = self.put_encounter((id, key), new)?;
        let sql = "UPDATE watchlist SET active = active + 1 WHERE id = ?1";
        self.connection.prepare_cached(sql)?.execute([watchlist.id.bytes()])?;
        Ok((id, encounter, encounter_key))
    }

    /// The encounter under its own reference, if the subject has it.
    pub(crate) fn find_encounter(
        &self,
        subject: SubjectKey,
        reference: &OwnReference,
    ) -> Result<Option<(EncounterId, RawFeatures)>, StoreError> {
        let sql = "SELECT m.name, c.features, c.id, s.id, c.checksum FROM encounter c JOIN model m ON m.key = c.model \
                   JOIN subject s ON s.key = c.subject WHERE c.subject = ?1 AND c.reference = ?2";
        let mut statement = self.connection.prepare_cached(sql)?;
        let mut rows = statement.query(params![subject.0, reference.as_str()])?;
        let Some(row) = rows.next()? else { return Ok(None) };
        let id = EncounterId::from_bytes(codec::id(row, 2, "an encounter's id")?);
        let holder = SubjectId::from_bytes(codec::id(row, 3, "a subject's id")?);
        let model: String = row.get(0)?;
        let bytes: Vec<u8> = row.get(1)?;
        let features = checked_features(id, holder, &model, (&bytes, row.get(4)?))?;
        let model = ModelId::new(&model).map_err(|_| codec::damaged("an encounter"))?;
        Ok(Some((id, RawFeatures { model, features })))
    }

    /// Ends up to `limit` entries whose retention is over: whose, and on which watchlist.
    pub(crate) fn expire_entries(&self, limit: u32) -> Result<Vec<(SubjectId, WatchlistId)>, StoreError> {
        let sql = "SELECT e.subject, e.watchlist, s.id, w.id FROM entry e JOIN subject s ON s.key = e.subject \
                   JOIN watchlist w ON w.key = e.watchlist \
                   WHERE e.state = 0 AND e.retain_until <= ?1 ORDER BY e.retain_until LIMIT ?2";
        let mut statement = self.connection.prepare_cached(sql)?;
        let mut rows = statement.query(params![self.now.unix_ms(), limit])?;
        let mut due = Vec::new();
        while let Some(row) = rows.next()? {
            let subject = SubjectId::from_bytes(codec::id(row, 2, "a subject's id")?);
            let watchlist = WatchlistId::from_bytes(codec::id(row, 3, "a watchlist's id")?);
            due.push((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?, subject, watchlist));
        }
        for (subject, watchlist, ..) in &due {
            self.recount(SubjectKey(*subject), |change| {
                let sql = "UPDATE entry SET state = 2 WHERE subject = ?1 AND watchlist = ?2";
                change.connection.prepare_cached(sql)?.execute([subject, watchlist])?;
                Ok(())
            })?;
        }
        Ok(due.into_iter().map(|(_, _, subject, watchlist)| (subject, watchlist)).collect())
    }

    /// Runs a change of one subject and moves the counts of its watchlists by what it changed.
    fn recount(
        &self,
        subject: SubjectKey,
        change: impl FnOnce(&Self) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let mut moved = BTreeMap::new();
        self.count(subject, -1, &mut moved)?;
        change(self)?;
        self.count(subject, 1, &mut moved)?;
        let sql = "UPDATE watchlist SET active = active + ?2 WHERE key = ?1";
        let mut statement = self.connection.prepare_cached(sql)?;
        for (watchlist, moved) in moved.into_iter().filter(|(_, moved)| *moved != 0) {
            statement.execute([watchlist, moved])?;
        }
        Ok(())
    }

    fn count(&self, subject: SubjectKey, sign: i64, into: &mut BTreeMap<i64, i64>) -> Result<(), StoreError> {
        let sql = "SELECT e.watchlist, count(*) FROM entry e JOIN watchlist w ON w.key = e.watchlist \
                   JOIN encounter c ON c.subject = e.subject AND c.model = w.model \
                   WHERE e.subject = ?1 AND e.state = 0 GROUP BY e.watchlist";
        let mut statement = self.connection.prepare_cached(sql)?;
        let mut rows = statement.query([subject.0])?;
        while let Some(row) = rows.next()? {
            *into.entry(row.get(0)?).or_default() += sign * row.get::<_, i64>(1)?;
        }
        Ok(())
    }

    /// What the search must learn of a subject: on which watchlists each of its encounters now stands.
    pub(crate) fn lists_of(&self, subject: SubjectId) -> Result<Vec<Delta>, StoreError> {
        let references = read::references_of(self.connection, subject)?;
        let delta =
            |r: read::StoredReference| Delta::Lists { key: r.key, model: r.sample.model, lists: r.lists };
        Ok(references.into_iter().map(delta).collect())
    }

    /// The watchlists on which a subject stands or stood.
    fn entries_of(&self, subject: SubjectKey) -> Result<Vec<WatchlistId>, StoreError> {
        let sql = "SELECT w.id FROM entry e JOIN watchlist w ON w.key = e.watchlist WHERE e.subject = ?1";
        self.watchlists(sql, params![subject.0])
    }

    /// The watchlists of one model on which a subject is active.
    pub(crate) fn active_lists(
        &self,
        subject: SubjectKey,
        model: &ModelId,
    ) -> Result<Vec<WatchlistId>, StoreError> {
        let sql = "SELECT w.id FROM entry e JOIN watchlist w ON w.key = e.watchlist JOIN model m ON m.key = w.model \
                   WHERE e.subject = ?1 AND e.state = 0 AND m.name = ?2";
        self.watchlists(sql, params![subject.0, model.as_str()])
    }

    fn watchlists(&self, sql: &str, of: &[&dyn ToSql]) -> Result<Vec<WatchlistId>, StoreError> {
        let mut statement = self.connection.prepare_cached(sql)?;
        let mut rows = statement.query(of)?;
        let mut lists = Vec::new();
        while let Some(row) = rows.next()? {
            lists.push(WatchlistId::from_bytes(codec::id(row, 0, "a watchlist's id")?));
        }
        Ok(lists)
    }
}
