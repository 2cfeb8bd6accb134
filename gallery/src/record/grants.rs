//! The table of grants.

use super::{StoreError, change::Change, codec};
use crate::{
    grant::{Content, Grant},
    id::{GrantId, WatchlistId},
    law::Nation,
    timestamp::Timestamp,
};
use rusqlite::{Connection, Row, params};
use std::collections::{BTreeMap, HashMap};

const COLUMNS: &str = "id, nation, name, credential, content, proposed_by, proposed_at, approved_by, approved_at, \
                       ends_at, revoked_at";

impl Change<'_> {
    /// `false` when the nation has a live grant of this name, or the credential is that of another.
    pub(crate) fn insert_grant(&self, grant: &Grant) -> Result<bool, StoreError> {
        let (name, now) = (grant.name(), self.now.unix_ms());
        // One that has ended makes room for its successor.
        let ended = "UPDATE granted SET revoked_at = ?1, checksum = row_sum(id, nation, name, credential, content, \
                     proposed_by, proposed_at, approved_by, approved_at, ends_at, ?1) \
                     WHERE revoked_at IS NULL AND ends_at <= ?1 AND ((nation = ?2 AND name = ?3) OR credential = ?4)";
        let credential = grant.credential.map(|credential| credential.to_string());
        self.connection.execute(ended, params![now, grant.nation.as_str(), name, credential])?;
        let content = serde_json::to_string(&grant.content).expect("text keys");
        let sql = format!(
            "INSERT INTO granted ({COLUMNS}, checksum) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, NULL, \
             row_sum(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, NULL)) ON CONFLICT DO NOTHING"
        );
        let inserted = self.connection.execute(
            &sql,
            params![
                grant.id.bytes(),
                grant.nation.as_str(),
                name,
                credential,
                content,
                grant.proposed_by.map(GrantId::bytes),
                grant.proposed_at.unix_ms(),
                grant.approved_by.map(GrantId::bytes),
                grant.approved_at.map(Timestamp::unix_ms),
                grant.ends_at.unix_ms(),
            ],
        )?;
        Ok(inserted == 1)
    }

    /// Makes it hold.
    pub(crate) fn approve_grant(&self, id: GrantId, by: GrantId) -> Result<(), StoreError> {
        let sql = "UPDATE granted SET approved_by = ?2, approved_at = ?3, checksum = row_sum(id, nation, name, \
                   credential, content, proposed_by, proposed_at, ?2, ?3, ends_at, revoked_at) WHERE id = ?1";
        self.connection.execute(sql, params![id.bytes(), by.bytes(), self.now.unix_ms()])?;
        Ok(())
    }

    /// Takes it back, if it was not.
    pub(crate) fn revoke_grant(&self, id: GrantId) -> Result<(), StoreError> {
        let sql = "UPDATE granted SET revoked_at = ?2, checksum = row_sum(id, nation, name, credential, content, \
                   proposed_by, proposed_at, approved_by, approved_at, ends_at, ?2) \
                   WHERE id = ?1 AND revoked_at IS NULL";
        self.connection.execute(sql, params![id.bytes(), self.now.unix_ms()])?;
        Ok(())
    }
}

/// A grant.
pub(crate) fn find(connection: &Connection, id: GrantId) -> Result<Option<Grant>, StoreError> {
    let mut statement = connection.prepare_cached(&query("WHERE id = ?1"))?;
    let mut rows = statement.query([id.bytes()])?;
    rows.next()?.map(grant).transpose()
}

/// The grants that were not taken back, of a nation or of all, oldest first.
pub(crate) fn live(connection: &Connection, nation: Option<&Nation>) -> Result<Vec<Grant>, StoreError> {
    let sql = query("WHERE revoked_at IS NULL AND (?1 IS NULL OR nation = ?1) ORDER BY id");
    let mut statement = connection.prepare(&sql)?;
    let mut rows = statement.query([nation.map(Nation::as_str)])?;
    let mut grants = Vec::new();
    while let Some(row) = rows.next()? {
        grants.push(grant(row)?);
    }
    Ok(grants)
}

/// With which nations watchlists are shared, and until when.
pub(super) fn shares(
    connection: &Connection,
) -> Result<HashMap<WatchlistId, BTreeMap<Nation, Timestamp>>, StoreError> {
    let mut shares = HashMap::<_, BTreeMap<_, _>>::new();
    for grant in live(connection, None)? {
        if let (Content::Nation { nation, watchlist }, Some(_)) = (grant.content, grant.approved_at) {
            shares.entry(watchlist).or_default().insert(nation, grant.ends_at);
        }
    }
    Ok(shares)
}

fn query(which: &str) -> String {
    format!("SELECT {COLUMNS}, checksum = row_sum({COLUMNS}) FROM granted {which}")
}

fn grant(row: &Row<'_>) -> Result<Grant, StoreError> {
    let what = "a grant";
    codec::whole(row, 11, what)?;
    let maybe_grant = |column: usize| match row.get_ref(column)? {
        rusqlite::types::ValueRef::Null => Ok(None),
        _ => codec::id(row, column, what).map(GrantId::from_bytes).map(Some),
    };
    let credential: Option<String> = row.get(3)?;
    Ok(Grant {
        id: GrantId::from_bytes(codec::id(row, 0, what)?),
        nation: codec::parse(&row.get::<_, String>(1)?, what)?,
        content: serde_json::from_str(&row.get::<_, String>(4)?).map_err(|_| codec::damaged(what))?,
        credential: credential.map(|text| codec::parse(&text, what)).transpose()?,
        proposed_by: maybe_grant(5)?,
        proposed_at: codec::time(row, 6, what)?,
        approved_by: maybe_grant(7)?,
        approved_at: codec::maybe_time(row, 8, what)?,
        ends_at: codec::time(row, 9, what)?,
        revoked_at: codec::maybe_time(row, 10, what)?,
    })
}
