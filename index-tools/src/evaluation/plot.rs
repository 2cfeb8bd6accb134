//! Curves as SVG: told apart by dashes and marks, so that black and white will do.

use std::fmt::Write;

const WIDTH: f64 = 560.0;
const HEIGHT: f64 = 340.0;
const LEFT: f64 = 70.0;
const RIGHT: f64 = 130.0;
const TOP: f64 = 16.0;
const BOTTOM: f64 = 52.0;
const DASHES: [&str; 4] = ["", "7 4", "2 3", "10 3 2 3"];

/// How an axis is divided.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Scale {
    Linear,
    /// By powers of ten; what is not above 0 is left out.
    Log,
}

/// An axis.
pub(crate) struct Axis {
    pub(crate) name: &'static str,
    pub(crate) scale: Scale,
}

/// A curve.
pub(crate) struct Curve {
    pub(crate) name: String,
    pub(crate) points: Vec<(f64, f64)>,
    /// With a mark at each point.
    pub(crate) marked: bool,
}

impl Axis {
    fn place(&self, value: f64) -> Option<f64> {
        match self.scale {
            Scale::Linear => Some(value).filter(|value| value.is_finite()),
            Scale::Log => (value > 0.0 && value.is_finite()).then(|| value.log10()),
        }
    }

    fn range(&self, values: impl Iterator<Item = f64>) -> (f64, f64) {
        let places = values.filter_map(|value| self.place(value));
        let (low, high) = places.fold((f64::MAX, f64::MIN), |(low, high), x| (low.min(x), high.max(x)));
        if low > high {
            return (0.0, 1.0);
        }
        match self.scale {
            Scale::Log => (low.floor(), high.ceil().max(low.floor() + 1.0)),
            Scale::Linear => {
                let step = step(high - low);
                ((low / step).floor() * step, ((high / step).ceil() * step).max(low + step))
            }
        }
    }

    /// Where its marks are, and what stands there.
    fn marks(&self, (low, high): (f64, f64)) -> Vec<(f64, String)> {
        let step = if self.scale == Scale::Log { ((high - low) / 8.0).ceil() } else { step(high - low) };
        #[expect(clippy::cast_sign_loss, reason = "a range is not negative")]
        let count = ((high - low) / step).round() as usize;
        let mark = |i: usize| {
            let place = low + step * i as f64;
            let text = match self.scale {
                Scale::Log if place < -3.5 => format!("1e{place}"),
                Scale::Log => short(10.0_f64.powf(place)),
                Scale::Linear => short(place),
            };
            (place, text)
        };
        (0..=count).map(mark).collect()
    }
}

/// A round part of a range.
fn step(range: f64) -> f64 {
    let rough = (range / 5.0).max(1e-9);
    let power = 10.0_f64.powf(rough.log10().floor());
    let nice = [1.0, 2.0, 5.0, 10.0].into_iter().find(|nice| nice * power >= rough * 0.999);
    nice.unwrap_or(10.0) * power
}

fn short(value: f64) -> String {
    let text = format!("{value:.4}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    if text == "-0" { "0".to_owned() } else { text.to_owned() }
}

/// A picture of curves.
pub(crate) fn plot(title: &str, x: &Axis, y: &Axis, curves: &[Curve]) -> String {
    let all = || curves.iter().flat_map(|curve| &curve.points);
    let (across, up) = (x.range(all().map(|point| point.0)), y.range(all().map(|point| point.1)));
    let at_x = |place: f64| LEFT + (place - across.0) / (across.1 - across.0) * (WIDTH - LEFT - RIGHT);
    let at_y = |place: f64| HEIGHT - BOTTOM - (place - up.0) / (up.1 - up.0) * (HEIGHT - TOP - BOTTOM);
    let (bottom, right) = (HEIGHT - BOTTOM, WIDTH - RIGHT);
    let mut svg = format!(
        "<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" width=\"{WIDTH}\" role=\"img\" aria-label=\"{}\" font-family=\"sans-serif\" font-size=\"12\">\n",
        escaped(title)
    );
    let mut put = |line: String| svg.extend([line.as_str(), "\n"]);
    for (place, text) in x.marks(across) {
        let at = at_x(place);
        put(format!(
            "<path d=\"M{at:.1} {TOP}V{bottom}\" stroke=\"#ddd\"/><text x=\"{at:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{text}</text>",
            bottom + 16.0
        ));
    }
    for (place, text) in y.marks(up) {
        let at = at_y(place);
        put(format!(
            "<path d=\"M{LEFT} {at:.1}H{right}\" stroke=\"#ddd\"/><text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{text}</text>",
            LEFT - 6.0,
            at + 4.0
        ));
    }
    put(format!("<path d=\"M{LEFT} {TOP}V{bottom}H{right}\" fill=\"none\" stroke=\"#000\"/>"));
    let middle = f64::midpoint(TOP, bottom);
    put(format!(
        "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>",
        f64::midpoint(LEFT, right),
        HEIGHT - 12.0,
        escaped(x.name)
    ));
    put(format!(
        "<text transform=\"translate(16 {middle:.1}) rotate(-90)\" text-anchor=\"middle\">{}</text>",
        escaped(y.name)
    ));
    for (number, curve) in curves.iter().enumerate() {
        let place = |(a, b): &(f64, f64)| Some((at_x(x.place(*a)?), at_y(y.place(*b)?)));
        let points: Vec<(f64, f64)> = curve.points.iter().filter_map(place).collect();
        let dashes = DASHES[number % DASHES.len()];
        let mut path = String::new();
        for (i, (a, b)) in points.iter().enumerate() {
            let _ = write!(path, "{}{a:.1} {b:.1}", if i == 0 { "M" } else { "L" });
        }
        put(format!(
            "<path d=\"{path}\" fill=\"none\" stroke=\"#000\" stroke-width=\"1.5\" stroke-dasharray=\"{dashes}\"/>"
        ));
        for (a, b) in points.iter().filter(|_| curve.marked) {
            put(format!("<circle cx=\"{a:.1}\" cy=\"{b:.1}\" r=\"3\" fill=\"#fff\" stroke=\"#000\"/>"));
        }
        let line = TOP + 14.0 + 18.0 * number as f64;
        put(format!(
            "<path d=\"M{:.1} {:.1}h26\" stroke=\"#000\" stroke-width=\"1.5\" stroke-dasharray=\"{dashes}\"/><text x=\"{:.1}\" y=\"{line:.1}\">{}</text>",
            right + 8.0,
            line - 4.0,
            right + 38.0,
            escaped(&curve.name)
        ));
    }
    svg.push_str("</svg>\n");
    svg
}

/// As text of a page.
pub(crate) fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
