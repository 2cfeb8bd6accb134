//! Faces in a picture: `YuNet` (Wu, Peng and Yu, "`YuNet`: a tiny millisecond-level face detector", 2023), as `OpenCV`'s `FaceDetectorYN`
//! runs it.
#![expect(clippy::cast_sign_loss, reason = "lengths in pixels")]

use crate::graph::GraphError;
use image::{RgbImage, imageops};
use rten::{Model, ModelOptions, NodeId, RunOptions, ThreadPool};
use rten_tensor::{NdTensor, prelude::*};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Beneath this score nothing is a face.
const LEAST_SCORE: f32 = 0.7;
/// Boxes that overlap more than this (intersection over union) are one face.
const OVERLAP: f32 = 0.3;
/// A picture is scaled down until its longer side has so many pixels, or fewer: the detector sees faces of about 10 to 300.
const SIDE: u32 = 640;
/// If nobody is seen then, perhaps the face fills the picture: once more, smaller.
const SMALL_SIDE: u32 = 240;
const STRIDES: [usize; 3] = [8, 16, 32];
/// Boxes that are looked at, best first.
const MOST_BOXES: usize = 5000;

/// A face in a picture, in its pixels.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Face {
    /// Left, top, width, height.
    #[serde(rename = "box")]
    pub area: [f32; 4],
    /// Both eyes, nose, both corners of the mouth; those on the picture's left first.
    pub landmarks: [[f32; 2]; 5],
    /// The detector's, 0 to 1.
    pub score: f32,
}

impl Face {
    /// Width times height.
    pub fn size(&self) -> f32 {
        self.area[2] * self.area[3]
    }

    /// Are its numbers finite?
    pub(crate) fn is_sound(&self) -> bool {
        let places = self.area.iter().chain(self.landmarks.as_flattened());
        places.chain([&self.score]).all(|x| x.is_finite())
    }

    /// Intersection over union with another box.
    pub fn overlap(&self, other: &[f32; 4]) -> f32 {
        let [x, y, width, height] = self.area;
        let along =
            |a: f32, length: f32, b: f32, other: f32| ((a + length).min(b + other) - a.max(b)).max(0.0);
        let common = along(x, width, other[0], other[2]) * along(y, height, other[1], other[3]);
        common / (width * height + other[2] * other[3] - common).max(f32::MIN_POSITIVE)
    }

    fn scaled(self, factor: f32) -> Self {
        Self {
            area: self.area.map(|x| x * factor),
            landmarks: self.landmarks.map(|point| point.map(|x| x * factor)),
            score: self.score,
        }
    }
}

/// A graph that is ready to be computed, on one thread.
pub(crate) struct Computing {
    pub(crate) model: Model,
    threads: Arc<ThreadPool>,
}

impl Computing {
    /// # Errors
    /// When the graph does not load.
    pub(crate) fn load(graph: Vec<u8>) -> Result<Self, GraphError> {
        let model = ModelOptions::with_all_ops().prepack_weights(true).load(graph);
        let model = model.map_err(|error| GraphError::Runtime(error.to_string()))?;
        Ok(Self { model, threads: Arc::new(ThreadPool::with_num_threads(1)) })
    }

    /// Computes these outputs of one input of four dimensions.
    pub(crate) fn run(
        &self,
        input: NdTensor<f32, 4>,
        outputs: &[NodeId],
    ) -> Result<Vec<Vec<f32>>, GraphError> {
        let failed = |error: &dyn std::fmt::Display| GraphError::Runtime(error.to_string());
        let entry = self.model.input_ids().first().ok_or(GraphError::Inputs(0))?;
        let options = RunOptions::default().with_thread_pool(Some(Arc::clone(&self.threads)));
        let run = self.model.run(vec![(*entry, input.into())], outputs, Some(options));
        let floats = |value: rten::Value| {
            let tensor: rten_tensor::Tensor<f32> =
                value.try_into().map_err(|_| failed(&"it gives no f32"))?;
            Ok(tensor.to_vec())
        };
        run.map_err(|error| failed(&error))?.into_iter().map(floats).collect()
    }
}

/// The detector, loaded.
pub struct Detector {
    graph: Computing,
    /// For each stride: class, object, box, landmarks.
    outputs: Vec<NodeId>,
}

impl Detector {
    /// Loads a folded detector.
    ///
    /// # Errors
    /// When it does not run, or is no such detector.
    pub fn load(graph: Vec<u8>) -> Result<Self, GraphError> {
        let graph = Computing::load(graph)?;
        let name = |kind: &str, stride: usize| format!("{kind}_{stride}");
        let output = |stride: usize, kind: &str| {
            let name = name(kind, stride);
            graph
                .model
                .node_id(&name)
                .map_err(|_| GraphError::Output { expected: name, found: "no such output".to_owned() })
        };
        let outputs =
            STRIDES.iter().flat_map(|&stride| ["cls", "obj", "bbox", "kps"].map(|kind| output(stride, kind)));
        let outputs = outputs.collect::<Result<_, _>>()?;
        let detector = Self { graph, outputs };
        detector.see(&RgbImage::new(64, 96))?;
        Ok(detector)
    }

    /// The faces in a picture, largest first.
    ///
    /// # Errors
    /// When the graph does not compute.
    pub fn detect(&self, picture: &RgbImage) -> Result<Vec<Face>, GraphError> {
        let mut faces = self.detect_within(picture, SIDE)?;
        if faces.is_empty() {
            faces = self.detect_within(picture, SMALL_SIDE)?;
        }
        faces.sort_by(|a, b| b.size().total_cmp(&a.size()));
        Ok(faces)
    }

    fn detect_within(&self, picture: &RgbImage, side: u32) -> Result<Vec<Face>, GraphError> {
        let longer = picture.width().max(picture.height());
        if longer <= side {
            return self.see(picture);
        }
        let factor = longer as f32 / side as f32;
        let size = |length: u32| ((length as f32 / factor).round() as u32).max(1);
        let smaller = imageops::resize(
            picture,
            size(picture.width()),
            size(picture.height()),
            imageops::FilterType::Triangle,
        );
        Ok(self.see(&smaller)?.into_iter().map(|face| face.scaled(factor)).collect())
    }

    fn see(&self, picture: &RgbImage) -> Result<Vec<Face>, GraphError> {
        let whole = |length: u32| (length as usize).div_ceil(32).max(1) * 32;
        let (width, height) = (whole(picture.width()), whole(picture.height()));
        let mut input = NdTensor::<f32, 4>::zeros([1, 3, height, width]);
        let planes = input.data_mut().expect("a tensor just made is contiguous");
        for (x, y, pixel) in picture.enumerate_pixels() {
            let at = y as usize * width + x as usize;
            for (plane, colour) in pixel.0.iter().rev().enumerate() {
                planes[plane * width * height + at] = f32::from(*colour); // blue first
            }
        }
        let found = self.graph.run(input, &self.outputs)?;
        let mut faces = Vec::new();
        for (stride, outputs) in STRIDES.into_iter().zip(found.chunks_exact(4)) {
            let columns = width / stride;
            let cells = columns * (height / stride);
            let [classes, objects, boxes, points] = outputs else { continue };
            let lengths = [classes.len(), objects.len(), boxes.len(), points.len()];
            if lengths != [cells, cells, cells * 4, cells * 10] {
                let expected = format!("{cells} cells at stride {stride}");
                return Err(GraphError::Output { expected, found: format!("{lengths:?}") });
            }
            for cell in 0..cells {
                let score = (classes[cell].clamp(0.0, 1.0) * objects[cell].clamp(0.0, 1.0)).sqrt();
                if score >= LEAST_SCORE {
                    faces.push(face(
                        cell,
                        columns,
                        stride as f32,
                        &boxes[cell * 4..],
                        &points[cell * 10..],
                        score,
                    ));
                }
            }
        }
        Ok(suppress(faces))
    }
}

fn face(cell: usize, columns: usize, stride: f32, area: &[f32], points: &[f32], score: f32) -> Face {
    let (column, row) = ((cell % columns) as f32, (cell / columns) as f32);
    let (x, y) = ((column + area[0]) * stride, (row + area[1]) * stride);
    let (width, height) = (area[2].exp() * stride, area[3].exp() * stride);
    let point = |at: usize| [(points[2 * at] + column) * stride, (points[2 * at + 1] + row) * stride];
    Face {
        area: [x - width / 2.0, y - height / 2.0, width, height],
        landmarks: [0, 1, 2, 3, 4].map(point),
        score,
    }
}

/// Of boxes that overlap the best one.
fn suppress(mut faces: Vec<Face>) -> Vec<Face> {
    faces.retain(Face::is_sound);
    faces.sort_by(|a, b| b.score.total_cmp(&a.score));
    faces.truncate(MOST_BOXES);
    let mut kept: Vec<Face> = Vec::new();
    for face in faces {
        if kept.iter().all(|better| better.overlap(&face.area) <= OVERLAP) {
            kept.push(face);
        }
    }
    kept
}
