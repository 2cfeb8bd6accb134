//! Whatever comes as data group 2 of a travel document, its images lie within it.
#![no_main]

#[path = "../../extractor/src/envelope/mod.rs"]
mod envelope;

libfuzzer_sys::fuzz_target!(|rest: &[u8]| {
    let file = [&b"\x75"[..], rest].concat();
    if let Ok(images) = envelope::images(&file) {
        assert!(!images.is_empty() && images.len() <= envelope::IMAGE_LIMIT);
        assert!(images.iter().all(|image| image.len() < file.len()));
    }
});
