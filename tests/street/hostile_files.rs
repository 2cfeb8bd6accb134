//! Files that are made to do harm: bombs, cuts, lies in headers, nests. And marked images, which are to be nowhere afterwards.

use crate::images::Studio;
use gallery::{Gallery, Setup, ambient::Ambient, evidence, keys::root::RootKey};
use image::{ExtendedColorType, ImageEncoder, ImageFormat, RgbImage, codecs};
use rand_chacha::{
    ChaCha8Rng,
    rand_core::{Rng, SeedableRng},
};
use serde_json::json;
use std::{
    io::Cursor,
    path::Path,
    process::Stdio,
    sync::atomic::{AtomicUsize, Ordering},
};
use tests::{
    tiny_model::{photograph, pixels},
    *,
};

/// How much the server's own memory may grow.
const GROWTH_MIB: u64 = 256;

fn written(picture: &RgbImage, format: ImageFormat) -> Vec<u8> {
    let mut file = Cursor::new(Vec::new());
    picture.write_to(&mut file, format).unwrap();
    file.into_inner()
}

/// A chunk of a PNG, with its checksum.
fn chunk(kind: [u8; 4], content: &[u8]) -> Vec<u8> {
    let crc = kind.iter().chain(content).fold(!0u32, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| crc >> 1 ^ if crc & 1 == 1 { 0xedb8_8320 } else { 0 })
    });
    [&(content.len() as u32).to_be_bytes()[..], &kind, content, &(!crc).to_be_bytes()].concat()
}

fn png_header(width: u32, height: u32, depth_and_kind: [u8; 2]) -> Vec<u8> {
    let size = [width.to_be_bytes(), height.to_be_bytes()].concat();
    [b"\x89PNG\r\n\x1a\n".to_vec(), chunk(*b"IHDR", &[&size[..], &depth_and_kind, &[0, 0, 0]].concat())]
        .concat()
}

/// Data of a PNG that becomes very much when it is inflated: stored in it is the compressed data of a blank picture.
fn inflating() -> Vec<u8> {
    let blank = written(&RgbImage::new(4000, 4000), ImageFormat::Png);
    let mut data = Vec::new();
    let mut at = 8;
    while at + 8 <= blank.len() {
        let length = u32::from_be_bytes(blank[at..at + 4].try_into().unwrap()) as usize;
        if &blank[at + 4..at + 8] == b"IDAT" {
            data.extend(&blank[at + 8..at + 8 + length]);
        }
        at += 12 + length;
    }
    data
}

fn tiff(entries: &[(u16, u16, u32, u32)]) -> Vec<u8> {
    let mut file = b"II\x2a\0\x08\0\0\0".to_vec();
    file.extend((entries.len() as u16).to_le_bytes());
    for (tag, kind, count, value) in entries {
        file.extend(
            [&tag.to_le_bytes()[..], &kind.to_le_bytes(), &count.to_le_bytes(), &value.to_le_bytes()]
                .concat(),
        );
    }
    file.extend([0; 4]);
    file
}

fn codestream(width: u32, height: u32, tile: u32, components: u16) -> Vec<u8> {
    let mut size = [0, 0].to_vec();
    for value in [width, height, 0, 0, tile, tile, 0, 0] {
        size.extend(value.to_be_bytes());
    }
    size.extend(components.to_be_bytes());
    (0..components).for_each(|_| size.extend([7, 1, 1]));
    let length = (size.len() as u16 + 2).to_be_bytes();
    let coding = [0xff, 0x52, 0, 12, 0, 0, 0, 1, 1, 5, 4, 4, 0, 0];
    let quantisation = [&[0xff, 0x5c, 0, 19, 0x40][..], &[0x40; 16]].concat();
    [
        &[0xff, 0x4f, 0xff, 0x51][..],
        &length,
        &size,
        &coding,
        &quantisation,
        &[0xff, 0x90, 0, 10, 0, 0, 0, 0, 0, 0, 0, 1],
    ]
    .concat()
}

fn nested(depth: usize, tags: &[&[u8]], innermost: &[u8]) -> Vec<u8> {
    let mut content = innermost.to_vec();
    for level in (0..depth).rev() {
        let length = content.len() as u32;
        content = [tags[level % tags.len()], &[0x84], &length.to_be_bytes()[..], &content].concat();
    }
    content
}

/// What the server is fed with, made once.
pub(crate) struct Arsenal {
    bombs: Vec<Vec<u8>>,
    whole: Vec<Vec<u8>>,
}

impl Arsenal {
    pub(crate) fn new() -> Self {
        let inflating = inflating();
        let sixteen = RgbImage::new(4000, 4000);
        let mut jpeg = Vec::new();
        let encoder = codecs::jpeg::JpegEncoder::new_with_quality(&mut jpeg, 50);
        encoder.write_image(&sixteen, 4000, 4000, ExtendedColorType::Rgb8).unwrap();
        let deep =
            [png_header(4000, 4000, [16, 6]), chunk(*b"IDAT", &inflating), chunk(*b"IEND", &[])].concat();
        let text = [b"k\0\0".to_vec(), inflating.clone()].concat();
        let profile = [png_header(64, 64, [8, 2]), chunk(*b"iCCP", &text), chunk(*b"zTXt", &text)].concat();
        let mut wide = jpeg.clone();
        let at = wide.windows(2).position(|pair| pair == [0xff, 0xc0]).unwrap();
        wide[at + 5..at + 9].copy_from_slice(&[0xff; 4]);
        let strips = [(256, 4, 1, 4000), (257, 4, 1, 4000), (258, 3, 1, 8), (259, 3, 1, 1), (262, 3, 1, 1)];
        let many =
            [&strips[..], &[(278, 4, 1, 1), (273, 4, u32::MAX / 8, 8), (279, 4, u32::MAX / 8, 8)]].concat();
        let large =
            [(256, 4, 1, u32::MAX), (257, 4, 1, u32::MAX), (258, 3, 1, 8), (273, 4, 1, 8), (279, 4, 1, 8)];
        let tile = codestream(4000, 4000, 4000, 3);
        let face = photograph(&[1], ImageFormat::Png);
        let bombs = vec![
            written(&sixteen, ImageFormat::Png),
            deep,
            png_header(60_000, 60_000, [8, 6]),
            png_header(u32::MAX >> 1, 1, [8, 2]),
            profile,
            jpeg,
            wide,
            tiff(&many),
            tiff(&large),
            [&tiff(&strips)[..], &[0; 1 << 16]].concat(),
            tile.clone(),
            codestream(u32::MAX, u32::MAX, u32::MAX, 3),
            codestream(4000, 4000, 1, 3),
            codestream(4000, 4000, 64, 16_000),
            [
                b"BM".as_slice(),
                &[0xff; 4],
                &[0; 4],
                &[54, 0, 0, 0, 40, 0, 0, 0],
                &[0xff, 0xff, 0, 0],
                &[0xff, 0xff, 0, 0],
            ]
            .concat(),
            nested(20_000, &[b"\x75", b"\x7f\x61", b"\x7f\x60"], &face),
            nested(5, &[b"\x65", b"\xa1", b"\x30", b"\xa1", b"\xa0"], &face),
            [b"FAC\x00010\0".as_slice(), &[0xff; 64]].concat(),
            [b"FAC\x00030\0".as_slice(), &[0xff; 6], &[0; 64]].concat(),
            vec![0; 20 << 20],
            [b"\xff\xd8\xff".as_slice(), &vec![0xff; 20 << 20]].concat(),
        ];
        let mut whole: Vec<Vec<u8>> =
            [ImageFormat::Png, ImageFormat::Jpeg, ImageFormat::Tiff, ImageFormat::Bmp]
                .into_iter()
                .map(|format| photograph(&[1], format))
                .collect();
        whole.push(tile);
        Self { bombs, whole }
    }

    /// One of them, by number: each bomb in turn; cuts and changes of whole files; bytes of chance behind a beginning.
    pub(crate) fn file(&self, number: usize) -> Vec<u8> {
        let mut chance = ChaCha8Rng::seed_from_u64(number as u64);
        let mut draw = |below: usize| chance.next_u32() as usize % below.max(1);
        match number % 4 {
            0 => self.bombs[number / 4 % self.bombs.len()].clone(),
            1 => {
                let mut file = self.whole[draw(self.whole.len())].clone();
                file.truncate(draw(file.len()));
                file
            }
            2 => {
                let mut file = self.whole[draw(self.whole.len())].clone();
                for _ in 0..=draw(20) {
                    let at = draw(file.len());
                    file[at] = draw(256) as u8;
                }
                file
            }
            _ => {
                let starts: [&[u8]; 8] = [
                    b"",
                    b"\xff\xd8\xff",
                    b"\x89PNG",
                    b"BM",
                    b"II\x2a\0",
                    b"\xff\x4f\xff\x51",
                    b"FAC\x00030\0",
                    b"\x75\x84",
                ];
                let noise: Vec<u8> = (0..draw(3000)).map(|_| draw(256) as u8).collect();
                [starts[draw(8)], &noise].concat()
            }
        }
    }
}

/// Not a law: writes them for `tests/images.sh`, which measures what they do to others.
#[test]
fn files_are_written_for_who_asks() {
    let Some(to) = std::env::var_os("LIMEN_HOSTILE_TO") else { return };
    let (to, arsenal) = (Path::new(&to), Arsenal::new());
    std::fs::create_dir_all(to).unwrap();
    for number in 0..std::env::var("LIMEN_HOSTILE").map_or(1000, |files| files.parse().unwrap()) {
        std::fs::write(to.join(format!("{number:05}")), arsenal.file(number)).unwrap();
    }
}

fn resident_mib(process: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() / 1024
}

#[test]
fn no_file_brings_the_server_down_or_makes_it_grow() {
    let files = std::env::var("LIMEN_HOSTILE").map_or(168, |files| files.parse().unwrap());
    let studio = Studio::found(Home::new());
    // Many of them are one face, changed a little: the guard against misuse would stop that.
    let server = studio.serve(&[("LIMEN_SERVE_INSECURE_UNLIMITED_SEARCHES", "true")]);
    let (process, arsenal) = (server.process(), Arsenal::new());
    studio.enrol(&server.actor(&studio.clerk), "one", &photograph(&[1], ImageFormat::Png)).expect(201);
    let before = resident_mib(process);
    let most = AtomicUsize::new(0);
    let counts: [AtomicUsize; 4] = Default::default();
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let guard = server.actor(&studio.guard);
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= files {
                        break;
                    }
                    let answer = studio.look_up(&guard, &arsenal.file(number));
                    let kind = match (answer.status, answer.body["reason"].as_str()) {
                        // Some changes leave the face as it was.
                        (200, _) => 0,
                        (422, Some("limits")) => 1,
                        (422, Some(_)) => 2,
                        (503, _) => 3,
                        (status, _) => panic!("file {number}: {status} {}", answer.body),
                    };
                    counts[kind].fetch_add(1, Ordering::Relaxed);
                    most.fetch_max(resident_mib(process) as usize, Ordering::Relaxed);
                }
            });
        }
    });
    let grown = (most.load(Ordering::Relaxed) as u64).saturating_sub(before);
    let [answered, limits, refused, busy] = counts.map(AtomicUsize::into_inner);
    told(&format!(
        "{files} hostile files: {answered} answered, {refused} refused, {limits} ended by the worker's limits, {busy} told to come back; \
         the server's memory grew by at most {grown} MiB (wanted: at most {GROWTH_MIB})"
    ));
    assert!(grown <= GROWTH_MIB, "{before} and {grown} MiB more");
    assert!(refused > files / 2 && busy < files / 4);
    assert_eq!(server.process(), process);
    let answer =
        studio.look_up(&server.actor(&studio.guard), &photograph(&[1], ImageFormat::Png)).expect(200);
    assert_eq!(answer["decision"], "hit");
}

/// Something that no image holds by chance.
const MARK: [u8; 24] = *b"\x07MARKED\x1f\x8e\x92pixels\xc3\x11\xfe here";

fn traces() -> Vec<Vec<u8>> {
    use base64::{Engine, engine::general_purpose::STANDARD};
    let hex: String = MARK
        .iter()
        .flat_map(|byte| [byte >> 4, byte & 15])
        .map(|digit| char::from(b"0123456789abcdef"[usize::from(digit)]))
        .collect();
    let shifted = (0..3).map(|shift| STANDARD.encode(&MARK[shift..]).as_bytes()[4..20].to_vec());
    [MARK.to_vec(), hex.to_uppercase().into_bytes(), hex.into_bytes(), b"MARKED".to_vec()]
        .into_iter()
        .chain(shifted)
        .collect()
}

fn marked_in(bytes: &[u8]) -> bool {
    traces().iter().any(|trace| bytes.windows(trace.len()).any(|window| window == trace))
}

fn marked_files(path: &Path) -> Vec<String> {
    if path.is_dir() {
        let entries = std::fs::read_dir(path).unwrap();
        return entries.flat_map(|entry| marked_files(&entry.unwrap().path())).collect();
    }
    // Sockets and the like, and what has gone meanwhile.
    let Ok(bytes) = std::fs::read(path) else { return Vec::new() };
    if marked_in(&bytes) { vec![path.display().to_string()] } else { Vec::new() }
}

#[test]
fn an_image_is_never_written_anywhere() {
    let place = in_memory();
    let studio = Studio::found(Home::in_place(place.path()));
    let told = std::fs::File::create(place.path().join("told")).unwrap();
    let (scratch, models) = (place.path().join("scratch"), studio.models.to_str().unwrap());
    std::fs::create_dir(&scratch).unwrap();
    let environment = [
        ("RUST_LOG", "trace"),
        ("TMPDIR", scratch.to_str().unwrap()),
        ("LIMEN_SERVE_MODELS_FOLDER", models),
        ("LIMEN_SERVE_IMAGE_MODEL", &studio.model),
    ];
    let server = Server::start_under(&[], studio.site.path(), &environment, Stdio::from(told)).unwrap();
    let (clerk, guard, maker) =
        (server.actor(&studio.clerk), server.actor(&studio.guard), server.actor(&studio.maker));
    let mut answers = String::new();
    for number in 0..200u64 {
        // Marked in its pixels, beside the face; as a bitmap they are the file's bytes.
        let mut picture = pixels(&[number]);
        for (at, byte) in MARK.iter().rev().enumerate() {
            let (x, channel) = (at as u32 / 3, at % 3);
            picture.get_pixel_mut(7 - x, 0).0[channel] = *byte;
        }
        let mut file = written(&picture, ImageFormat::Bmp);
        assert!(marked_in(&file), "the mark is in the file");
        let part = json!({ "image": { "part": "photo" } });
        let answer = match number % 8 {
            0 => studio.enrol(&clerk, &format!("p{number}"), &file),
            1 => maker.post_files("/v1/extractions", &part, &[("photo", &file)]),
            // Wrong in some way that an error might tell.
            2 => {
                file.truncate(file.len() - 100);
                studio.look_up(&guard, &file)
            }
            3 => guard.post_files(
                "/v1/lookups",
                &studio.search(&json!({ "image": { "part": "other" } })),
                &[("photo", &file)],
            ),
            4 => {
                use base64::{Engine, engine::general_purpose::STANDARD};
                let text = STANDARD.encode(&file);
                let wrong = if number % 16 == 4 { format!("{text}!") } else { text };
                guard.post("/v1/lookups", &studio.search(&json!({ "image": { "base64": wrong } })))
            }
            5 => guard.post_files("/v1/lookups", &json!({ "probe": 1 }), &[("photo", &file)]),
            _ => studio.look_up(&guard, &file),
        };
        answers.push_str(&answer.body.to_string());
    }
    assert!(server.terminate());
    let told = std::fs::read(place.path().join("told")).unwrap();
    assert!(told.len() > 20_000, "it was to be talkative");
    assert!(!marked_in(answers.as_bytes()), "in an answer");
    assert_eq!(marked_files(place.path()), Vec::<String>::new());
    let root = RootKey::find(studio.site.path(), Some(ROOT_KEY), None).unwrap();
    let gallery = Gallery::open(studio.site.path(), Setup::new(root, 1), Ambient::system()).unwrap();
    let mut events = String::new();
    evidence::each_event(&gallery, |_, event| events.push_str(&serde_json::to_string(&event).unwrap()))
        .unwrap();
    assert!(events.contains("\"image\"") && !marked_in(events.as_bytes()), "in an event");
}
