//! From raw features to templates: what a model profile prescribes.

use crate::kernel::Block;
use std::{fmt, sync::Arc};

/// The name of the model that made a template: 1 to 64 of `a-z 0-9 . _ -`, beginning with a letter or digit.
/// Templates of two models are never compared.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct ModelId(Arc<str>);

/// Why a text is not a model id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a model id is 1 to 64 of a-z, 0-9, '.', '_', '-', beginning with a letter or a digit")]
pub struct ModelIdError;

impl ModelId {
    /// # Errors
    /// When the text has another form.
    pub fn new(text: &str) -> Result<Self, ModelIdError> {
        let plain = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit();
        let bytes = text.as_bytes();
        let good = bytes.len() <= 64
            && bytes.first().copied().is_some_and(plain)
            && bytes.iter().all(|&c| plain(c) || b"._-".contains(&c));
        if good { Ok(Self(text.into())) } else { Err(ModelIdError) }
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<ModelId> for String {
    fn from(id: ModelId) -> Self {
        id.0.as_ref().to_owned()
    }
}

impl TryFrom<String> for ModelId {
    type Error = ModelIdError;

    fn try_from(text: String) -> Result<Self, ModelIdError> {
        Self::new(&text)
    }
}

impl fmt::Display for ModelId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for ModelId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

/// The largest dimension of a model that Limen accepts.
pub const DIMENSION_LIMIT: usize = 4096;

/// How raw features of one model become templates: each vector is brought to unit length, the model's
/// population mean (of unit-length vectors) is subtracted where one is known, and the rest is brought to
/// unit length again. Subtracting the mean cuts misses by a fifth on real data.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelProfile {
    id: ModelId,
    dimension: usize,
    mean: Option<Arc<[f32]>>,
}

/// Why a model profile is refused.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum ModelProfileError {
    /// Zero, or above [`DIMENSION_LIMIT`].
    #[error("a model's dimension is from 1 to {DIMENSION_LIMIT}, not {0}")]
    Dimension(usize),
    /// The mean vector has another number of elements than the model.
    #[error("the mean vector has {found} elements, the model has {expected}")]
    MeanLength {
        /// The model's dimension.
        expected: usize,
        /// The mean's length.
        found: usize,
    },
    /// The mean of unit vectors is finite and shorter than 1.
    #[error("the mean vector is not the mean of unit vectors: its length is not below 1")]
    MeanNorm,
}

/// Why raw features are not a template.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum TemplateError {
    /// Another number of features than the model has.
    #[error("the model has {expected} features, this vector has {found}")]
    Dimension {
        /// The model's dimension.
        expected: usize,
        /// The number of features given.
        found: usize,
    },
    /// NaN or infinity, at this index.
    #[error("feature {index} is not a finite number")]
    NotFinite {
        /// Counted from zero.
        index: usize,
    },
    /// All features are zero.
    #[error("the vector is zero: it has no direction")]
    Zero,
    /// Nothing is left after the mean is subtracted.
    #[error("the vector is the model's population mean: nothing distinguishes it")]
    IsMean,
}

impl ModelProfile {
    /// # Errors
    /// When the dimension is out of range or the mean is not one of unit vectors of that dimension.
    pub fn new(id: ModelId, dimension: usize, mean: Option<Vec<f32>>) -> Result<Self, ModelProfileError> {
        if !(1..=DIMENSION_LIMIT).contains(&dimension) {
            return Err(ModelProfileError::Dimension(dimension));
        }
        if let Some(mean) = &mean {
            if mean.len() != dimension {
                return Err(ModelProfileError::MeanLength { expected: dimension, found: mean.len() });
            }
            let length = norm(mean.iter().map(|&x| f64::from(x)));
            if !length.is_finite() || length >= 1.0 {
                return Err(ModelProfileError::MeanNorm);
            }
        }
        Ok(Self { id, dimension, mean: mean.map(Into::into) })
    }

    /// The model's id.
    pub fn id(&self) -> &ModelId {
        &self.id
    }

    /// The number of features of a template.
    pub fn dimension(&self) -> usize {
        self.dimension
    }

    /// The population mean of the model's unit-length vectors, where known.
    pub fn mean(&self) -> Option<&[f32]> {
        self.mean.as_deref()
    }

    /// The template of raw features, computed in f64 and rounded once: the same bits on every processor.
    ///
    /// # Errors
    /// When the features are not finite, have another dimension, or no direction.
    pub fn template(&self, features: &[f32]) -> Result<Template, TemplateError> {
        if features.len() != self.dimension {
            return Err(TemplateError::Dimension { expected: self.dimension, found: features.len() });
        }
        if let Some(index) = features.iter().position(|x| !x.is_finite()) {
            return Err(TemplateError::NotFinite { index });
        }
        let length = norm(features.iter().map(|&x| f64::from(x)));
        if length == 0.0 {
            return Err(TemplateError::Zero);
        }
        let unit = features.iter().map(|&x| f64::from(x) / length);
        let features = match &self.mean {
            None => unit.map(|x| x as f32).collect(),
            Some(mean) => {
                let rest: Vec<f64> = unit.zip(mean.iter()).map(|(x, &m)| x - f64::from(m)).collect();
                let length = norm(rest.iter().copied());
                // Below this, what is left is the rounding of the f32 features, not a person.
                if length < 1e-6 {
                    return Err(TemplateError::IsMean);
                }
                rest.iter().map(|x| (x / length) as f32).collect()
            }
        };
        Ok(Template { model: self.id.clone(), features })
    }
}

fn norm(values: impl Iterator<Item = f64>) -> f64 {
    values.map(|x| x * x).sum::<f64>().sqrt()
}

/// Features of one sample made by one model, ready to be compared: finite, of unit length to f32 rounding,
/// of the model's dimension. Made only by [`ModelProfile::template`].
#[derive(Clone, PartialEq)]
pub struct Template {
    model: ModelId,
    features: Box<[f32]>,
}

impl Template {
    /// The model that made it.
    pub fn model(&self) -> &ModelId {
        &self.model
    }

    /// Unit-length features.
    pub fn features(&self) -> &[f32] {
        &self.features
    }
}

impl fmt::Debug for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Template({}, {} features)", self.model, self.features.len())
    }
}

/// A template prepared to be searched with: padded to the blocks that kernels read.
#[derive(Clone)]
pub struct Probe {
    model: ModelId,
    blocks: Box<[Block]>,
}

impl Probe {
    /// Prepares a template.
    pub fn new(template: &Template) -> Self {
        Self { model: template.model.clone(), blocks: Block::pad(&template.features).collect() }
    }

    /// A reference's template.
    pub(crate) fn of_blocks(model: ModelId, blocks: &[Block]) -> Self {
        Self { model, blocks: blocks.into() }
    }

    /// The model that made the template.
    pub fn model(&self) -> &ModelId {
        &self.model
    }

    /// Zero-padded features.
    pub fn blocks(&self) -> &[Block] {
        &self.blocks
    }
}

impl fmt::Debug for Probe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Probe({}, {} blocks)", self.model, self.blocks.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn profile(dimension: usize, mean: Option<Vec<f32>>) -> ModelProfile {
        ModelProfile::new(ModelId::new("m").unwrap(), dimension, mean).unwrap()
    }

    #[test]
    fn bad_features_are_refused_by_what_is_wrong_with_them() {
        let profile = profile(3, None);
        let refused = |features: &[f32]| profile.template(features).unwrap_err();
        assert_eq!(refused(&[1.0, 2.0]), TemplateError::Dimension { expected: 3, found: 2 });
        assert_eq!(refused(&[1.0, f32::NAN, 0.0]), TemplateError::NotFinite { index: 1 });
        assert_eq!(refused(&[1.0, 0.0, f32::NEG_INFINITY]), TemplateError::NotFinite { index: 2 });
        assert_eq!(refused(&[0.0, -0.0, 0.0]), TemplateError::Zero);
    }

    #[test]
    fn a_vector_equal_to_the_mean_is_refused() {
        let profile = profile(2, Some(vec![0.999_999_9, 0.0]));
        assert_eq!(profile.template(&[5.0, 0.0]), Err(TemplateError::IsMean));
    }

    #[test]
    fn a_mean_that_cannot_be_one_of_unit_vectors_is_refused() {
        let new = |mean| ModelProfile::new(ModelId::new("m").unwrap(), 2, Some(mean));
        assert_eq!(new(vec![0.0]), Err(ModelProfileError::MeanLength { expected: 2, found: 1 }));
        assert_eq!(new(vec![1.0, 1.0]), Err(ModelProfileError::MeanNorm));
        assert_eq!(new(vec![f32::NAN, 0.0]), Err(ModelProfileError::MeanNorm));
    }

    #[test]
    fn the_mean_is_subtracted_from_the_unit_vector() {
        let template = profile(2, Some(vec![0.6, 0.0])).template(&[3.0, 4.0]).unwrap();
        let [x, y] = *template.features() else { panic!("two features") };
        assert!(x.abs() < 1e-6 && (y - 1.0).abs() < 1e-6, "{x} {y}");
    }

    #[test]
    fn debug_shows_no_feature() {
        let template = profile(2, None).template(&[3.0, 4.0]).unwrap();
        assert_eq!(
            format!("{template:?} {:?}", Probe::new(&template)),
            "Template(m, 2 features) Probe(m, 1 blocks)"
        );
    }

    #[test]
    fn model_ids_have_one_plain_form() {
        for bad in ["", "-a", "A", "a b", "a/b", &"a".repeat(65)] {
            assert_eq!(ModelId::new(bad), Err(ModelIdError), "{bad:?}");
        }
        assert_eq!(ModelId::new("sface-2021dec_v1.0").unwrap().as_str(), "sface-2021dec_v1.0");
    }

    proptest! {
        #[test]
        fn every_finite_nonzero_vector_becomes_unit_length(
            features in prop::collection::vec(prop_oneof![-1e30f32..1e30, Just(1e-45), Just(f32::MAX)], 1..600)
        ) {
            match profile(features.len(), None).template(&features) {
                Ok(template) => {
                    let length = norm(template.features().iter().map(|&x| f64::from(x)));
                    prop_assert!((length - 1.0).abs() < 1e-6, "{length}");
                }
                Err(error) => {
                    prop_assert_eq!(error, TemplateError::Zero);
                    prop_assert!(features.iter().all(|&x| x == 0.0));
                }
            }
        }
    }
}
