//! The quality of a face in a picture: see `matcher::quality` for what the components are and are not.
#![expect(clippy::cast_sign_loss, reason = "pixels and shares of what is positive")]

use crate::{
    align::{self, Similarity},
    description::LANDMARKS,
    detect::Face,
};
use image::RgbImage;
use matcher::quality::{Component, Quality};
use std::sync::LazyLock;

/// The side of the crop on which light is measured.
const SIDE: u32 = 224;
/// How far the tip of the nose stands out before eyes and mouth, as a share of the distance of the eyes.
const NOSE: f64 = 0.5;
/// Where the nose lies between eyes and mouth when the head is level: the mean of the frontal landmarks.
const LEVEL: f64 = 0.5;
/// The part of the aligned crop that is face and not hair, background or collar: an ellipse, in shares of the side.
const ELLIPSE: [f64; 4] = [0.5, 0.64, 0.30, 0.36];

/// Measures a face. `faces` are all that were seen, largest first.
pub(crate) fn measure(picture: &RgbImage, faces: &[Face], face: &Face) -> Quality {
    let mut quality = Quality::default();
    let pose = Pose::of(&face.landmarks);
    quality.note(Component::InterEyeDistance, pose.eyes / pose.yaw.cos().max(0.05));
    quality.note(Component::HeadPoseYaw, pose.yaw.to_degrees().abs());
    quality.note(Component::HeadPosePitch, pose.pitch.to_degrees().abs());
    quality.note(Component::HeadPoseRoll, pose.roll.to_degrees().abs());
    quality.note(Component::DetectionScore, f64::from(face.score));
    let second = faces.iter().filter(|other| *other != face).map(Face::size).fold(0.0, f32::max);
    quality.note(Component::SingleFacePresent, f64::from(second / face.size().max(second)));
    let scale = SIDE as f32 / 112.0;
    let places = LANDMARKS.map(|point| point.map(|x| x * scale));
    if let Some(similarity) = Similarity::between(&face.landmarks, &places) {
        light(&align::crop(picture, &similarity, SIDE, SIDE), &mut quality);
    }
    if let Some(similarity) = Similarity::between(&face.landmarks, &LANDMARKS) {
        quality.note(Component::Sharpness, sharpness(&align::crop(picture, &similarity, 112, 112)));
    }
    quality
}

/// How a head is held, in radians, and how far its eyes are apart.
struct Pose {
    eyes: f64,
    yaw: f64,
    pitch: f64,
    roll: f64,
}

impl Pose {
    fn of(landmarks: &[[f32; 2]; 5]) -> Self {
        let [left, right, nose, mouth_left, mouth_right] = landmarks.map(|point| point.map(f64::from));
        let middle = |a: [f64; 2], b: [f64; 2]| [f64::midpoint(a[0], b[0]), f64::midpoint(a[1], b[1])];
        let (eye, mouth) = (middle(left, right), middle(mouth_left, mouth_right));
        let (dx, dy) = (right[0] - left[0], right[1] - left[1]);
        let eyes = dx.hypot(dy).max(1e-6);
        let across = |point: [f64; 2]| (point[0] * dx + point[1] * dy) / eyes;
        let down = |point: [f64; 2]| (point[1] * dx - point[0] * dy) / eyes;
        let centre = middle(eye, mouth);
        let yaw = ((across(nose) - across(centre)) / (NOSE * eyes)).atan();
        let height = (down(mouth) - down(eye)).max(1e-6);
        let pitch = (((down(nose) - down(eye)) / height - LEVEL) / NOSE).atan();
        Self { eyes, yaw, pitch, roll: dy.atan2(dx) }
    }
}

/// Luminance of linear light (ITU-R BT.709), 0 to 255.
fn luminance(pixel: [u8; 3]) -> u8 {
    static LINEAR: LazyLock<[f64; 256]> = LazyLock::new(|| {
        std::array::from_fn(|value| {
            let value = value as f64 / 255.0;
            if value > 0.04045 { ((value + 0.055) / 1.055).powf(2.4) } else { value / 12.92 }
        })
    });
    let [red, green, blue] = pixel.map(|value| LINEAR[usize::from(value)]);
    (255.0 * (0.2126 * red + 0.7152 * green + 0.0722 * blue) + 0.5).floor() as u8
}

fn in_face(x: u32, y: u32, side: u32) -> bool {
    let [cx, cy, rx, ry] = ELLIPSE;
    let share = |at: u32| (f64::from(at) + 0.5) / f64::from(side);
    ((share(x) - cx) / rx).powi(2) + ((share(y) - cy) / ry).powi(2) <= 1.0
}

fn light(crop: &RgbImage, quality: &mut Quality) {
    let face = crop.enumerate_pixels().filter(|(x, y, _)| in_face(*x, *y, SIDE));
    let values: Vec<u8> = face.map(|(_, _, pixel)| luminance(pixel.0)).collect();
    let share = |of: fn(&&u8) -> bool| values.iter().filter(of).count() as f64 / values.len().max(1) as f64;
    quality.note(Component::UnderExposurePrevention, share(|value| **value <= 25));
    quality.note(Component::OverExposurePrevention, share(|value| **value >= 247));
    // A square on each cheek, 0.3 of the eyes' distance wide, half way down from eyes to mouth.
    let scale = f64::from(SIDE) / 112.0;
    let [left, right, _, mouth, _] = LANDMARKS.map(|point| point.map(|x| f64::from(x) * scale));
    let width = (0.3 * (right[0] - left[0])) as u32;
    let top = f64::midpoint(left[1], mouth[1]) as u32;
    let histogram = |from: u32| {
        let mut bins = [0.0; 32];
        let each = 1.0 / f64::from(width * width);
        for (x, y) in (from..from + width).flat_map(|x| (top..top + width).map(move |y| (x, y))) {
            bins[usize::from(luminance(crop.get_pixel(x, y).0) / 8)] += each;
        }
        bins
    };
    let (one, other) = (histogram(left[0] as u32), histogram(right[0] as u32 - width));
    let common: f64 = one.iter().zip(other).map(|(a, b)| a.min(b)).sum();
    quality.note(Component::IlluminationUniformity, common);
}

/// The standard deviation of the Laplacian of the luma over the face.
fn sharpness(crop: &RgbImage) -> f64 {
    let luma = |x: u32, y: u32| {
        let [red, green, blue] = crop.get_pixel(x, y).0.map(f64::from);
        0.299 * red + 0.587 * green + 0.114 * blue
    };
    let inner = |x: &u32, y: &u32| in_face(*x, *y, 112);
    let places = (1..111).flat_map(|x| (1..111).map(move |y| (x, y))).filter(|(x, y)| inner(x, y));
    let laplacian = |(x, y): (u32, u32)| {
        luma(x - 1, y) + luma(x + 1, y) + luma(x, y - 1) + luma(x, y + 1) - 4.0 * luma(x, y)
    };
    let values: Vec<f64> = places.map(laplacian).collect();
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    (values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / count).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The landmarks of a head that is turned: eyes and mouth in one plane, the nose before it.
    fn turned(yaw: f64, pitch: f64, roll: f64) -> [[f32; 2]; 5] {
        let head = [
            [-50.0, -50.0, 0.0],
            [50.0, -50.0, 0.0],
            [0.0, 0.0, 50.0],
            [-35.0, 50.0, 0.0],
            [35.0, 50.0, 0.0],
        ];
        head.map(|[x, y, z]: [f64; 3]| {
            let (x, z) = (x * yaw.cos() + z * yaw.sin(), z * yaw.cos() - x * yaw.sin());
            let y = y * pitch.cos() + z * pitch.sin();
            [
                (x * roll.cos() - y * roll.sin()) as f32 + 200.0,
                (x * roll.sin() + y * roll.cos()) as f32 + 200.0,
            ]
        })
    }

    #[test]
    fn the_pose_of_a_turned_head_is_found_again() {
        for degrees in [-30.0f64, -10.0, 0.0, 20.0, 40.0] {
            let angle = degrees.to_radians();
            for (yaw, pitch, roll) in [(angle, 0.0, 0.0), (0.0, angle, 0.0), (0.0, 0.0, angle)] {
                let pose = Pose::of(&turned(yaw, pitch, roll));
                for (found, held) in [(pose.yaw, yaw), (pose.pitch, pitch), (pose.roll, roll)] {
                    assert!(
                        (found - held).to_degrees().abs() < 2.0,
                        "{} {}",
                        found.to_degrees(),
                        held.to_degrees()
                    );
                }
            }
        }
    }

    fn face() -> Face {
        Face { area: [20.0, 10.0, 90.0, 110.0], landmarks: LANDMARKS, score: 0.9 }
    }

    fn measured(pixel: impl Fn(u32, u32) -> u8) -> Quality {
        let picture = RgbImage::from_fn(112, 112, |x, y| image::Rgb([pixel(x, y); 3]));
        measure(&picture, &[face()], &face())
    }

    #[test]
    fn darkness_glare_and_light_from_a_side_are_told_apart() {
        let value = |quality: &Quality, component| quality.get(component).unwrap().value;
        let good = measured(|x, y| 120 + ((x + y) % 9) as u8 * 8);
        let dark = measured(|_, _| 20);
        let bright = measured(|_, _| 255);
        let side = measured(|x, _| if x < 56 { 60 } else { 200 });
        assert!(value(&good, Component::UnderExposurePrevention) > 90);
        assert!(value(&good, Component::OverExposurePrevention) > 90);
        assert_eq!(value(&dark, Component::UnderExposurePrevention), 0);
        assert_eq!(value(&bright, Component::OverExposurePrevention), 1);
        assert_eq!(value(&side, Component::IlluminationUniformity), 0);
        assert!(value(&good, Component::IlluminationUniformity) > 80);
        assert!(value(&good, Component::Sharpness) > 80 && value(&dark, Component::Sharpness) < 10);
    }

    #[test]
    fn a_second_face_counts_by_its_size() {
        let picture = RgbImage::new(112, 112);
        let mut second = face();
        second.area[2] = 45.0;
        let quality = measure(&picture, &[face(), second], &face());
        assert_eq!(quality.get(Component::SingleFacePresent).unwrap().value, 50);
    }
}
