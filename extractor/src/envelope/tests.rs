use super::*;
use proptest::prelude::*;

const PNG: &[u8] = b"\x89PNG\r\n\x1a\n and so on";

fn tlv(tag: &[u8], content: &[u8]) -> Vec<u8> {
    let length = content.len();
    let length: Vec<u8> = match length {
        0..0x80 => vec![length as u8],
        0x80..0x100 => vec![0x81, length as u8],
        _ => vec![0x82, (length >> 8) as u8, length as u8],
    };
    [tag, &length, content].concat()
}

fn record_2005(images: &[&[u8]], landmarks: u16) -> Vec<u8> {
    let representations = images.iter().map(|image| {
        let points = vec![0u8; usize::from(landmarks) * 8];
        let length = (4 + 16 + points.len() + 12 + image.len()) as u32;
        let head = [&length.to_be_bytes()[..], &landmarks.to_be_bytes(), &[0; 14], &points].concat();
        [&head[..], &[1, 0], &[0; 10], image].concat()
    });
    let body = representations.collect::<Vec<_>>().concat();
    let length = (14 + body.len()) as u32;
    [b"FAC\x00010\0", &length.to_be_bytes()[..], &(images.len() as u16).to_be_bytes(), &body].concat()
}

fn record_2011(image: &[u8], kind: u8) -> Vec<u8> {
    let length = image.len() as u32;
    let information = [&[kind, 3], &[0; 9][..], &length.to_be_bytes(), image].concat();
    // One quality block, two landmarks.
    let body = [&[0u8; 14][..], &[1], &[0; 5], &[0, 2], &[0; 15], &[0; 16], &information].concat();
    let representation = [&(4 + body.len() as u32).to_be_bytes()[..], &body].concat();
    let length = (17 + representation.len()) as u32;
    [b"FAC\x00030\0", &length.to_be_bytes()[..], &[0, 1, 0, 0, 0], &representation].concat()
}

fn record_39794(image: &[u8]) -> Vec<u8> {
    let two = [tlv(&[0x80], image), tlv(&[0xa1], &[0xa0, 3, 0x80, 1, 2])].concat();
    let representation = tlv(&[0xa1], &tlv(&[0xa0], &tlv(&[0xa0], &two)));
    let representation = [tlv(&[0x80], &[1]), representation, tlv(&[0xa2], &[0x80, 2, 7, 0xe9])].concat();
    let version = tlv(&[0xa0], &[0x80, 1, 3, 0x81, 2, 7, 0xe3]);
    tlv(&[0x65], &[version, tlv(&[0xa1], &tlv(&[0x30], &representation))].concat())
}

fn data_group(block: &[u8]) -> Vec<u8> {
    let template = tlv(&[0x7f, 0x60], &[tlv(&[0xa1], &[0x87, 2, 1, 1]), block.to_vec()].concat());
    tlv(&[0x75], &tlv(&[0x7f, 0x61], &[tlv(&[2], &[1]), template].concat()))
}

#[test]
fn each_record_gives_its_image() {
    let records = [
        record_2005(&[PNG], 0),
        record_2005(&[PNG], 3),
        record_2011(PNG, 1),
        record_39794(PNG),
        data_group(&tlv(&[0x5f, 0x2e], &record_2005(&[PNG], 0))),
        data_group(&tlv(&[0x7f, 0x2e], &tlv(&[0xa1], &record_39794(PNG)))),
        data_group(&tlv(&[0x7f, 0x2e], &record_39794(PNG))),
        PNG.to_vec(),
    ];
    for record in &records {
        assert_eq!(images(record), Ok(vec![PNG]), "{record:02x?}");
    }
    assert_eq!(images(&record_2005(&[PNG, b"\xff\xd8"], 1)), Ok(vec![PNG, b"\xff\xd8"]));
    // Some issuers write the length too small, and more follows.
    let mut short = record_2005(&[PNG], 0);
    short[11] -= 8;
    short.extend([0; 3]);
    assert_eq!(images(&short), Ok(vec![PNG]));
}

#[test]
fn what_fuzzing_has_found_is_tried_again() {
    let corpus = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus");
    let mut tried = 0;
    for (target, start) in [("iso19794", &b"FAC\0"[..]), ("iso39794", b"\x65"), ("dg2", b"\x75")] {
        for entry in std::fs::read_dir(corpus.join(target)).unwrap() {
            let file = [start, &std::fs::read(entry.unwrap().path()).unwrap()].concat();
            if let Ok(images) = images(&file) {
                assert!(images.iter().all(|image| image.len() < file.len()));
            }
            tried += 1;
        }
    }
    assert!(tried > 100, "{tried} inputs");
}

#[test]
fn a_record_without_an_image_of_two_dimensions_is_refused() {
    assert_eq!(images(&record_2011(PNG, 0x81)), Err(EnvelopeError::NoImage));
    assert_eq!(images(&record_2005(&[], 0)), Err(EnvelopeError::NoImage));
    assert_eq!(images(&record_2005(&[b""], 0)), Err(EnvelopeError::NoImage));
    assert_eq!(images(b"FAC\x00020\0\0\0\0\x0e\0\0"), Err(EnvelopeError::Version));
    assert_eq!(images(&data_group(&[])), Err(EnvelopeError::NoImage));
    let three = tlv(&[0x30], &tlv(&[0xa1], &tlv(&[0xa0], &tlv(&[0xa1], PNG))));
    assert_eq!(images(&tlv(&[0x65], &tlv(&[0xa1], &three))), Err(EnvelopeError::NoImage));
}

#[test]
fn a_record_that_is_cut_anywhere_is_refused() {
    let whole = [
        record_2005(&[PNG], 1),
        record_2011(PNG, 1),
        record_39794(PNG),
        data_group(&tlv(&[0x5f, 0x2e], &record_2005(&[PNG], 0))),
    ];
    for record in whole {
        for length in 4..record.len() {
            assert!(images(&record[..length]).is_err(), "{length} of {}", record.len());
        }
    }
}

proptest! {
    #[test]
    fn whatever_comes_an_image_lies_within_it(
        start in prop::sample::select(vec![&b"FAC\x00010\0"[..], b"FAC\x00030\0", b"\x75", b"\x7f\x61", b"\x65"]),
        rest in prop::collection::vec(any::<u8>(), 0..200),
    ) {
        let file = [start, &rest].concat();
        if let Ok(images) = images(&file) {
            prop_assert!(images.len() <= IMAGE_LIMIT && images.iter().all(|image| image.len() < file.len()));
        }
    }

    #[test]
    fn a_changed_record_breaks_nothing(at in 0usize..200, value in any::<u8>(), which in 0usize..3) {
        let mut record = [record_2005(&[PNG], 2), record_2011(PNG, 1), record_39794(PNG)][which].clone();
        let at = at % record.len();
        record[at] = value;
        let _ = images(&record);
    }
}
