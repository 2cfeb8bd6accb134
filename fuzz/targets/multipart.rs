//! Whatever comes as multipart/form-data, its parts are not longer than it.
#![no_main]

#[path = "../../api/src/multipart.rs"]
mod multipart;

use bytes::Bytes;
libfuzzer_sys::fuzz_target!(|body: &[u8]| {
    let whole = Bytes::copy_from_slice(body);
    if let Ok(parts) = multipart::take_apart("multipart/form-data; boundary=X", whole) {
        let files: usize = parts.files.values().map(Bytes::len).sum();
        assert!(parts.request.len() + files <= body.len());
    }
});
