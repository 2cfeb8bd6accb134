//! Upper bounds of scores: what the cheaper tests of a search compare with the threshold.
//!
//! The inequalities are proved in `docs/search.md` under the numbers that stand here. Throughout, `x` is a
//! reference and `q` a probe, both templates, `A` the axes of a plan, `y = A·x` and `p = A·q` their leading
//! coordinates, and everything that rounding may do is added to the bound, so that it holds for what is
//! computed and not for what is meant.

use crate::{
    kernel::{Line, Slopes},
    projection::{UNDERFLOW, score_roundings},
    quantize::{Up16, down, gamma, quantize, rounding_margin, step_for, up},
    score::Threshold,
};

/// No template is longer: its features are those of a unit vector, each rounded once to `f32`.
pub const NORM: f64 = 1.0 + 1.0 / (1 << 20) as f64;

/// What `f64` may add to a sum of at most 8192 terms whose absolute values sum to at most 4.
pub const ROUNDING_F64: f64 = 1e-11;

/// How far the computed score of two templates may lie above their inner product.
///
/// Inequality (5): `|score − ⟨q, x⟩| ≤ γ_k·‖q‖·‖x‖`, k the roundings through which a product passes.
pub fn score_slack(dimension: usize) -> f64 {
    gamma(score_roundings(dimension)) * NORM * NORM + UNDERFLOW
}

/// A template in the leading coordinates of a plan.
#[derive(Clone)]
pub struct Seen {
    /// The coordinates as computed.
    pub lead: Vec<f64>,
    /// Upper bound of the norm of what rounding added to them.
    pub rounding: f64,
    /// Upper bound of the norm of `x − Aᵀ·A·x`: what the axes do not see.
    pub tail: f64,
}

/// How far the axes are from orthonormal: an upper bound of `‖A·Aᵀ − I‖`.
#[derive(Clone, Copy, Debug)]
pub struct Deviation(pub f64);

impl Deviation {
    /// Upper bound of `‖A·x‖` for a template.
    pub fn lead_norm(self) -> f64 {
        (1.0 + self.0).sqrt() * NORM
    }

    /// Inequality (2): `‖x − Aᵀ·y‖² ≤ ‖x‖² − ‖y‖² + ‖A·Aᵀ − I‖·‖y‖²`, where `‖y‖` is not below the norm of
    /// the computed coordinates less their rounding. Takes the squared norms of `x` and of these, and gives
    /// an upper bound of the tail's norm.
    pub fn tail(self, squared_norm: f64, squared_lead: f64, rounding: f64) -> f64 {
        let lead = (squared_lead.sqrt() - rounding).max(0.0);
        let square = squared_norm - lead * lead + self.0 * self.lead_norm().powi(2) + ROUNDING_F64;
        square.max(0.0).sqrt() * (1.0 + 4.0 * f64::EPSILON)
    }
}

/// A reference in leading 8-bit codes: inequality (3), `y = s·c + u`, with `‖u‖` at most `error`.
#[derive(Clone, Debug)]
pub struct LeadRow {
    /// The codes c, of the plan's step s.
    pub codes: Vec<i8>,
    /// Upper bound of the norm of what they leave out.
    pub error: Up16,
    /// Upper bound of the norm of the tail.
    pub tail: Up16,
}

impl LeadRow {
    /// The reference's codes at the plan's step.
    pub fn of(seen: &Seen, step: f32) -> Self {
        let (codes, error) = quantize(&seen.lead, step);
        Self { codes, error: Up16::of(error + seen.rounding), tail: Up16::of(seen.tail) }
    }
}

/// A probe in leading 8-bit codes: `p = s_q·d + v`, and all that its bound needs beside the row's own terms.
#[derive(Clone, Debug)]
pub struct LeadProbe {
    /// The codes d.
    pub codes: Vec<i8>,
    /// `1 / (s_q·s)`: dot products of codes for each unit of score.
    unit: f64,
    /// Upper bound of `‖s_q·d‖`.
    norm: f64,
    /// Upper bound of the norm of the probe's tail.
    tail: f64,
    /// What is added for every row.
    slack: f64,
}

impl LeadProbe {
    /// The probe's codes, to be swept over rows with codes at the plan's `step`.
    pub fn of(seen: &Seen, step: f32, deviation: Deviation, dimension: usize) -> Self {
        let (own_step, codes, norm, error) = coded(&seen.lead);
        let lead = deviation.lead_norm();
        let slack = (error + seen.rounding) * lead + deviation.0 * lead * lead + score_slack(dimension);
        Self {
            codes,
            unit: (own_step * f64::from(step)).recip(),
            norm,
            tail: seen.tail,
            slack: slack * (1.0 + 1e-12),
        }
    }

    /// The test that a row must pass to be looked at more closely.
    ///
    /// Inequality (4): `score ≤ s_q·s·⟨d, c⟩ + ‖s_q·d‖·‖u‖ + ‖v‖·‖y‖ + ‖q − Aᵀp‖·‖x − Aᵀy‖ + ‖A·Aᵀ − I‖·‖p‖·‖y‖`
    /// and the slack of (5). Divided by `s_q·s`, it becomes a limit for the integer `⟨d, c⟩`; (6) what the
    /// evaluation of that limit in `f32` may add is taken off its start: two fused multiply-adds, each with a
    /// relative error of 2^-24, on terms that are at most `|α| + 2β + 2γ` together.
    pub fn slopes(&self, threshold: Threshold) -> Slopes {
        let start = (f64::from(threshold.value()) - self.slack) * self.unit;
        let (error, tail) = (self.norm * self.unit, self.tail * self.unit);
        let margin = (start.abs() + 2.0 * error + 2.0 * tail) / f64::from(1 << 22) + 1e-30;
        let exactly = 1.0 + 4.0 * f64::EPSILON;
        Slopes { start: down(start - margin), error: up(error * exactly), tail: up(tail * exactly) }
    }
}

/// A reference in 8-bit codes of all its features: `x = s·c + u`, with the row's own step.
#[derive(Clone, Debug)]
pub struct FullRow {
    /// The codes c.
    pub codes: Vec<i8>,
    /// What is needed beside them.
    pub terms: FullTerms,
}

/// What the second bound needs of a row beside its codes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FullTerms {
    /// The step s.
    pub step: f32,
    /// Upper bound of the norm of what the codes leave out.
    pub error: f32,
}

impl FullRow {
    /// A template's codes.
    pub fn of(features: &[f64]) -> Self {
        let step = step_for(features, f32::MIN_POSITIVE);
        let (codes, error) = quantize(features, step);
        Self { codes, terms: FullTerms { step, error: up(error) } }
    }
}

/// A probe in 8-bit codes of all its features.
#[derive(Clone, Debug)]
pub struct FullProbe {
    /// Signed codes d, padded with zeros.
    pub codes: Vec<Line>,
    /// 128 times the sum of the codes: rows are stored with 128 added.
    offset: i32,
    step: f64,
    norm: f64,
    slack: f64,
}

impl FullProbe {
    /// A template's codes.
    pub fn of(features: &[f64]) -> Self {
        let (step, codes, norm, error) = coded(features);
        let offset = 128 * codes.iter().map(|&code| i32::from(code)).sum::<i32>();
        let codes = lines(codes.iter().map(|code| code.cast_unsigned()));
        Self { codes, offset, step, norm, slack: error * NORM + score_slack(features.len()) + ROUNDING_F64 }
    }

    /// Inequality (7): `score ≤ s_q·s·⟨d, c⟩ + ‖s_q·d‖·‖u‖ + ‖v‖·‖x‖` and the slack of (5), from the dot
    /// product of the codes as they are stored.
    pub fn bound(&self, dot: i32, row: FullTerms) -> f64 {
        let dot = f64::from(dot - self.offset);
        self.step * f64::from(row.step) * dot + self.norm * f64::from(row.error) + self.slack
    }
}

/// A probe's step, codes, the norm of what they stand for, and of what they leave out; both upper bounds.
fn coded(values: &[f64]) -> (f64, Vec<i8>, f64, f64) {
    const LEAST_STEP: f32 = 1.0 / (1u64 << 40) as f32; // so that no limit overflows
    let step = step_for(values, LEAST_STEP);
    let (codes, error) = quantize(values, step);
    let squares: i32 = codes.iter().map(|&code| i32::from(code).pow(2)).sum();
    let norm = f64::from(step) * f64::from(squares).sqrt() * rounding_margin(1);
    (f64::from(step), codes, norm, error)
}

/// Bytes in whole lines, padded with zeros.
pub fn lines(bytes: impl Iterator<Item = u8>) -> Vec<Line> {
    let bytes: Vec<u8> = bytes.collect();
    let line = |chunk: &[u8]| Line(std::array::from_fn(|i| chunk.get(i).copied().unwrap_or(0)));
    bytes.chunks(64).map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        kernel::{Block, Kernel},
        plan::Plan,
        projection::Projection,
        template::{ModelId, ModelProfile},
    };
    use ndarray::Array2;
    use proptest::prelude::*;

    /// Two templates and axes that need not be orthonormal, the templates near the axes or far from them.
    #[derive(Clone, Debug)]
    struct Case {
        x: Vec<f32>,
        q: Vec<f32>,
        axes: Array2<f64>,
    }

    fn template(features: &[f32]) -> Vec<f32> {
        let profile = ModelProfile::new(ModelId::new("m").unwrap(), features.len(), None).unwrap();
        profile.template(features).map_or_else(|_| vec![], |template| template.features().to_vec())
    }

    fn case() -> impl Strategy<Value = Case> {
        (2usize..150)
            .prop_flat_map(|dimension| {
                let feature = || {
                    let feature =
                        prop_oneof![6 => -1.0f32..1.0, 1 => -1e-6f32..1e-6, 1 => Just(0.0), 1 => Just(1e-44)];
                    prop::collection::vec(feature, dimension)
                };
                let axes = (1..=dimension)
                    .prop_flat_map(move |count| prop::collection::vec(-1.0f64..1.0, count * dimension));
                (feature(), feature(), axes, -1e-3f64..1e-3, any::<[bool; 3]>())
            })
            .prop_filter_map("a direction", |(x, q, axes, off, [x_on_axis, q_on_axis, near])| {
                let dimension = x.len();
                let mut axes = Array2::from_shape_vec((axes.len() / dimension, dimension), axes).unwrap();
                crate::projection::orthonormalise(&mut axes);
                let first: Vec<f32> = axes.row(0).iter().map(|&a| a as f32).collect();
                // Off by a little, so that the deviation matters.
                axes.iter_mut()
                    .enumerate()
                    .for_each(|(i, a)| *a += off * (i as f64).sin() / dimension as f64);
                let (x, q) = (if x_on_axis { first.clone() } else { x }, if q_on_axis { first } else { q });
                let q = if near { x.iter().zip(&q).map(|(x, q)| x + 0.01 * q).collect() } else { q };
                let (x, q) = (template(&x), template(&q));
                (!x.is_empty() && !q.is_empty()).then_some(Case { x, q, axes })
            })
    }

    fn blocks(features: &[f32]) -> Vec<Block> {
        Block::pad(features).collect()
    }

    fn wide(features: &[f32]) -> Vec<f64> {
        features.iter().copied().map(f64::from).collect()
    }

    fn inner(a: &[f64], b: &[f64]) -> f64 {
        a.iter().zip(b).map(|(a, b)| a * b).sum()
    }

    fn norm(a: &[f64]) -> f64 {
        inner(a, a).sqrt()
    }

    impl Case {
        fn projection(&self) -> Projection {
            Projection::of(&self.axes)
        }

        /// The axes as they are stored, applied in f64.
        fn lead(&self, x: &[f32]) -> Vec<f64> {
            let axis = |i: usize| wide(&self.axes.row(i).iter().map(|&a| a as f32).collect::<Vec<_>>());
            (0..self.axes.nrows()).map(|i| inner(&axis(i), &wide(x))).collect()
        }

        fn rest(&self, x: &[f32]) -> Vec<f64> {
            let lead = self.lead(x);
            let seen = |j: usize| {
                (0..lead.len()).map(|i| f64::from(self.axes[[i, j]] as f32) * lead[i]).sum::<f64>()
            };
            (0..x.len()).map(|j| f64::from(x[j]) - seen(j)).collect()
        }

        fn plan(&self) -> Plan {
            let mut sample = crate::rows::Rows::new(ModelId::new("m").unwrap(), self.x.len());
            let profile = ModelProfile::new(ModelId::new("m").unwrap(), self.x.len(), None).unwrap();
            sample.push(&profile.template(&self.q).unwrap());
            Plan::fitted(Kernel::Scalar, Some(self.projection()), &sample)
        }

        fn score(&self) -> f32 {
            let mut score = [0.0];
            Kernel::Scalar.scores(&blocks(&self.q), &blocks(&self.x), &mut score);
            score[0]
        }
    }

    /// What the tests themselves may be off by, in f64.
    const TEST: f64 = 1e-13;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(1_000))]

        #[test]
        fn inequality_1_an_inner_product_is_at_most_its_lead_and_its_tails(case in case()) {
            let deviation = case.projection().deviation();
            let (y, p) = (case.lead(&case.x), case.lead(&case.q));
            let tails = norm(&case.rest(&case.x)) * norm(&case.rest(&case.q));
            let bound = inner(&p, &y) + tails + deviation * norm(&p) * norm(&y);
            prop_assert!(inner(&wide(&case.q), &wide(&case.x)) <= bound + TEST);
        }

        #[test]
        fn inequality_2_a_tail_is_at_most_what_norms_tell(case in case()) {
            let projection = case.projection();
            let seen: Vec<f64> = wide(&projection.project(Kernel::Scalar, &blocks(&case.x)));
            let x = wide(&case.x);
            let tail = Deviation(projection.deviation()).tail(inner(&x, &x), inner(&seen, &seen), projection.rounding() * NORM);
            prop_assert!(norm(&case.rest(&case.x)) <= tail + TEST);
        }

        #[test]
        fn inequality_3_codes_and_rounding_leave_out_no_more_than_is_said(case in case()) {
            let projection = case.projection();
            let computed = wide(&projection.project(Kernel::Scalar, &blocks(&case.x)));
            let exact = case.lead(&case.x);
            let off: Vec<f64> = exact.iter().zip(&computed).map(|(a, b)| a - b).collect();
            prop_assert!(norm(&off) <= projection.rounding() * NORM + 1e-16);
            let row = case.plan().row(Kernel::Scalar, &blocks(&case.x));
            let step = f64::from(case.plan().step());
            let left: Vec<f64> = exact.iter().zip(&row.codes).map(|(y, &c)| y - step * f64::from(c)).collect();
            prop_assert!(norm(&left) <= f64::from(row.error.value()) + 1e-16);
        }

        #[test]
        fn inequality_4_and_6_a_row_below_its_limit_is_below_the_threshold(case in case(), below in 0u32..3) {
            let plan = case.plan();
            let row = plan.row(Kernel::Scalar, &blocks(&case.x));
            let probe = plan.probe(Kernel::Scalar, &blocks(&case.q));
            let dot: i32 = row.codes.iter().zip(&probe.codes).map(|(&c, &d)| i32::from(c) * i32::from(d)).sum();
            let peak = crate::kernel::Peak { error: row.error.value(), tail: row.tail.value() };
            // At its own score a row survives; and at any threshold that is not above it.
            let score = (0..below).fold(case.score().clamp(-1.0, 1.0), |score, _| score.next_down().max(-1.0));
            let limit = probe.slopes(Threshold::new(score).unwrap()).limit(peak);
            prop_assert!(dot >= limit, "{dot} < {limit}");
        }

        #[test]
        fn inequality_5_a_score_is_near_the_inner_product(case in case()) {
            let exact = inner(&wide(&case.q), &wide(&case.x));
            prop_assert!((f64::from(case.score()) - exact).abs() <= score_slack(case.x.len()));
        }

        #[test]
        fn inequality_7_a_score_is_at_most_the_bound_of_its_full_codes(case in case()) {
            let row = FullRow::of(&wide(&case.x));
            let probe = FullProbe::of(&wide(&case.q));
            let stored = lines(row.codes.iter().map(|code| code.cast_unsigned() ^ 0x80));
            let bound = probe.bound(Kernel::Scalar.dot(&stored, &probe.codes), row.terms);
            prop_assert!(f64::from(case.score()) <= bound, "{} > {bound}", case.score());
            // And it is of use: within what two roundings to 8 bits can leave out.
            prop_assert!(bound - f64::from(case.score()) < 0.02 * (case.x.len() as f64).sqrt());
        }
    }
}
