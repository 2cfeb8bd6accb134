//! How a generation codes its references: along which axes, and at which step.

use crate::{
    bound::{Deviation, LeadProbe, LeadRow, Seen},
    bytes::{Reader, Writer},
    kernel::{Block, Kernel, LANES, QUADS_A_ROUND},
    projection::Projection,
    quantize::{CODE_LIMIT, step_for, up},
    rows::Rows,
    template::DIMENSION_LIMIT,
};

/// The stages of a search, chosen for a generation. Any plan gives the same answers; a good one gives them
/// sooner.
#[derive(Clone, Debug)]
pub struct Plan {
    dimension: usize,
    /// Leading axes, followed by a second stage with codes of all features; without axes the features
    /// themselves are coded in the first stage, and there is no second.
    projection: Option<Projection>,
    step: f32,
}

/// Steps are not smaller, so that no limit overflows.
const LEAST_STEP: f32 = 1.0 / (1 << 20) as f32;

impl Plan {
    /// For templates of which nothing is known but their dimension: all features, at a step for templates
    /// without a preferred direction.
    pub fn unfitted(dimension: usize) -> Self {
        // Of a unit vector's coordinates, one in a hundred million lies beyond 5.5 standard deviations.
        let greatest = (5.5 / (dimension as f64).sqrt()).min(1.0);
        Self { dimension, projection: None, step: up(greatest / f64::from(CODE_LIMIT)) }
    }

    /// Along these axes, or along the features themselves; at the step that suits the sample.
    ///
    /// # Panics
    /// When the sample is empty, or the axes are not of its dimension.
    pub fn fitted(kernel: Kernel, projection: Option<Projection>, sample: &Rows) -> Self {
        let dimension = sample.dimension();
        assert!(
            projection.as_ref().is_none_or(|axes| axes.dimension() == dimension),
            "axes of another dimension"
        );
        let mut plan = Self { dimension, projection, step: LEAST_STEP };
        let greatest = |row: usize| step_for(&plan.see(kernel, sample.blocks(row, 1)).lead, LEAST_STEP);
        let mut steps: Vec<f32> = (0..sample.len()).map(greatest).collect();
        steps.sort_by(f32::total_cmp);
        // One row in a thousand is clipped, and pays with a larger error of its own.
        plan.step = steps[(steps.len() - 1) * 999 / 1000];
        plan
    }

    /// As bytes.
    pub fn write(&self, to: &mut Writer) {
        to.number(self.dimension);
        to.items(&[self.step], f32::to_le_bytes);
        to.number(self.projection.as_ref().map_or(0, Projection::len));
        if let Some(projection) = &self.projection {
            projection.write(to);
        }
    }

    /// What was written; `None` if it was not.
    pub fn read(from: &mut Reader<'_>) -> Option<Self> {
        let dimension = from.number().filter(|dimension| (1..=DIMENSION_LIMIT).contains(dimension))?;
        let step = from.items(1, f32::from_le_bytes)?[0];
        let axes = from.number().filter(|&axes| axes <= dimension)?;
        let projection = if axes == 0 { None } else { Some(Projection::read(dimension, axes, from)?) };
        (step.is_finite() && step > 0.0).then_some(Self { dimension, projection, step })
    }

    /// Features of a template.
    pub fn dimension(&self) -> usize {
        self.dimension
    }

    /// Blocks of a padded template.
    pub fn blocks(&self) -> usize {
        self.dimension.div_ceil(LANES)
    }

    /// Codes of the first stage.
    pub fn lead(&self) -> usize {
        self.projection.as_ref().map_or(self.dimension, Projection::len)
    }

    /// Groups of four codes of the first stage, in whole rounds.
    pub fn quads(&self) -> usize {
        self.lead().div_ceil(4).next_multiple_of(QUADS_A_ROUND)
    }

    /// What one unit of a code of the first stage stands for.
    pub fn step(&self) -> f32 {
        self.step
    }

    /// Is there a second stage, with codes of all features?
    pub fn has_full(&self) -> bool {
        self.projection.is_some()
    }

    /// A reference's codes for the first stage.
    pub fn row(&self, kernel: Kernel, template: &[Block]) -> LeadRow {
        LeadRow::of(&self.see(kernel, template), self.step)
    }

    /// A probe's codes for the first stage.
    pub fn probe(&self, kernel: Kernel, template: &[Block]) -> LeadProbe {
        LeadProbe::of(&self.see(kernel, template), self.step, self.deviation(), self.dimension)
    }

    /// The features of a padded template, exactly.
    pub fn features(&self, template: &[Block]) -> Vec<f64> {
        let mut features = Vec::with_capacity(template.len() * LANES);
        template.iter().for_each(|block| features.extend(block.0.iter().copied().map(f64::from)));
        features.truncate(self.dimension);
        features
    }

    fn deviation(&self) -> Deviation {
        Deviation(self.projection.as_ref().map_or(0.0, Projection::deviation))
    }

    fn see(&self, kernel: Kernel, template: &[Block]) -> Seen {
        let features = self.features(template);
        let Some(axes) = &self.projection else {
            return Seen { lead: features, rounding: 0.0, tail: 0.0 };
        };
        let lead: Vec<f64> = axes.project(kernel, template).into_iter().map(f64::from).collect();
        let rounding = axes.rounding() * crate::bound::NORM;
        let squared_norm = features.iter().map(|x| x * x).sum();
        let squared_lead = lead.iter().map(|y| y * y).sum();
        let tail = self.deviation().tail(squared_norm, squared_lead, rounding);
        Seen { lead, rounding, tail }
    }
}
