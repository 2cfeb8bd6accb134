//! Changes of the record, each inside the writer's transaction.

use super::{
    StoreError,
    codec::{self, ENCOUNTER_IS_WHOLE, SUBJECT_IS_WHOLE},
    read,
};
use crate::{
    ambient::Ambient,
    authority::{Permit, Verb},
    event::What,
    generation::Delta,
    handling::{Grading, Handling, Instruction, Remarks},
    id::{EncounterId, EncounterKey, RecordSequence, SubjectId, WatchlistId},
    keys::{Holder, Keys, TemplateKey},
    law::{Nation, OwnReference},
    subject::{Listing, NewEncounter, RawFeatures},
    timestamp::Timestamp,
    watchlist::Watchlist,
};
use matcher::{
    rates::Fpir,
    template::{ModelId, ModelProfile},
};
use rusqlite::{Connection, ToSql, params};
use std::collections::BTreeMap;
use zeroize::Zeroizing;

/// A change in the making: one transaction's connection and what belongs to its event.
pub(crate) struct Change<'a> {
    pub(crate) connection: &'a Connection,
    pub(crate) now: Timestamp,
    pub(crate) sequence: RecordSequence,
    pub(crate) salt: [u8; 32],
    pub(crate) ambient: &'a Ambient,
    pub(crate) keys: &'a Keys,
    /// More encounters than this do not come on record.
    pub(crate) limit: Option<u64>,
}

/// A change made: what the caller learns, what the log learns, what the search learns.
pub(crate) struct Done<T> {
    pub(crate) outcome: T,
    pub(crate) what: What,
    pub(crate) deltas: Vec<Delta>,
}

/// The number of a subject's row.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SubjectRow(pub(super) i64);

/// A subject that is on record.
pub(crate) struct Found {
    pub(crate) row: SubjectRow,
    pub(crate) owner: Nation,
    pub(crate) reference: OwnReference,
    pub(crate) retired_at: Option<Timestamp>,
    pub(crate) restricted_at: Option<Timestamp>,
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
                   threshold, retention_days, review_days, created_at, grading, instructions, prior_authorisation, gates, fpir, checksum) \
                   SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, key, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, \
                   row_sum(?1, ?2, ?3, ?4, ?5, ?6, ?7, key, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17) \
                   FROM model WHERE name = ?8 ON CONFLICT (owner, name) DO NOTHING";
        let inserted = self.connection.execute(
            sql,
            params![
                watchlist.id.bytes(),
                watchlist.owner.as_str(),
                policy.name.as_str(),
                codec::words_to_text(&policy.purposes),
                codec::words_to_text(&policy.legal_bases),
                policy.defaults.handling.to_string(),
                codec::words_to_text(&policy.categories),
                policy.model.as_str(),
                f64::from(policy.threshold.value()),
                policy.retention_days,
                policy.review_days,
                watchlist.created_at.unix_ms(),
                policy.defaults.grading.to_string(),
                serde_json::to_string(&policy.defaults.instructions).expect("text keys"),
                policy.prior_authorisation.as_str(),
                serde_json::to_string(&policy.gates).expect("text keys"),
                policy.fpir.map(Fpir::value),
            ],
        )?;
        Ok(inserted == 1)
    }

    pub(crate) fn insert_subject(
        &self,
        owner: &Nation,
        reference: &OwnReference,
    ) -> Result<(SubjectRow, TemplateKey), StoreError> {
        let id = SubjectId::mint(self.ambient);
        let sql = "INSERT INTO subject (id, owner, reference, enrolled_at, changed, checksum) VALUES \
                   (?1, ?2, ?3, ?4, ?5, row_sum(?1, ?2, ?3, ?4, NULL, NULL, NULL, NULL, ?5))";
        let (now, sequence) = (self.now.unix_ms(), self.sequence.0 as i64);
        let values = params![id.bytes(), owner.as_str(), reference.as_str(), now, sequence];
        self.connection.prepare_cached(sql)?.execute(values)?;
        let row = self.connection.last_insert_rowid();
        let key = self.keys.make(Holder { subject: id, row, owner }, self.ambient)?;
        Ok((SubjectRow(row), key))
    }

    /// A subject of this owner that is not to be erased.
    pub(crate) fn find_subject(&self, owner: &Nation, id: SubjectId) -> Result<Option<Found>, StoreError> {
        let sql = format!(
            "SELECT s.key, s.reference, s.retired_at, s.restricted_at, {SUBJECT_IS_WHOLE} FROM subject s \
             WHERE s.id = ?1 AND s.owner = ?2 AND s.erase_at IS NULL"
        );
        let mut statement = self.connection.prepare_cached(&sql)?;
        let mut rows = statement.query(params![id.bytes(), owner.as_str()])?;
        let Some(row) = rows.next()? else { return Ok(None) };
        let reference = codec::parse(&row.get::<_, String>(1)?, "a subject's reference")?;
        codec::whole(row, 4, "a subject")?;
        let [retired_at, restricted_at] = [2, 3].map(|column| codec::maybe_time(row, column, "a subject"));
        let (retired_at, restricted_at) = (retired_at?, restricted_at?);
        let (row, owner) = (SubjectRow(row.get(0)?), owner.clone());
        Ok(Some(Found { row, owner, reference, retired_at, restricted_at }))
    }

    /// The same for whoever holds a permit: a subject of the holder's nation, all of whose watchlists the
    /// grant reaches.
    pub(crate) fn find_permitted<V: Verb>(
        &self,
        permit: &Permit<V>,
        id: SubjectId,
    ) -> Result<Option<Found>, StoreError> {
        let Some(found) = self.find_subject(&permit.actor().nation, id)? else { return Ok(None) };
        let reached = self.entries_of(found.row)?.into_iter().all(|list| permit.reaches_own(list));
        Ok(reached.then_some(found))
    }

    pub(crate) fn insert_entry(
        &self,
        subject: SubjectRow,
        watchlist: &Watchlist,
        listing: &Listing,
    ) -> Result<(), StoreError> {
        self.recount(subject, |change| change.put_entry(subject, watchlist, listing))
    }

    fn put_entry(
        &self,
        subject: SubjectRow,
        watchlist: &Watchlist,
        Listing { category, remarks }: &Listing,
    ) -> Result<(), StoreError> {
        let until = self.now.plus_days(watchlist.policy.retention_days).unix_ms();
        let review = self.now.plus_days(watchlist.policy.review_days).unix_ms();
        // One row of values, here and below: for a SELECT, SQLite would keep what each statement has to undo.
        let sql = "INSERT INTO entry (subject, watchlist, category, listed_at, retain_until, review_by, state, handling, \
                   grading, instruction, checksum) VALUES (?1, ?2, ?3, ?4, ?5, ?6, 0, ?7, ?8, ?9, \
                   row_sum(?1, ?2, ?3, ?4, ?5, ?6, 0, ?7, ?8, ?9))";
        let list = self.row_of("SELECT key FROM watchlist WHERE id = ?1", watchlist.id.bytes())?;
        let Remarks { handling, grading, instruction } = remarks;
        let values = params![
            subject.0,
            list,
            category.as_str(),
            self.now.unix_ms(),
            until,
            review,
            handling.as_ref().map(Handling::to_string),
            grading.as_ref().map(Grading::to_string),
            instruction.as_ref().map(Instruction::to_string),
        ];
        self.connection.prepare_cached(sql)?.execute(values)?;
        Ok(())
    }

    pub(super) fn row_of(&self, sql: &str, name: impl ToSql) -> Result<i64, StoreError> {
        Ok(self.connection.prepare_cached(sql)?.query_row([name], |row| row.get(0))?)
    }

    pub(crate) fn insert_encounter(
        &self,
        subject: SubjectRow,
        key: &TemplateKey,
        new: &NewEncounter,
    ) -> Result<(EncounterId, EncounterKey), StoreError> {
        let mut put = None;
        self.recount(subject, |change| {
            put = Some(change.put_encounter(subject, key, new)?);
            Ok(())
        })?;
        put.ok_or_else(|| codec::damaged("an encounter"))
    }

    fn put_encounter(
        &self,
        subject: SubjectRow,
        key: &TemplateKey,
        new: &NewEncounter,
    ) -> Result<(EncounterId, EncounterKey), StoreError> {
        if let Some(limit) = self.limit {
            let count = |row: &rusqlite::Row<'_>| {
                codec::count(row, 0, "the encounters").map_err(|_| rusqlite::Error::InvalidQuery)
            };
            if self.connection.prepare_cached("SELECT count(*) FROM encounter")?.query_row([], count)?
                >= limit
            {
                return Err(StoreError::TooMany(limit));
            }
        }
        let id = EncounterId::mint(self.ambient);
        let RawFeatures { model, features } = &new.sample;
        let plain = Zeroizing::new(codec::features_to_bytes(features));
        // One row of values, here and above: for a SELECT, SQLite would keep what each statement has to undo.
        let sql = "INSERT INTO encounter (id, subject, reference, model, captured_at, enrolled_at, checksum, template) \
                   VALUES (?1, ?2, ?3, ?4, ?5, ?6, row_sum(?1, ?2, ?3, ?4, ?5, ?6), ?7)";
        let model_row = self.row_of("SELECT key FROM model WHERE name = ?1", model.as_str())?;
        self.connection.prepare_cached(sql)?.execute(params![
            id.bytes(),
            subject.0,
            new.reference.as_ref().map(OwnReference::as_str),
            model_row,
            new.captured_at.map(Timestamp::unix_ms),
            self.now.unix_ms(),
            key.seal(self.ambient, id, model.as_str(), &plain),
        ])?;
        Ok((id, EncounterKey(self.connection.last_insert_rowid())))
    }

    /// A new subject with one entry and one encounter, of the watchlist's model: one active reference more, without
    /// counting.
    pub(crate) fn insert_first(
        &self,
        owner: &Nation,
        reference: &OwnReference,
        (watchlist, listing): (&Watchlist, &Listing),
        new: &NewEncounter,
    ) -> Result<(SubjectId, EncounterId, EncounterKey), StoreError> {
        assert_eq!(watchlist.policy.model, new.sample.model, "a template of another model");
        let (row, key) = self.insert_subject(owner, reference)?;
        self.put_entry(row, watchlist, listing)?;
        let (encounter, encounter_key) = self.put_encounter(row, &key, new)?;
        let sql = "UPDATE watchlist SET active = active + 1 WHERE id = ?1";
        self.connection.prepare_cached(sql)?.execute([watchlist.id.bytes()])?;
        Ok((key.subject(), encounter, encounter_key))
    }

    /// The encounter under its own reference, if the subject has it.
    pub(crate) fn find_encounter(
        &self,
        subject: SubjectRow,
        reference: &OwnReference,
    ) -> Result<Option<(EncounterId, RawFeatures)>, StoreError> {
        let sql = format!(
            "SELECT m.name, c.template, c.id, {ENCOUNTER_IS_WHOLE} FROM encounter c JOIN model m ON m.key = c.model \
             WHERE c.subject = ?1 AND c.reference = ?2"
        );
        let mut statement = self.connection.prepare_cached(&sql)?;
        let mut rows = statement.query(params![subject.0, reference.as_str()])?;
        let Some(row) = rows.next()? else { return Ok(None) };
        codec::whole(row, 3, "an encounter")?;
        let id = EncounterId::from_bytes(codec::id(row, 2, "an encounter's id")?);
        let model: String = row.get(0)?;
        let features = codec::template(row, 1, id, &model, &self.template_key(subject)?)?;
        let model = ModelId::new(&model).map_err(|_| codec::damaged("an encounter"))?;
        Ok(Some((id, RawFeatures { model, features })))
    }

    /// The key of a subject's templates.
    pub(crate) fn template_key(&self, subject: SubjectRow) -> Result<TemplateKey, StoreError> {
        let mut statement = self.connection.prepare_cached("SELECT id, owner FROM subject WHERE key = ?1")?;
        let mut rows = statement.query([subject.0])?;
        let row = rows.next()?.ok_or_else(|| codec::damaged("a subject"))?;
        codec::template_key(self.keys, row, (0, 1), subject.0)
    }

    /// Runs a change of one subject and moves the counts of its watchlists by what it changed.
    pub(super) fn recount(
        &self,
        subject: SubjectRow,
        change: impl FnOnce(&Self) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let mut moved = BTreeMap::new();
        self.count(subject, -1, &mut moved)?;
        change(self)?;
        let sql = "UPDATE subject SET changed = ?2, checksum = row_sum(id, owner, reference, enrolled_at, retired_at, \
                   restricted_at, erase_at, erased_at, ?2) WHERE key = ?1";
        self.connection.prepare_cached(sql)?.execute([subject.0, self.sequence.0 as i64])?;
        self.count(subject, 1, &mut moved)?;
        let sql = "UPDATE watchlist SET active = active + ?2 WHERE key = ?1";
        let mut statement = self.connection.prepare_cached(sql)?;
        for (watchlist, moved) in moved.into_iter().filter(|(_, moved)| *moved != 0) {
            statement.execute([watchlist, moved])?;
        }
        Ok(())
    }

    fn count(&self, subject: SubjectRow, sign: i64, into: &mut BTreeMap<i64, i64>) -> Result<(), StoreError> {
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
        let places = read::places_of(self.connection, subject)?;
        let delta =
            |place: read::Place| Delta::Lists { key: place.key, model: place.model, lists: place.lists };
        Ok(places.into_iter().map(delta).collect())
    }

    /// From here on it is now, whatever was seen before.
    pub(crate) fn accept_clock(&self) -> Result<(), StoreError> {
        let sql = "UPDATE meta SET value = ?1 WHERE name = 'clock'";
        self.connection.execute(sql, [self.now.unix_ms()])?;
        Ok(())
    }

    /// The watchlists on which a subject stands or stood.
    fn entries_of(&self, subject: SubjectRow) -> Result<Vec<WatchlistId>, StoreError> {
        let sql = "SELECT w.id FROM entry e JOIN watchlist w ON w.key = e.watchlist WHERE e.subject = ?1";
        self.watchlists(sql, params![subject.0])
    }

    /// The watchlists of one model on which a subject is active.
    pub(crate) fn active_lists(
        &self,
        subject: SubjectRow,
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
