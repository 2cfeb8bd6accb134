//! `GET /v1/calibrations`

use crate::{caller::By, node::Node, problem::Problem, rates::FpirBody};
use axum::{Json, extract::State};
use gallery::{calibrate, calibrated::Calibrated, id::CalibrationId, timestamp::Timestamp};
use matcher::{rates::Fpir, template::ModelId};
use serde::Serialize;
use std::sync::Arc;
use utoipa::ToSchema;

/// Error rates whose thresholds are told.
const FPIRS: [f64; 4] = [1e-1, 1e-2, 1e-3, 1e-4];

/// What scores of a model mean.
#[derive(Serialize, ToSchema)]
pub(crate) struct CalibrationResponse {
    /// As certificates name it.
    #[schema(value_type = String)]
    id: CalibrationId,
    #[schema(value_type = String)]
    model: ModelId,
    #[schema(value_type = String, format = DateTime)]
    made_at: Timestamp,
    /// References that were compared with.
    references: u64,
    /// Subjects whose references were compared with all others.
    probes: u64,
    /// Of these, those that may be on record under two names, and do not count.
    excluded: u64,
    /// Subjects of whom two captures were compared; with fewer than 50 no likelihood ratio is told.
    mated_pairs: u64,
    /// Thresholds for a search of as many references, where they can be told.
    thresholds: Vec<ThresholdBody>,
}

/// A threshold for an FPIR.
#[derive(Serialize, ToSchema)]
struct ThresholdBody {
    threshold: f32,
    fpir: FpirBody,
}

impl From<&Calibrated> for CalibrationResponse {
    fn from(calibrated: &Calibrated) -> Self {
        let calibration = &calibrated.calibration;
        let told = |fpir: f64| {
            let told =
                calibration.threshold(Fpir::new(fpir).expect("a rate"), calibration.references).ok()?;
            Some(ThresholdBody { threshold: told.threshold, fpir: told.into() })
        };
        Self {
            id: calibrated.id,
            model: calibration.model.clone(),
            made_at: calibrated.made_at,
            references: calibration.references,
            probes: calibration.probes,
            excluded: calibration.excluded,
            mated_pairs: calibration.mated_pairs(),
            thresholds: FPIRS.into_iter().filter_map(told).collect(),
        }
    }
}

/// The calibrations in use, by model.
#[derive(Serialize, ToSchema)]
pub(crate) struct CalibrationsResponse {
    calibrations: Vec<CalibrationResponse>,
}

/// List what scores mean.
#[utoipa::path(get, path = "/v1/calibrations", tag = "calibrations", extensions(("x-operation" = json!("upkeep"))),
    responses(
        (status = 200, body = CalibrationsResponse),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", body = Problem, content_type = "application/problem+json"),
    ))]
pub(crate) async fn list_calibrations(
    State(node): State<Arc<Node>>,
    By(caller): By,
) -> Result<Json<CalibrationsResponse>, Problem> {
    let all = node.blocking(move |gallery| calibrate::list(gallery, &caller)).await?;
    let calibrations = all.iter().map(|calibrated| calibrated.as_ref().into()).collect();
    Ok(Json(CalibrationsResponse { calibrations }))
}
