//! Model profiles and watchlists, and how many references each has.

use super::{StoreError, codec, grants};
use crate::{
    authority::Catalogue,
    handling::Defaults,
    id::WatchlistId,
    watchlist::{Policy, Watchlist},
};
use matcher::{
    rates::Fpir,
    score::Threshold,
    template::{ModelId, ModelProfile},
};
use rusqlite::{Connection, Row};
use std::{collections::HashMap, sync::Arc};

/// Every model profile.
pub(crate) fn models(connection: &Connection) -> Result<HashMap<ModelId, ModelProfile>, StoreError> {
    let mut statement = connection.prepare("SELECT name, dimension, mean, checksum FROM model")?;
    let mut rows = statement.query([])?;
    let mut models = HashMap::new();
    while let Some(row) = rows.next()? {
        let name: String = row.get(0)?;
        let bad = || codec::damaged(&format!("model profile {name}"));
        let mean: Option<Vec<u8>> = row.get(2)?;
        let dimension: u32 = row.get(1)?;
        if row.get::<_, u32>(3)? != super::change::model_checksum(&name, dimension, mean.as_deref()) {
            return Err(bad());
        }
        let mean = mean.map(|mean| codec::features_from_bytes(&mean).ok_or_else(bad)).transpose()?;
        let id = ModelId::new(&name).map_err(|_| bad())?;
        let profile = ModelProfile::new(id.clone(), dimension as usize, mean).map_err(|_| bad())?;
        models.insert(id, profile);
    }
    Ok(models)
}

/// Every watchlist.
pub(crate) fn catalogue(connection: &Connection) -> Result<Catalogue, StoreError> {
    let sql = "SELECT w.id, w.owner, w.name, w.purposes, w.legal_bases, w.handling, w.categories, m.name, \
               w.threshold, w.retention_days, w.created_at, w.review_days, w.checksum = row_sum(w.id, w.owner, w.name, \
               w.purposes, w.legal_bases, w.handling, w.categories, w.model, w.threshold, w.retention_days, \
               w.review_days, w.created_at, w.grading, w.instructions, w.prior_authorisation, w.gates, w.fpir), w.grading, w.instructions, \
               w.prior_authorisation, w.gates, w.fpir FROM watchlist w JOIN model m ON m.key = w.model";
    let mut statement = connection.prepare(sql)?;
    let mut rows = statement.query([])?;
    let mut shares = grants::shares(connection)?;
    let mut catalogue = Catalogue::new();
    while let Some(row) = rows.next()? {
        let mut watchlist = watchlist(row)?;
        watchlist.shared_with = shares.remove(&watchlist.id).unwrap_or_default();
        catalogue.insert(watchlist.id, Arc::new(watchlist));
    }
    Ok(catalogue)
}

fn watchlist(row: &Row<'_>) -> Result<Watchlist, StoreError> {
    let what = "a watchlist";
    codec::whole(row, 12, what)?;
    let text = |column| row.get::<_, String>(column);
    let policy = Policy {
        name: codec::parse(&text(2)?, what)?,
        purposes: codec::words_from_text(&text(3)?, what)?,
        legal_bases: codec::words_from_text(&text(4)?, what)?,
        defaults: Defaults {
            handling: codec::parse(&text(5)?, what)?,
            grading: codec::parse(&text(13)?, what)?,
            instructions: serde_json::from_str(&text(14)?).map_err(|_| codec::damaged(what))?,
        },
        prior_authorisation: codec::parse(&text(15)?, what)?,
        categories: codec::words_from_text(&text(6)?, what)?,
        model: ModelId::new(&text(7)?).map_err(|_| codec::damaged(what))?,
        threshold: Threshold::new(row.get(8)?).map_err(|_| codec::damaged(what))?,
        fpir: row.get::<_, Option<f64>>(17)?.map(Fpir::new).transpose().map_err(|_| codec::damaged(what))?,
        gates: serde_json::from_str(&text(16)?).map_err(|_| codec::damaged(what))?,
        retention_days: row.get(9)?,
        review_days: row.get(11)?,
    };
    Ok(Watchlist {
        id: WatchlistId::from_bytes(codec::id(row, 0, what)?),
        owner: codec::parse(&text(1)?, what)?,
        policy,
        created_at: codec::time(row, 10, what)?,
        shared_with: [].into(),
    })
}

/// How many active references the writer has counted for each watchlist.
pub(crate) fn counted(connection: &Connection) -> Result<HashMap<WatchlistId, u64>, StoreError> {
    counts(connection, "SELECT id, active FROM watchlist")
}

/// The same, counted anew from entries and encounters.
pub(crate) fn recounted(connection: &Connection) -> Result<HashMap<WatchlistId, u64>, StoreError> {
    counts(
        connection,
        "SELECT w.id, (SELECT count(*) FROM entry e JOIN encounter c ON c.subject = e.subject AND c.model = w.model \
         WHERE e.watchlist = w.key AND e.state = 0) FROM watchlist w",
    )
}

fn counts(connection: &Connection, sql: &str) -> Result<HashMap<WatchlistId, u64>, StoreError> {
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query([])?;
    let mut counts = HashMap::new();
    while let Some(row) = rows.next()? {
        let id = WatchlistId::from_bytes(codec::id(row, 0, "a watchlist's id")?);
        counts.insert(id, codec::count(row, 1, "a watchlist's count")?);
    }
    Ok(counts)
}
