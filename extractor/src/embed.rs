//! From a crop to features.

use crate::{
    description::{Channels, Description, Input},
    detect::Computing,
    graph::GraphError,
};
use image::RgbImage;
use rten::NodeId;
use rten_tensor::NdTensor;

/// The embedder, loaded.
pub struct Embedder {
    graph: Computing,
    output: NodeId,
    dimension: usize,
    input: Input,
}

impl Embedder {
    /// Loads a folded embedder.
    ///
    /// # Errors
    /// When it does not run, or gives another number of features than the description says.
    pub fn load(graph: Vec<u8>, description: &Description) -> Result<Self, GraphError> {
        let graph = Computing::load(graph)?;
        let outputs = graph.model.output_ids();
        let [output] = *outputs else {
            let found = format!("{} outputs", outputs.len());
            return Err(GraphError::Output { expected: "one output".to_owned(), found });
        };
        let (dimension, input) = (description.dimension, description.input.clone());
        let embedder = Self { graph, output, dimension, input };
        let grey = RgbImage::from_pixel(embedder.width(), embedder.height(), image::Rgb([128; 3]));
        embedder.embed(&grey)?;
        Ok(embedder)
    }

    /// Width of a crop.
    pub(crate) fn width(&self) -> u32 {
        self.input.width as u32
    }

    /// Height of a crop.
    pub(crate) fn height(&self) -> u32 {
        self.input.height as u32
    }

    /// Where landmarks come to lie in it.
    pub(crate) fn landmarks(&self) -> &[[f32; 2]; 5] {
        &self.input.landmarks
    }

    /// The features of a crop, as the model gives them.
    ///
    /// # Errors
    /// When the graph does not compute, or gives no finite numbers.
    pub fn embed(&self, crop: &RgbImage) -> Result<Vec<f32>, GraphError> {
        let Input { width, height, channels, interleaved, mean, scale, .. } = &self.input;
        let pixels = width * height;
        let mut values = vec![0.0; 3 * pixels];
        for (at, pixel) in crop.pixels().enumerate() {
            let [red, green, blue] = pixel.0;
            let colours = match channels {
                Channels::Rgb => [red, green, blue],
                Channels::Bgr => [blue, green, red],
            };
            for (channel, colour) in colours.into_iter().enumerate() {
                let place = if *interleaved { at * 3 + channel } else { channel * pixels + at };
                values[place] = (f32::from(colour) - mean[channel]) * scale[channel];
            }
        }
        let shape = if *interleaved { [1, *height, *width, 3] } else { [1, 3, *height, *width] };
        let features = self.graph.run(NdTensor::from_data(shape, values), &[self.output])?.swap_remove(0);
        if features.len() != self.dimension {
            let expected = format!("{} features", self.dimension);
            return Err(GraphError::Output { expected, found: features.len().to_string() });
        }
        if features.iter().all(|x| x.is_finite()) {
            Ok(features)
        } else {
            Err(GraphError::Runtime("it gives numbers that are not finite".to_owned()))
        }
    }
}
