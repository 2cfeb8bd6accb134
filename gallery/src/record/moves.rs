//! Encounters and entries that go from one subject to another.

use super::{
    Reading, StoreError,
    change::{Change, SubjectRow},
    codec::{self, ENCOUNTER_IS_WHOLE},
    read,
};
use crate::{
    generation::Delta,
    handling::{Grading, Handling, Instruction, Remarks},
    id::{EncounterId, EncounterKey, RecordSequence, SubjectId, WatchlistId},
    law::OwnReference,
    subject::{EntryState, Listing},
};
use matcher::template::ModelId;
use rusqlite::{Connection, ToSql, params};
use std::collections::HashSet;

impl Change<'_> {
    /// The encounters of a subject.
    pub(crate) fn encounters_of(&self, subject: SubjectRow) -> Result<Vec<EncounterId>, StoreError> {
        let sql = "SELECT id FROM encounter WHERE subject = ?1 ORDER BY key";
        let mut statement = self.connection.prepare_cached(sql)?;
        let mut rows = statement.query([subject.0])?;
        let mut encounters = Vec::new();
        while let Some(row) = rows.next()? {
            encounters.push(EncounterId::from_bytes(codec::id(row, 0, "an encounter's id")?));
        }
        Ok(encounters)
    }

    /// Gives an encounter of one subject to another, sealed under the other's key: with its id, at the end of the order. What the search is
    /// to forget; `None` if it is not the first one's.
    pub(crate) fn move_encounter(
        &self,
        from: SubjectRow,
        to: SubjectRow,
        id: EncounterId,
    ) -> Result<Option<Delta>, StoreError> {
        let mut moved = None;
        let both = |change: &Self| {
            moved = change.put_moved(from, to, id)?;
            Ok(())
        };
        self.recount(from, |change| change.recount(to, both))?;
        Ok(moved)
    }

    fn put_moved(
        &self,
        from: SubjectRow,
        to: SubjectRow,
        id: EncounterId,
    ) -> Result<Option<Delta>, StoreError> {
        let sql = format!(
            "SELECT c.key, c.reference, c.model, c.captured_at, c.enrolled_at, c.template, m.name, {ENCOUNTER_IS_WHOLE} \
             FROM encounter c JOIN model m ON m.key = c.model WHERE c.id = ?1 AND c.subject = ?2"
        );
        let mut statement = self.connection.prepare_cached(&sql)?;
        let mut rows = statement.query(params![id.bytes(), from.0])?;
        let Some(row) = rows.next()? else { return Ok(None) };
        codec::whole(row, 7, "an encounter")?;
        let (key, model): (i64, String) = (row.get(0)?, row.get(6)?);
        let features = codec::template(row, 5, id, &model, &self.template_key(from)?)?;
        let plain = zeroize::Zeroizing::new(codec::features_to_bytes(&features));
        let sealed = self.template_key(to)?.seal(self.ambient, id, &model, &plain);
        let (reference, number): (Option<String>, i64) = (row.get(1)?, row.get(2)?);
        let (captured_at, enrolled_at): (Option<i64>, i64) = (row.get(3)?, row.get(4)?);
        drop(rows);
        self.connection.prepare_cached("DELETE FROM encounter WHERE key = ?1")?.execute([key])?;
        let sql = "INSERT INTO encounter (id, subject, reference, model, captured_at, enrolled_at, checksum, template) \
                   VALUES (?1, ?2, ?3, ?4, ?5, ?6, row_sum(?1, ?2, ?3, ?4, ?5, ?6), ?7)";
        // A reference is a subject's own: where the other has it already, `moved` alone keeps it.
        let kept = if self.names_clash(to, reference.as_deref())? { None } else { reference.as_deref() };
        let values = params![id.bytes(), to.0, kept, number, captured_at, enrolled_at, sealed];
        self.connection.prepare_cached(sql)?.execute(values)?;
        let sql = "INSERT INTO moved (key, encounter, reference, model, subject, into_subject, sequence, checksum) \
                   VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, row_sum(?1, ?2, ?3, ?4, ?5, ?6, ?7))";
        let values = params![key, id.bytes(), reference, number, from.0, to.0, self.sequence.0 as i64];
        self.connection.prepare_cached(sql)?.execute(values)?;
        let model = ModelId::new(&model).map_err(|_| codec::damaged("an encounter"))?;
        Ok(Some(Delta::Forget { key: EncounterKey(key), model }))
    }

    fn names_clash(&self, to: SubjectRow, reference: Option<&str>) -> Result<bool, StoreError> {
        let sql = "SELECT 1 FROM encounter WHERE subject = ?1 AND reference = ?2";
        Ok(self.connection.prepare_cached(sql)?.exists(params![to.0, reference])?)
    }

    /// Was an encounter of this reference moved from the subject to another? It does not come back by being enrolled again.
    pub(crate) fn was_moved(
        &self,
        subject: SubjectRow,
        reference: &OwnReference,
    ) -> Result<bool, StoreError> {
        let sql = "SELECT 1 FROM moved WHERE subject = ?1 AND reference = ?2";
        Ok(self.connection.prepare_cached(sql)?.exists(params![subject.0, reference.as_str()])?)
    }

    /// Gives the entries of one subject to another. Where both stand on a watchlist, the one's is taken if it is active and the other's is not; what
    /// remains is handled as both are.
    pub(crate) fn take_entries(&self, from: SubjectRow, into: SubjectRow) -> Result<(), StoreError> {
        self.recount(from, |change| change.recount(into, |change| change.put_entries(from, into)))
    }

    fn put_entries(&self, from: SubjectRow, into: SubjectRow) -> Result<(), StoreError> {
        let held = self.standings(into)?;
        for (watchlist, state, handling) in self.standings(from)? {
            let other = held.iter().find(|(list, ..)| *list == watchlist);
            if let Some((_, other_state, other_handling)) = other {
                if state == EntryState::Active && *other_state != EntryState::Active {
                    let sql = "DELETE FROM entry WHERE subject = ?1 AND watchlist = ?2";
                    self.connection.prepare_cached(sql)?.execute([into.0, watchlist])?;
                    self.hand_over(from, into, watchlist)?;
                }
                if handling != *other_handling {
                    self.set_handling(into, watchlist, &other_handling.clone().and(handling))?;
                }
            } else {
                self.hand_over(from, into, watchlist)?;
            }
        }
        Ok(())
    }

    /// The watchlists on which a subject stands or stood, and how its records there are handled.
    fn standings(&self, subject: SubjectRow) -> Result<Vec<(i64, EntryState, Handling)>, StoreError> {
        let sql = "SELECT e.watchlist, e.state, coalesce(e.handling, w.handling) FROM entry e \
                   JOIN watchlist w ON w.key = e.watchlist WHERE e.subject = ?1";
        let mut statement = self.connection.prepare_cached(sql)?;
        let mut rows = statement.query([subject.0])?;
        let mut standings = Vec::new();
        while let Some(row) = rows.next()? {
            let handling = codec::parse(&row.get::<_, String>(2)?, "an entry")?;
            standings.push((row.get(0)?, read::state(row.get(1)?)?, handling));
        }
        Ok(standings)
    }

    fn hand_over(&self, from: SubjectRow, into: SubjectRow, watchlist: i64) -> Result<(), StoreError> {
        let sql = format!(
            "UPDATE entry SET subject = ?2, checksum = {} WHERE subject = ?1 AND watchlist = ?3",
            codec::entry_sum("?2", "state", "handling")
        );
        self.connection.prepare_cached(&sql)?.execute([from.0, into.0, watchlist])?;
        Ok(())
    }

    /// Puts another listing in place of that of an entry; what it was, or `None` if there is no such entry.
    pub(crate) fn rectify_entry(
        &self,
        row: SubjectRow,
        subject: SubjectId,
        watchlist: WatchlistId,
        listing: &Listing,
    ) -> Result<Option<Listing>, StoreError> {
        let Some((former, _)) = read::entry(self.connection, subject, watchlist)? else { return Ok(None) };
        let Listing { category, remarks: Remarks { handling, grading, instruction } } = listing;
        let sql = "UPDATE entry SET category = ?3, handling = ?4, grading = ?5, instruction = ?6, checksum = row_sum(subject, \
                   watchlist, ?3, listed_at, retain_until, review_by, state, ?4, ?5, ?6) WHERE subject = ?1 AND watchlist = ?2";
        let list = self.row_of("SELECT key FROM watchlist WHERE id = ?1", watchlist.bytes())?;
        let values = params![
            row.0,
            list,
            category.as_str(),
            handling.as_ref().map(Handling::to_string),
            grading.as_ref().map(Grading::to_string),
            instruction.as_ref().map(Instruction::to_string),
        ];
        self.connection.prepare_cached(sql)?.execute(values)?;
        Ok(Some(former))
    }

    fn set_handling(
        &self,
        subject: SubjectRow,
        watchlist: i64,
        handling: &Handling,
    ) -> Result<(), StoreError> {
        let sql = format!(
            "UPDATE entry SET handling = ?3, checksum = {} WHERE subject = ?1 AND watchlist = ?2",
            codec::entry_sum("subject", "state", "?3")
        );
        self.connection.prepare_cached(&sql)?.execute(params![subject.0, watchlist, handling.to_string()])?;
        Ok(())
    }

    /// From now on who erases the other erases this one.
    pub(crate) fn note_merger(&self, from: SubjectRow, into: SubjectRow) -> Result<(), StoreError> {
        let sql = "INSERT INTO merged (subject, into_subject, checksum) VALUES (?1, ?2, row_sum(?1, ?2))";
        self.connection.prepare_cached(sql)?.execute([from.0, into.0])?;
        Ok(())
    }

    /// Who was merged into a subject, also by way of others, and is not to be erased yet.
    pub(super) fn merged_into(&self, subject: SubjectRow) -> Result<Vec<SubjectRow>, StoreError> {
        let sql = "WITH RECURSIVE them(key) AS (SELECT subject FROM merged WHERE into_subject = ?1 \
                   UNION SELECT m.subject FROM merged m JOIN them ON m.into_subject = them.key) \
                   SELECT s.key FROM them JOIN subject s ON s.key = them.key WHERE s.erase_at IS NULL";
        let mut statement = self.connection.prepare_cached(sql)?;
        let mut rows = statement.query([subject.0])?;
        let mut merged = Vec::new();
        while let Some(row) = rows.next()? {
            merged.push(SubjectRow(row.get(0)?));
        }
        Ok(merged)
    }

    /// What the search learns of encounters that came to a subject.
    pub(crate) fn arrived(&self, to: SubjectId, moved: &[EncounterId]) -> Result<Vec<Delta>, StoreError> {
        let store = Reading::new(self.connection, self.keys);
        let (models, moved) = (read::models(&store)?, moved.iter().collect::<HashSet<_>>());
        let references = read::references_of(&store, to)?.into_iter();
        references.filter(|one| moved.contains(&one.id)).map(|one| read::delta(&models, one)).collect()
    }
}

/// The keys that encounters had before they were moved in an event after this one.
pub(crate) fn since(
    connection: &Connection,
    since: RecordSequence,
) -> Result<Vec<(ModelId, EncounterKey)>, StoreError> {
    keys(connection, "v.sequence > ?1", &[&(since.0 as i64)])
}

/// The keys that a subject's encounters had before they were its own.
pub(crate) fn before(
    connection: &Connection,
    subject: SubjectId,
) -> Result<Vec<(ModelId, EncounterKey)>, StoreError> {
    let which =
        "v.encounter IN (SELECT c.id FROM encounter c JOIN subject s ON s.key = c.subject WHERE s.id = ?1)";
    keys(connection, which, &[&subject.bytes()])
}

fn keys(
    connection: &Connection,
    which: &str,
    of: &[&dyn ToSql],
) -> Result<Vec<(ModelId, EncounterKey)>, StoreError> {
    let sql = format!("SELECT m.name, v.key FROM moved v JOIN model m ON m.key = v.model WHERE {which}");
    let mut statement = connection.prepare_cached(&sql)?;
    let mut rows = statement.query(of)?;
    let mut moved = Vec::new();
    while let Some(row) = rows.next()? {
        let model = ModelId::new(&row.get::<_, String>(0)?).map_err(|_| codec::damaged("a model"))?;
        moved.push((model, EncounterKey(row.get(1)?)));
    }
    Ok(moved)
}
