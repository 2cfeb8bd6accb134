//! How good a sample is: components on a scale of 0 to 100, and gates of least values.
//!
//! Toward ISO/IEC 29794-5: names, direction and scale of the components are the standard's, and so is the way from a
//! native measure to the scale (as its reference implementation OFIQ has it) but for `sharpness`. The native measures are
//! estimates from five landmarks and the pixels of the face, where OFIQ has denser landmarks and trained estimators: the
//! values do not equal OFIQ's.
#![expect(clippy::cast_sign_loss, reason = "clamped to 0 to 100")]

use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, fmt};

/// A property of a sample that decides how well it can be compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Component {
    /// Distance of the eyes' centres in the picture, in pixels, as if seen from the front.
    InterEyeDistance,
    /// Turn of the head to a side, in degrees; estimated from landmarks, within about 10.
    HeadPoseYaw,
    /// Nod of the head, in degrees; estimated from landmarks, within about 15.
    HeadPosePitch,
    /// Tilt of the head to a shoulder, in degrees.
    HeadPoseRoll,
    /// Standard deviation of the Laplacian over the face, as the embedder sees it.
    Sharpness,
    /// Share of the face's pixels that are nearly black.
    UnderExposurePrevention,
    /// Share of the face's pixels that are nearly white.
    OverExposurePrevention,
    /// How alike both halves of the face are lit: the common part of their histograms.
    IlluminationUniformity,
    /// Area of the second largest face, as a share of the largest's.
    SingleFacePresent,
    /// The detector's score. Not one of the standard's components.
    DetectionScore,
}

impl Component {
    /// Every component.
    pub const ALL: &'static [Self] = &[
        Self::InterEyeDistance,
        Self::HeadPoseYaw,
        Self::HeadPosePitch,
        Self::HeadPoseRoll,
        Self::Sharpness,
        Self::UnderExposurePrevention,
        Self::OverExposurePrevention,
        Self::IlluminationUniformity,
        Self::SingleFacePresent,
        Self::DetectionScore,
    ];

    /// As it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::InterEyeDistance => "inter_eye_distance",
            Self::HeadPoseYaw => "head_pose_yaw",
            Self::HeadPosePitch => "head_pose_pitch",
            Self::HeadPoseRoll => "head_pose_roll",
            Self::Sharpness => "sharpness",
            Self::UnderExposurePrevention => "under_exposure_prevention",
            Self::OverExposurePrevention => "over_exposure_prevention",
            Self::IlluminationUniformity => "illumination_uniformity",
            Self::SingleFacePresent => "single_face_present",
            Self::DetectionScore => "detection_score",
        }
    }

    /// On the scale of 0 (worst) to 100, from the native measure; what is no number is worst.
    pub fn value(self, native: f64) -> u8 {
        let sigmoid = |x0: f64, w: f64| 1.0 / (1.0 + ((x0 - native) / w).exp());
        let quality = match self {
            Self::InterEyeDistance => 100.0 * sigmoid(70.0, 20.0),
            Self::HeadPoseYaw | Self::HeadPosePitch | Self::HeadPoseRoll => {
                100.0 * native.to_radians().cos().max(0.0).powi(2)
            }
            Self::Sharpness => 100.0 * sigmoid(SHARPNESS.0, SHARPNESS.1),
            Self::UnderExposurePrevention => 120.0 * (0.832 - sigmoid(0.92, 0.05)),
            Self::OverExposurePrevention => 1.0 / (native.max(0.0) + 0.01),
            Self::IlluminationUniformity => 100.0 * native.max(0.0).powf(0.3),
            Self::SingleFacePresent => 100.0 * (1.0 - native),
            Self::DetectionScore => 100.0 * native,
        };
        quality.round().clamp(0.0, 100.0) as u8 // NaN is 0
    }

    /// Is more of the native measure better?
    fn grows(self) -> bool {
        matches!(
            self,
            Self::InterEyeDistance | Self::Sharpness | Self::IlluminationUniformity | Self::DetectionScore
        )
    }

    /// The native measure at which a value is just reached, found by halving.
    pub fn native(self, value: u8) -> f64 {
        let (mut good, mut bad) = match self {
            Self::InterEyeDistance | Self::Sharpness => (1000.0, 0.0),
            Self::HeadPoseYaw | Self::HeadPosePitch | Self::HeadPoseRoll => (0.0, 90.0),
            _ if self.grows() => (1.0, 0.0),
            _ => (0.0, 1.0),
        };
        for _ in 0..60 {
            let middle = f64::midpoint(good, bad);
            if self.value(middle) >= value { good = middle } else { bad = middle }
        }
        good
    }
}

/// Where sharpness is 50, and how steep it is there: see [`Component::Sharpness`].
const SHARPNESS: (f64, f64) = (14.0, 5.0);

impl fmt::Display for Component {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why a text is not a component.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a known component of quality")]
pub struct ComponentError;

impl std::str::FromStr for Component {
    type Err = ComponentError;

    fn from_str(text: &str) -> Result<Self, ComponentError> {
        Self::ALL.iter().copied().find(|component| component.as_str() == text).ok_or(ComponentError)
    }
}

/// A component, measured.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Measure {
    /// In the component's own unit.
    pub native: f32,
    /// 0 to 100.
    pub value: u8,
}

/// What was measured of a sample. Whatever values are read with it, they are made anew of the native measures.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(from = "BTreeMap<Component, Measure>")]
pub struct Quality(BTreeMap<Component, Measure>);

impl From<BTreeMap<Component, Measure>> for Quality {
    fn from(measures: BTreeMap<Component, Measure>) -> Self {
        let mut quality = Self::default();
        for (component, Measure { native, .. }) in measures {
            quality.note(component, f64::from(native));
        }
        quality
    }
}

impl Quality {
    /// Notes a native measure.
    pub fn note(&mut self, component: Component, native: f64) {
        self.0.insert(component, Measure { native: native as f32, value: component.value(native) });
    }

    /// One component.
    pub fn get(&self, component: Component) -> Option<Measure> {
        self.0.get(&component).copied()
    }

    /// All of them.
    pub fn measures(&self) -> &BTreeMap<Component, Measure> {
        &self.0
    }

    /// The least value of all: what holds a sample back most.
    pub fn least(&self) -> u8 {
        self.0.values().map(|measure| measure.value).min().unwrap_or(0)
    }
}

/// Least values that a sample must reach.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Gate(pub BTreeMap<Component, u8>);

impl Gate {
    /// For searching, where nothing else is said: what is less is hardly ever found again.
    pub fn for_lookups() -> Self {
        // Eyes 23 px apart; yaw and pitch to 45°; roll is taken out by the alignment.
        Self(
            [
                (Component::InterEyeDistance, 9),
                (Component::HeadPoseYaw, 50),
                (Component::HeadPosePitch, 50),
                (Component::Sharpness, 10),
                (Component::UnderExposurePrevention, 10),
                (Component::OverExposurePrevention, 3),
                (Component::IlluminationUniformity, 20),
                (Component::DetectionScore, 70),
            ]
            .into(),
        )
    }

    /// For enrolling, where nothing else is said: who is on record is compared with for years.
    pub fn for_enrolment() -> Self {
        // Eyes 45 px apart, yaw and pitch to 30°.
        Self(
            [
                (Component::InterEyeDistance, 22),
                (Component::HeadPoseYaw, 75),
                (Component::HeadPosePitch, 75),
                (Component::Sharpness, 20),
                (Component::UnderExposurePrevention, 40),
                (Component::OverExposurePrevention, 6),
                (Component::IlluminationUniformity, 40),
                (Component::SingleFacePresent, 50),
                (Component::DetectionScore, 80),
            ]
            .into(),
        )
    }

    /// Is it within the scale?
    pub fn is_sound(&self) -> bool {
        self.0.values().all(|least| *least <= 100)
    }

    /// Does it ask for at least as much as the other, in everything?
    pub fn is_at_least(&self, other: &Self) -> bool {
        other.0.iter().all(|(component, least)| self.0.get(component).is_some_and(|own| own >= least))
    }

    /// What is missing, if anything. What was not measured is missing.
    pub fn shortfalls(&self, quality: &Quality) -> Vec<Shortfall> {
        let missing = |(&component, &wanted): (&Component, &u8)| {
            let found = quality.get(component).unwrap_or(Measure { native: f32::NAN, value: 0 });
            (found.value < wanted).then_some(Shortfall { component, found, wanted })
        };
        self.0.iter().filter_map(missing).collect()
    }
}

/// A component that is less than wanted. It says what to do.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Shortfall {
    /// Of what.
    pub component: Component,
    /// How much there is.
    pub found: Measure,
    /// The value that is wanted.
    pub wanted: u8,
}

impl fmt::Display for Shortfall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (found, wanted) = (f64::from(self.found.native), self.component.native(self.wanted));
        // Rounded so that who does what is said has done enough.
        let wanted = if self.component == Component::InterEyeDistance { wanted.ceil() } else { wanted };
        let percent = |share: f64| 100.0 * share;
        match self.component {
            _ if found.is_nan() => write!(f, "{} could not be measured", self.component),
            Component::InterEyeDistance => {
                write!(f, "move closer: eyes {found:.0} px apart, {wanted:.0} wanted")
            }
            Component::HeadPoseYaw => {
                write!(f, "look at the camera: head turned by {found:.0}°, at most {wanted:.0}° wanted")
            }
            Component::HeadPosePitch => {
                write!(f, "hold the head level: nodding by {found:.0}°, at most {wanted:.0}° wanted")
            }
            Component::HeadPoseRoll => {
                write!(f, "hold the head upright: tilted by {found:.0}°, at most {wanted:.0}° wanted")
            }
            Component::Sharpness => {
                write!(f, "hold still and focus: sharpness {found:.1}, {wanted:.1} wanted")
            }
            Component::UnderExposurePrevention => {
                let (found, wanted) = (percent(found), percent(wanted));
                write!(f, "more light: {found:.0} % of the face is black, at most {wanted:.0} % wanted")
            }
            Component::OverExposurePrevention => {
                let (found, wanted) = (percent(found), percent(wanted));
                write!(f, "less light: {found:.0} % of the face is white, at most {wanted:.0} % wanted")
            }
            Component::IlluminationUniformity => {
                let (found, wanted) = (percent(found), percent(wanted));
                write!(
                    f,
                    "light from the front: both halves of the face are lit {found:.0} % alike, {wanted:.0} % wanted"
                )
            }
            Component::SingleFacePresent => {
                let (found, wanted) = (percent(found), percent(wanted));
                write!(
                    f,
                    "one person alone: a second face is {found:.0} % as large, at most {wanted:.0} % wanted"
                )
            }
            Component::DetectionScore => {
                write!(f, "show the whole face: the detector is sure to {found:.2}, {wanted:.2} wanted")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scale_is_that_of_the_reference_implementation() {
        let known = [
            (Component::InterEyeDistance, 60.0, 38),
            (Component::InterEyeDistance, 90.0, 73),
            (Component::HeadPoseYaw, 30.0, 75),
            (Component::HeadPoseYaw, 45.0, 50),
            (Component::OverExposurePrevention, 0.05, 17),
            (Component::OverExposurePrevention, 0.0, 100),
            (Component::SingleFacePresent, 0.25, 75),
            (Component::HeadPoseYaw, 170.0, 0),
            (Component::DetectionScore, f64::NAN, 0),
        ];
        for (component, native, value) in known {
            assert_eq!(component.value(native), value, "{component} {native}");
        }
    }

    #[test]
    fn a_value_is_reached_at_its_native_measure_and_not_much_before() {
        for &component in Component::ALL {
            for value in [1, 10, 38, 50, 75, 95] {
                let native = component.native(value);
                assert!(component.value(native) >= value, "{component} {value}");
                if component.grows() && component.value(0.0) >= value {
                    continue; // there at no distance at all
                }
                let worse = if component.grows() { native - 1e-3 } else { native + 1e-3 };
                assert!(component.value(worse) <= value, "{component} {value}");
            }
            assert_eq!(component.as_str().parse(), Ok(component));
        }
    }

    #[test]
    fn a_value_that_does_not_follow_from_its_measure_is_not_believed() {
        let told = [(Component::InterEyeDistance, Measure { native: 30.0, value: 100 })];
        let quality = Quality::from(BTreeMap::from(told));
        assert_eq!(quality.get(Component::InterEyeDistance).unwrap().value, 12);
    }

    #[test]
    fn what_falls_short_says_what_to_do() {
        let mut quality = Quality::default();
        quality.note(Component::InterEyeDistance, 31.0);
        quality.note(Component::HeadPoseYaw, 3.0);
        let gate = Gate([(Component::InterEyeDistance, 38), (Component::HeadPoseYaw, 75)].into());
        let [shortfall] = gate.shortfalls(&quality)[..] else { panic!("one") };
        assert_eq!(shortfall.to_string(), "move closer: eyes 31 px apart, 60 wanted");
        let unmeasured = Gate([(Component::Sharpness, 1)].into()).shortfalls(&quality);
        assert_eq!(unmeasured[0].to_string(), "sharpness could not be measured");
    }

    #[test]
    fn enrolment_asks_for_more_than_a_lookup() {
        assert!(Gate::for_enrolment().is_at_least(&Gate::for_lookups()));
        assert!(!Gate::for_lookups().is_at_least(&Gate::for_enrolment()));
    }
}
