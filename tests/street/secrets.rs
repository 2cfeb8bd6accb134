//! Templates are marked, and looked for wherever they must not be: in what is written and told at the most talkative, in events, in errors. 1,000 of them.

use base64::{
    Engine,
    engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE_NO_PAD},
};
use gallery::{Gallery, Setup, ambient::Ambient, evidence, keys::root::RootKey};
use serde_json::json;
use std::{collections::HashSet, fmt::Write, fs, path::Path, process::Stdio};
use tests::*;

const MARKED: u64 = 1000;

/// How a template might stand somewhere: three features of it, in every form that somebody might write them in.
fn traces(features: &[f32]) -> Vec<Vec<u8>> {
    let raw = |part: &[f32]| part.iter().flat_map(|x| x.to_le_bytes()).collect::<Vec<u8>>();
    let (bytes, part) = (raw(features), raw(&features[4..8]));
    let largest = features.iter().fold(0f32, |largest, x| largest.max(x.abs()));
    let codes: Vec<u8> =
        features.iter().map(|x| ((x / largest * 127.0).round() as i8).cast_unsigned()).collect();
    let hex = |bytes: &[u8]| {
        bytes.iter().fold(String::new(), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
    };
    let big: Vec<u8> = features[4..8].iter().flat_map(|x| x.to_be_bytes()).collect();
    let decimal = |x: &f32| format!("{x}").into_bytes();
    let mut traces = vec![
        part.clone(),
        big,
        codes.clone(),
        hex(&part).into_bytes(),
        hex(&part).to_uppercase().into_bytes(),
    ];
    traces.push(hex(&codes).into_bytes());
    // Of base64 the middle, at each of three beginnings.
    for shift in 0..3 {
        for engine in [&STANDARD as &dyn Encode, &STANDARD_NO_PAD, &URL_SAFE_NO_PAD] {
            let text = engine.text(&bytes[shift..]);
            traces.push(text.as_bytes()[8..32].to_vec());
        }
    }
    // Digits as they are written, alone: a feature has seven or eight of them.
    traces.extend(features[4..8].iter().map(decimal).filter(|digits| digits.len() > 8));
    let longer = |x: &f32| format!("{}", f64::from(*x)).into_bytes();
    traces.extend(
        features[4..8]
            .iter()
            .map(longer)
            .filter(|digits| digits.len() > 12)
            .map(|digits| digits[..12].to_vec()),
    );
    traces
}

trait Encode {
    fn text(&self, bytes: &[u8]) -> String;
}

impl<E: Engine> Encode for E {
    fn text(&self, bytes: &[u8]) -> String {
        self.encode(bytes)
    }
}

/// The eight bytes that each trace begins with, so that a haystack is read once.
struct Needles {
    heads: HashSet<[u8; 8]>,
    traces: Vec<Vec<u8>>,
}

impl Needles {
    fn of(faces: impl Iterator<Item = u64>) -> Self {
        let traces: Vec<Vec<u8>> = faces.flat_map(|number| traces(&face(number))).collect();
        let heads = traces.iter().map(|trace| *trace.first_chunk().unwrap()).collect();
        Self { heads, traces }
    }

    fn in_bytes(&self, bytes: &[u8]) -> usize {
        let places = bytes.windows(8).enumerate().filter(|(_, window)| self.heads.contains(*window));
        places.filter(|(at, _)| self.traces.iter().any(|trace| bytes[*at..].starts_with(trace))).count()
    }

    fn in_files(&self, path: &Path) -> usize {
        if path.is_dir() {
            return fs::read_dir(path).unwrap().map(|entry| self.in_files(&entry.unwrap().path())).sum();
        }
        self.in_bytes(&fs::read(path).unwrap())
    }
}

#[test]
fn marked_templates_are_nowhere_but_sealed() {
    let place = in_memory();
    let site = Site::found_in(Home::in_place(place.path()));
    let path = site.folder.path();
    let told = fs::File::create(place.path().join("told")).unwrap();
    let environment = [("RUST_LOG", "trace"), ("RUST_BACKTRACE", "1")];
    let server = Server::start_under(&[], path, &environment, Stdio::from(told)).unwrap();
    let (clerk, guard) = (server.actor(&site.clerk), server.actor(&site.guard));
    let rows: Vec<_> = (0..MARKED)
        .map(|n| {
            json!({ "subject": format!("p{n}"), "encounter": "e", "watchlist": site.list, "category": "wanted",
                "features": encode(&face(n)) })
        })
        .collect();
    clerk.post("/v1/enrolments", &json!({ "rows": rows })).expect(200);
    let mut answers = String::new();
    let mut keep = |answer: Answer| answers.push_str(&answer.body.to_string());
    for n in 0..MARKED {
        let mut body = lookup(&site.list, n);
        // As numbers, as text; and what is wrong with a request must not repeat it.
        if n % 2 == 0 {
            body["probe"]["features"] = json!(encode(&face(n)));
        }
        match n % 10 {
            1 => body["probe"]["features"] = json!(&face(n)[1..]),
            2 => body["probe"]["features"] = json!(format!("{}!", encode(&face(n)))),
            3 => body["probe"]["model"] = json!("other"),
            4 => body["probe"] = json!(encode(&face(n))),
            5 => body["case_reference"] = json!(face(n)),
            6 => body[encode(&face(n))] = json!(1),
            7 => body["probe"]["features"][3] = json!("x"),
            _ => (),
        }
        keep(guard.post("/v1/lookups", &body));
    }
    keep(guard.get("/readyz"));
    keep(guard.get("/version"));
    assert!(server.terminate());
    let needles = Needles::of(0..MARKED);
    // That they would be found: in what was sent.
    assert!(needles.in_bytes(lookup("x", 8).to_string().as_bytes()) > 0);
    assert!(needles.in_bytes(encode(&face(8)).as_bytes()) > 0);
    let told = fs::read(place.path().join("told")).unwrap();
    assert!(told.len() > 100_000, "it was to be talkative");
    assert_eq!(needles.in_bytes(&told), 0, "in the node's log");
    assert_eq!(needles.in_bytes(answers.as_bytes()), 0, "in an answer");
    assert_eq!(needles.in_files(path), 0, "in a file, unsealed");
    let root = RootKey::find(path, Some(ROOT_KEY), None).unwrap();
    let gallery = Gallery::open(path, Setup::new(root, 1), Ambient::system()).unwrap();
    let mut events = String::new();
    evidence::each_event(&gallery, |_, event| events.push_str(&serde_json::to_string(&event).unwrap()))
        .unwrap();
    assert!(events.contains("salted_sha256"));
    assert_eq!(needles.in_bytes(events.as_bytes()), 0, "in an event");
}
