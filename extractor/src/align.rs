//! A face, turned upright and scaled until its landmarks lie where an embedder expects them.
#![expect(clippy::cast_sign_loss, reason = "pixels and colours, checked or clamped")]

use image::{Rgb, RgbImage};

/// A similarity: `x' = a·x - b·y + c`, `y' = b·x + a·y + d`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Similarity {
    a: f64,
    b: f64,
    c: f64,
    d: f64,
}

impl Similarity {
    /// The one that brings `from` nearest to `to`, by the least sum of squares (Umeyama 1991; no reflection is one of these, and a
    /// face's landmarks are never nearest to their mirror image).
    pub(crate) fn between(from: &[[f32; 2]; 5], to: &[[f32; 2]; 5]) -> Option<Self> {
        let centre = |points: &[[f32; 2]; 5]| {
            let sum = |axis: usize| points.iter().map(|point| f64::from(point[axis])).sum::<f64>();
            [sum(0) / 5.0, sum(1) / 5.0]
        };
        let (from_centre, to_centre) = (centre(from), centre(to));
        let (mut dot, mut cross, mut spread) = (0.0, 0.0, 0.0);
        for (from, to) in from.iter().zip(to) {
            let [x, y] = [0, 1].map(|axis| f64::from(from[axis]) - from_centre[axis]);
            let [u, v] = [0, 1].map(|axis| f64::from(to[axis]) - to_centre[axis]);
            dot += x * u + y * v;
            cross += x * v - y * u;
            spread += x * x + y * y;
        }
        let (a, b) = (dot / spread, cross / spread);
        let (c, d) = (
            to_centre[0] - a * from_centre[0] + b * from_centre[1],
            to_centre[1] - b * from_centre[0] - a * from_centre[1],
        );
        let sound = [a, b, c, d].iter().all(|x| x.is_finite()) && a.hypot(b) > 1e-6;
        sound.then_some(Self { a, b, c, d })
    }

    /// Where a point of the crop lies in the picture.
    fn back(&self, x: f64, y: f64) -> (f64, f64) {
        let (x, y, square) = (x - self.c, y - self.d, self.a * self.a + self.b * self.b);
        ((self.a * x + self.b * y) / square, (self.a * y - self.b * x) / square)
    }
}

/// The crop, bilinear; black where the picture ends.
pub(crate) fn crop(picture: &RgbImage, similarity: &Similarity, width: u32, height: u32) -> RgbImage {
    let at = |x: i64, y: i64| {
        let inside = x >= 0 && y >= 0 && x < i64::from(picture.width()) && y < i64::from(picture.height());
        if inside { picture.get_pixel(x as u32, y as u32).0 } else { [0; 3] }
    };
    RgbImage::from_fn(width, height, |x, y| {
        let (x, y) = similarity.back(f64::from(x), f64::from(y));
        // Far outside: any place there is as black as another.
        let (x, y) = (x.clamp(-4.0, 1e6), y.clamp(-4.0, 1e6));
        let (left, top) = (x.floor(), y.floor());
        let (u, v) = (x - left, y - top);
        let (left, top) = (left as i64, top as i64);
        let corners = [at(left, top), at(left + 1, top), at(left, top + 1), at(left + 1, top + 1)];
        let weights = [(1.0 - u) * (1.0 - v), u * (1.0 - v), (1.0 - u) * v, u * v];
        Rgb([0, 1, 2].map(|colour| {
            let sum: f64 =
                corners.iter().zip(weights).map(|(corner, weight)| f64::from(corner[colour]) * weight).sum();
            sum.round() as u8
        }))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::description::LANDMARKS;

    #[test]
    fn a_face_that_was_turned_and_scaled_is_brought_back() {
        let (sin, cos) = 0.4f32.sin_cos();
        let turned =
            LANDMARKS.map(|[x, y]| [3.0 * (cos * x - sin * y) + 50.0, 3.0 * (sin * x + cos * y) - 7.0]);
        let similarity = Similarity::between(&turned, &LANDMARKS).unwrap();
        for ([x, y], [u, v]) in LANDMARKS.iter().zip(turned) {
            let (back_u, back_v) = similarity.back(f64::from(*x), f64::from(*y));
            assert!((back_u - f64::from(u)).abs() < 1e-3 && (back_v - f64::from(v)).abs() < 1e-3);
        }
    }

    #[test]
    fn landmarks_in_one_point_are_no_face() {
        assert_eq!(Similarity::between(&[[5.0; 2]; 5], &LANDMARKS), None);
        assert_eq!(Similarity::between(&[[f32::NAN; 2]; 5], &LANDMARKS), None);
    }

    #[test]
    fn the_same_place_gives_the_same_pixels_and_the_outside_is_black() {
        let picture = RgbImage::from_fn(112, 112, |x, y| Rgb([x as u8, y as u8, 200]));
        let same = Similarity::between(&LANDMARKS, &LANDMARKS).unwrap();
        let cropped = crop(&picture, &same, 112, 112);
        assert_eq!(
            (cropped.get_pixel(3, 90), cropped.get_pixel(110, 5)),
            (picture.get_pixel(3, 90), picture.get_pixel(110, 5))
        );
        let far = LANDMARKS.map(|[x, y]| [x + 5000.0, y]);
        let outside = crop(&picture, &Similarity::between(&far, &LANDMARKS).unwrap(), 112, 112);
        assert!(outside.pixels().all(|pixel| pixel.0 == [0; 3]));
    }
}
