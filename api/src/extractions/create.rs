//! `POST /v1/extractions`

use crate::{
    body::Imaged,
    caller::By,
    node::Node,
    probe::ImageBody,
    problem::{Kind, Problem},
    wire::{self, FaceBody, InParts, QualityBody, ReceiptBody},
};
use axum::{Json, extract::State};
use extractor::{decode::Format, extract::Unusable};
use gallery::{extract, subject::RawFeatures};
use matcher::template::ModelId;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use utoipa::ToSchema;

/// An image of a face.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ExtractionBody {
    image: ImageBody,
}

/// What was made of it.
#[derive(Serialize, ToSchema)]
pub(crate) struct ExtractionResponse {
    /// Which model made the features.
    #[schema(value_type = String)]
    model: ModelId,
    /// As the model gave them: base64 of little-endian f32.
    features: String,
    face: FaceBody,
    /// How many faces are seen.
    faces: usize,
    /// Width and height of the upright picture, in pixels.
    size: [u32; 2],
    /// What the file was: `jpeg`, `png`, `bmp`, `tiff` or `jpeg2000`.
    #[schema(value_type = String)]
    format: Format,
    /// Components of quality by name, toward ISO/IEC 29794-5.
    quality: QualityBody,
    /// Euclidean length of the features: models tend to give shorter ones for worse pictures.
    norm: f32,
    receipt: ReceiptBody,
}

/// Make a template of an image. Nothing comes on record but that it was done.
#[utoipa::path(post, path = "/v1/extractions", tag = "extractions", extensions(("x-operation" = json!("consultation"))),
    request_body(content((ExtractionBody = "application/json"), (InParts<ExtractionBody> = "multipart/form-data"))),
    responses(
        (status = 200, body = ExtractionResponse),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", body = Problem, content_type = "application/problem+json"),
    ))]
pub(crate) async fn create_extraction(
    State(node): State<Arc<Node>>,
    By(caller): By,
    Imaged { value: body, files, .. }: Imaged<ExtractionBody>,
) -> Result<Json<ExtractionResponse>, Problem> {
    let permit = node.blocking(move |gallery| extract::permit(gallery, &caller)).await?;
    let image = body.image.image(&files, "image")?;
    let (made, hash) = node.images.extract(image).await?;
    let extraction = made.map_err(unusable)?;
    let features = RawFeatures { model: extraction.model, features: extraction.features };
    let told = features.clone();
    let receipt = node.blocking(move |gallery| extract::record(gallery, &permit, &told, hash)).await?;
    Ok(Json(ExtractionResponse {
        model: features.model,
        features: wire::base64(&features.features),
        face: extraction.face.into(),
        faces: extraction.faces,
        size: extraction.size,
        format: extraction.format,
        quality: wire::quality(&extraction.quality),
        norm: extraction.norm,
        receipt: receipt.into(),
    }))
}

fn unusable(unusable: Unusable) -> Problem {
    let problem = Problem::of(Kind::Invalid, "image", &unusable);
    match unusable {
        Unusable::NotThere { faces } | Unusable::Several { faces, .. } => {
            problem.with_faces(faces.into_iter().map(Into::into).collect())
        }
        Unusable::Unreadable { .. } | Unusable::NoFace | Unusable::Limits => problem,
    }
}
