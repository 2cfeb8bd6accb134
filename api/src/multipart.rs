//! Bodies of `multipart/form-data` (RFC 7578): a part named `request` in JSON, and files that it refers to by their parts' names.

use bytes::Bytes;
use std::{
    collections::BTreeMap,
    task::{Context, Poll, Waker},
};

/// Parts that one body may have.
const PART_LIMIT: usize = 66;
/// The part that holds the request.
const REQUEST: &str = "request";

/// A body, taken apart.
#[derive(Default)]
pub(crate) struct FormData {
    /// The request, as JSON.
    pub(crate) request: Bytes,
    /// Files, by name.
    pub(crate) files: BTreeMap<String, Bytes>,
}

/// Takes a body apart.
///
/// # Errors
/// In words, when it is none, or a part has no name, a name twice, or there is no request.
pub(crate) fn take_apart(content_type: &str, body: Bytes) -> Result<FormData, String> {
    // All of it is there: nothing is waited for.
    let mut parts = std::pin::pin!(parts(content_type, body));
    match parts.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(parts) => parts,
        Poll::Pending => Err("the body breaks off".to_owned()),
    }
}

async fn parts(content_type: &str, body: Bytes) -> Result<FormData, String> {
    let boundary = multer::parse_boundary(content_type).map_err(|_| "the Content-Type names no boundary")?;
    let whole = tokio_stream::once(Ok::<_, std::convert::Infallible>(body));
    let mut multipart = multer::Multipart::new(whole, boundary);
    let (mut request, mut files) = (None, BTreeMap::new());
    while let Some(field) = multipart.next_field().await.map_err(|_| "the body is no multipart/form-data")? {
        let name = field.name().ok_or("a part has no name")?.to_owned();
        let content = field.bytes().await.map_err(|_| "a part is cut")?;
        if name == REQUEST {
            if request.replace(content).is_some() {
                return Err("the part request stands twice".to_owned());
            }
        } else if files.len() == PART_LIMIT {
            return Err(format!("there are more than {PART_LIMIT} files"));
        } else if files.insert(name, content).is_some() {
            return Err("two parts have one name".to_owned());
        }
    }
    let request = request.ok_or("there is no part named request")?;
    Ok(FormData { request, files })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn apart(body: &str) -> Result<FormData, String> {
        take_apart("multipart/form-data; boundary=X", Bytes::from(body.replace('\n', "\r\n")))
    }

    #[test]
    fn what_fuzzing_has_found_is_tried_again() {
        let corpus = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus/multipart");
        let mut tried = 0;
        for entry in std::fs::read_dir(corpus).unwrap() {
            let body = Bytes::from(std::fs::read(entry.unwrap().path()).unwrap());
            let length = body.len();
            if let Ok(parts) = take_apart("multipart/form-data; boundary=X", body) {
                assert!(parts.request.len() + parts.files.values().map(Bytes::len).sum::<usize>() <= length);
            }
            tried += 1;
        }
        assert!(tried > 30, "{tried} inputs");
    }

    const PART: &str = "--X\nContent-Disposition: form-data; name=\"";

    #[test]
    fn request_and_files_are_told_apart() {
        let body = format!("{PART}request\"\n\n{{}}\n{PART}photo\"; filename=\"a.png\"\n\npixels\n--X--\n");
        let parts = apart(&body).unwrap();
        assert_eq!(parts.request, "{}");
        assert_eq!(parts.files.iter().collect::<Vec<_>>(), [(&"photo".to_owned(), &Bytes::from("pixels"))]);
    }

    #[test]
    fn what_is_cut_nameless_or_double_is_refused() {
        let request = format!("{PART}request\"\n\n{{}}\n");
        let part = |n: u32| format!("{PART}{n}\"\n\n1\n");
        for bad in [
            String::new(),
            "--X--\n".to_owned(),
            request.clone(),
            format!("{request}{request}--X--\n"),
            format!("{request}{PART}a\"\n\n1\n{PART}a\"\n\n2\n--X--\n"),
            format!("{request}--X\nContent-Disposition: form-data\n\n1\n--X--\n"),
            format!("{PART}a\"\n\n1\n--X--\n"),
            [request.clone(), (0..70).map(part).collect(), "--X--\n".to_owned()].concat(),
        ] {
            assert!(apart(&bad).is_err(), "{bad}");
        }
    }
}
