//! The table of calibrations.

use super::{StoreError, change::Change, codec};
use crate::{calibrated::Calibrated, id::CalibrationId};
use matcher::{calibration::Calibration, template::ModelId};
use rusqlite::{Connection, params};
use std::{collections::HashMap, sync::Arc};

impl Change<'_> {
    /// Puts a calibration on record; from now on it is the one of its model. False if there is no such model.
    pub(crate) fn insert_calibration(
        &self,
        id: CalibrationId,
        model: &ModelId,
        body: &str,
    ) -> Result<bool, StoreError> {
        let sql = "INSERT INTO calibration (id, model, made_at, body, checksum) \
                   SELECT ?1, key, ?3, ?4, row_sum(?1, key, ?3, ?4) FROM model WHERE name = ?2";
        let values = params![id.bytes(), model.as_str(), self.now.unix_ms(), body];
        Ok(self.connection.execute(sql, values)? == 1)
    }
}

/// The newest of each model.
pub(crate) fn newest(connection: &Connection) -> Result<HashMap<ModelId, Arc<Calibrated>>, StoreError> {
    let sql = "SELECT id, made_at, body, checksum = row_sum(id, model, made_at, body) FROM calibration \
               WHERE key IN (SELECT max(key) FROM calibration GROUP BY model)";
    let mut statement = connection.prepare(sql)?;
    let mut rows = statement.query([])?;
    let mut newest = HashMap::new();
    let what = "a calibration";
    while let Some(row) = rows.next()? {
        codec::whole(row, 3, what)?;
        let calibration: Calibration =
            serde_json::from_str(&row.get::<_, String>(2)?).map_err(|_| codec::damaged(what))?;
        if !calibration.is_sound() {
            return Err(codec::damaged(what));
        }
        let (model, id) = (calibration.model.clone(), CalibrationId::from_bytes(codec::id(row, 0, what)?));
        newest.insert(model, Arc::new(Calibrated::new(id, codec::time(row, 1, what)?, calibration)));
    }
    Ok(newest)
}
