//! Hashes of features and images in events, behind the salt of their leaf: what they are of can be proven, not guessed.

use crate::{
    id::{EncounterId, SubjectId, WatchlistId},
    subject::Listing,
};
use audit::hash::Hash;
use matcher::template::ModelId;
use serde::{Deserialize, Serialize};

/// What a probe was: its model, and its features hidden behind the leaf's salt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProbeDigest {
    /// Whose template.
    pub model: ModelId,
    /// SHA-256 of salt and features.
    pub salted_sha256: String,
    /// SHA-256 of salt and the SHA-256 of the image of which they were made here; none of a caller's own features.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
}

impl ProbeDigest {
    /// Of these features, made of this image if one came.
    pub(crate) fn new(salt: &[u8; 32], model: ModelId, features: &[f32], image: Option<Hash>) -> Self {
        let salted_sha256 = salted_digest(salt, features).to_string();
        Self { model, salted_sha256, image: image.map(|image| salted_image(salt, image).to_string()) }
    }
}

/// The hash of an image's hash behind a salt.
pub(crate) fn salted_image(salt: &[u8; 32], image: Hash) -> Hash {
    audit::hash::sha256(&[b"limen/image/v1\0", salt, &image.0])
}

/// The hash of features behind a salt.
pub fn salted_digest(salt: &[u8; 32], features: &[f32]) -> Hash {
    let bytes: Vec<u8> = features.iter().flat_map(|x| x.to_le_bytes()).collect();
    audit::hash::sha256(&[b"limen/features/v1\0", salt, &bytes])
}

/// The hash of what one row of an enrolment put on record, behind a salt: who, which encounter, on which list,
/// why and with which remarks (as JSON), with which features.
pub(crate) fn record_digest(
    salt: &[u8; 32],
    subject: SubjectId,
    encounter: EncounterId,
    entry: Option<(WatchlistId, &Listing)>,
    features: &[f32],
) -> Hash {
    let told = |listing| serde_json::to_string(listing).expect("text keys");
    let (list, listing) =
        entry.map_or(([0; 16], String::new()), |(list, listing)| (list.bytes(), told(listing)));
    let features = salted_digest(salt, features);
    let parts: [&[u8]; 7] = [
        b"limen/record/v2\0",
        salt,
        &subject.bytes(),
        &encounter.bytes(),
        &list,
        listing.as_bytes(),
        &features.0,
    ];
    audit::hash::sha256(&parts)
}
