//! What several endpoints say in the same way.

use crate::rates::FpirBody;
use axum::http::StatusCode;
use base64::{Engine, engine::general_purpose::STANDARD};
use extractor::detect::Face;
use gallery::{
    Receipt,
    decision::{Certificate, Likeness, Reason, Told},
    handling::{Grading, Handling, Instruction, Terms},
    id::{CalibrationId, WatchlistId},
    law::{Band, Category, LegalBasis, PriorAuthorisation, Purpose},
    timestamp::Timestamp,
    watchlist::Gates,
};
use matcher::{
    quality::{Component, Gate, Measure, Quality},
    template::{DIMENSION_LIMIT, ModelId},
};
use serde::{Deserialize, Deserializer, Serialize, de};
use std::{collections::BTreeMap, fmt};
use utoipa::{
    ToSchema,
    openapi::schema::{ArrayBuilder, Object, ObjectBuilder, OneOfBuilder, Schema, Type},
};

/// Features on the wire.
pub(crate) struct Features(pub(crate) Vec<f32>);

/// A JSON number that is finite as f32: `1e39` is not.
struct Finite(f32);

impl<'de> Deserialize<'de> for Finite {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = f64::deserialize(deserializer)? as f32;
        if value.is_finite() {
            Ok(Self(value))
        } else {
            Err(de::Error::custom("a feature is a finite number within the range of f32"))
        }
    }
}

impl<'de> Deserialize<'de> for Features {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(FeaturesVisitor).map(Self)
    }
}

struct FeaturesVisitor;

impl<'de> de::Visitor<'de> for FeaturesVisitor {
    type Value = Vec<f32>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of numbers, or base64 of little-endian f32")
    }

    fn visit_seq<A: de::SeqAccess<'de>>(self, mut seq: A) -> Result<Vec<f32>, A::Error> {
        let mut features = Vec::new();
        while let Some(Finite(feature)) = seq.next_element()? {
            if features.len() == DIMENSION_LIMIT {
                return Err(de::Error::custom(format!("more than {DIMENSION_LIMIT} features")));
            }
            features.push(feature);
        }
        Ok(features)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Vec<f32>, E> {
        if text.len() > DIMENSION_LIMIT * 4 * 4 / 3 + 4 {
            return Err(E::custom(format!("more than {DIMENSION_LIMIT} features")));
        }
        // What does not decode is not repeated: it may be most of a template.
        let bytes = STANDARD.decode(text).map_err(|_| E::custom("not padded standard base64"))?;
        let (features, rest) = bytes.as_chunks::<4>();
        if !rest.is_empty() {
            return Err(E::custom("the base64 is not a whole number of f32"));
        }
        let features: Vec<f32> = features.iter().map(|x| f32::from_le_bytes(*x)).collect();
        match features.iter().position(|x| !x.is_finite()) {
            Some(index) => Err(E::custom(format!("feature {index} is not a finite number"))),
            None => Ok(features),
        }
    }
}

/// Features as they are written.
pub(crate) fn base64(features: &[f32]) -> String {
    STANDARD.encode(features.iter().flat_map(|feature| feature.to_le_bytes()).collect::<Vec<u8>>())
}

fn words<'a>(all: impl Iterator<Item = &'a str>) -> Object {
    ObjectBuilder::new().schema_type(Type::String).enum_values(Some(all)).build()
}

pub(crate) fn features() -> Schema {
    let number = ObjectBuilder::new().schema_type(Type::Number);
    let base64 = ObjectBuilder::new().schema_type(Type::String).content_encoding("base64");
    OneOfBuilder::new().item(ArrayBuilder::new().items(number)).item(base64).build().into()
}

pub(crate) fn purpose() -> Object {
    words(Purpose::ALL.iter().map(|word| word.as_str()))
}

pub(crate) fn legal_basis() -> Object {
    words(LegalBasis::ALL.iter().map(|word| word.as_str()))
}

pub(crate) fn prior_authorisation() -> Object {
    words(PriorAuthorisation::ALL.iter().map(|word| word.as_str()))
}

pub(crate) fn category() -> Object {
    words(Category::ALL.iter().map(|word| word.as_str()))
}

pub(crate) fn band() -> Object {
    words(Band::ALL.iter().map(|word| word.as_str()))
}

/// Why somebody stands on a watchlist, and what its owner says of it.
#[derive(Serialize, ToSchema)]
pub(crate) struct TermsBody {
    #[schema(schema_with = category)]
    category: Category,
    /// How the record may be used: `H0`, `H1`, `H2`, or `H3: ` and the restriction.
    #[schema(value_type = String)]
    handling: Handling,
    /// How good it is: `A`, `B`, `C` or `X` for the source, `1` to `4` for the information.
    #[schema(value_type = String)]
    grading: Grading,
    /// What the owner wants to be done.
    #[schema(value_type = Option<String>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    instruction: Option<Instruction>,
}

impl From<Told> for TermsBody {
    fn from(Told { category, terms: Terms { handling, grading, instruction } }: Told) -> Self {
        Self { category, handling, grading, instruction }
    }
}

/// How alike two are: a band, or the score for who may see scores.
pub(crate) fn likeness(likeness: Option<Likeness>) -> (Option<Band>, Option<f32>) {
    match likeness {
        Some(Likeness::Band(band)) => (Some(band), None),
        Some(Likeness::Score(score)) => (None, Some(score)),
        None => (None, None),
    }
}

/// The status of an answer: 503 when the node could not search everything that it should have.
pub(crate) fn status_of(reason: Option<Reason>) -> StatusCode {
    match reason {
        Some(Reason::Incomplete) => StatusCode::SERVICE_UNAVAILABLE,
        Some(Reason::Approximate) | None => StatusCode::OK,
    }
}

/// A raw score threshold, as a caller gives it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Threshold(pub(crate) matcher::score::Threshold);

impl<'de> Deserialize<'de> for Threshold {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = f64::deserialize(deserializer)? as f32;
        matcher::score::Threshold::new(value).map(Self).map_err(de::Error::custom)
    }
}

/// A request in parts: `request` is it in JSON, all others are files, by the names under which it refers to them.
#[derive(ToSchema)]
pub(crate) struct InParts<T: ToSchema> {
    #[expect(dead_code, reason = "a description")]
    request: T,
    #[expect(dead_code, reason = "a description")]
    #[schema(value_type = String, format = Binary, example = "photo")]
    photo: Option<Vec<u8>>,
}

/// A face that was seen, in pixels of the upright picture.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct FaceBody {
    /// Left, top, width, height.
    r#box: [f32; 4],
    /// Both eyes, nose, both corners of the mouth; those on the picture's left first.
    landmarks: [[f32; 2]; 5],
    /// The detector's score, 0 to 1.
    score: f32,
}

impl From<Face> for FaceBody {
    fn from(Face { area, landmarks, score }: Face) -> Self {
        Self { r#box: area, landmarks, score }
    }
}

/// A component of quality, measured.
#[derive(Serialize, ToSchema)]
pub(crate) struct MeasureBody {
    /// In the component's own unit: pixels, degrees, shares.
    native: f32,
    /// 0 to 100.
    value: u8,
}

/// Components of quality by name, toward ISO/IEC 29794-5.
pub(crate) type QualityBody = BTreeMap<&'static str, MeasureBody>;

pub(crate) fn quality(quality: &Quality) -> QualityBody {
    let measure = |(component, measure): (&Component, &Measure)| {
        (component.as_str(), MeasureBody { native: measure.native, value: measure.value })
    };
    quality.measures().iter().map(measure).collect()
}

/// How good an image must be: least values, 0 to 100, of components of quality. What is not named is not asked for; if nothing is given, what
/// docs/quality.md says.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct GatesBody {
    /// To search with.
    #[schema(value_type = Object)]
    lookup: Gate,
    /// To go on record: at least as much of everything.
    #[schema(value_type = Object)]
    enrolment: Gate,
}

impl From<GatesBody> for Gates {
    fn from(GatesBody { lookup, enrolment }: GatesBody) -> Self {
        Self { lookup, enrolment }
    }
}

impl From<Gates> for GatesBody {
    fn from(Gates { lookup, enrolment }: Gates) -> Self {
        Self { lookup, enrolment }
    }
}

/// Under which index and hash the audit log holds the event of this request.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ReceiptBody {
    /// Position in the log, from 0.
    leaf_index: u64,
    /// RFC 6962 leaf hash, in hexadecimal.
    leaf_hash: String,
    /// Of lookups and verifications: the leaf's place in the log and the log's signature (c2sp.org/tlog-proof), to be kept. It can be asked for anew.
    #[serde(skip_serializing_if = "Option::is_none")]
    proof: Option<String>,
}

impl ReceiptBody {
    /// With the proof, if there is one.
    pub(crate) fn proven(receipt: Receipt, proof: Option<String>) -> Self {
        Self { proof, ..receipt.into() }
    }

    /// Adds the proof, if there is one.
    pub(crate) fn prove(&mut self, proof: Option<String>) {
        self.proof = proof;
    }
}

impl From<Receipt> for ReceiptBody {
    fn from(receipt: Receipt) -> Self {
        Self { leaf_index: receipt.leaf_index(), leaf_hash: receipt.leaf_hash().to_string(), proof: None }
    }
}

/// What was searched.
#[derive(Serialize, ToSchema)]
pub(crate) struct CertificateBody {
    /// Whose templates were compared.
    #[schema(value_type = String)]
    model: ModelId,
    /// References compared, or ruled out by proof; one that stands on two of the watchlists counts in each. What an
    /// approximate index looked at does not count.
    compared: u64,
    /// References that the record held for these watchlists, counted in the store.
    expected: u64,
    /// Was every reference compared, none left out by an approximate index?
    exhaustive: bool,
    /// Where an approximate index was asked: of pairs of one person's references, the share that it missed when it
    /// was built; absent if all were compared, or there were too few pairs to say.
    #[serde(skip_serializing_if = "Option::is_none")]
    miss_rate: Option<f32>,
    /// Which build of the gallery was searched; absent where the record itself was.
    #[serde(skip_serializing_if = "Option::is_none")]
    generation: Option<u64>,
    /// By which calibration thresholds and rates are told; absent where the model has none.
    #[schema(value_type = Option<String>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    calibration: Option<CalibrationId>,
    /// Up to which event of the record.
    as_of: u64,
    /// When.
    #[schema(value_type = String, format = DateTime)]
    searched_at: Timestamp,
    /// The same for each watchlist.
    watchlists: Vec<SearchedBody>,
}

/// What was searched of one watchlist.
#[derive(Serialize, ToSchema)]
struct SearchedBody {
    /// Which.
    #[schema(value_type = String)]
    id: WatchlistId,
    /// From which score on a reference is a candidate.
    threshold: f32,
    /// How often a stranger's lookup reaches it on this watchlist; absent where no calibration tells.
    #[serde(skip_serializing_if = "Option::is_none")]
    fpir: Option<FpirBody>,
    /// References compared.
    compared: u64,
    /// References that the record held.
    expected: u64,
}

impl From<Certificate> for CertificateBody {
    fn from(certificate: Certificate) -> Self {
        let Certificate {
            model,
            compared,
            expected,
            exhaustive,
            miss_rate,
            generation,
            calibration,
            as_of,
            searched_at,
            watchlists,
        } = certificate;
        let searched = |searched: gallery::decision::Searched| SearchedBody {
            id: searched.watchlist,
            threshold: searched.threshold,
            fpir: searched.fpir.map(Into::into),
            compared: searched.compared,
            expected: searched.expected,
        };
        Self {
            model,
            compared,
            expected,
            exhaustive,
            miss_rate,
            generation: generation.map(|generation| generation.0),
            calibration,
            as_of: as_of.0,
            searched_at,
            watchlists: watchlists.into_iter().map(searched).collect(),
        }
    }
}
