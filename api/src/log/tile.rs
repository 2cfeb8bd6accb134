//! `GET /v1/log/tile/{level}/{index}`

use crate::{caller::By, node::Node, problem::Problem};
use axum::{
    extract::{Path, State},
    http::header::{CACHE_CONTROL, CONTENT_TYPE},
    response::{IntoResponse, Response},
};
use gallery::evidence;
use std::sync::Arc;

/// Read a tile of the log's tree, or a bundle of its entries (level `entries`), which are commitments (c2sp.org/tlog-tiles). For whoever holds a grant; it
/// tells nothing of events.
#[utoipa::path(get, path = "/v1/log/tile/{level}/{*index}", tag = "log", extensions(("x-operation" = json!("upkeep"))),
    params(
        ("level" = String, Path, description = "0 to 7, or `entries`"),
        ("index" = String, Path, description = "As `x001/234`, with `.p/` and a width if it is not whole"),
    ),
    responses(
        (status = 200, content_type = "application/octet-stream", body = Vec<u8>),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", body = Problem, content_type = "application/problem+json"),
    ))]
pub(crate) async fn read_tile(
    State(node): State<Arc<Node>>,
    By(_): By,
    Path((level, index)): Path<(String, String)>,
) -> Result<Response, Problem> {
    let (index, width) =
        place(&index).ok_or_else(|| Problem::malformed("index", "a tile is named as x001/234.p/5"))?;
    let bytes = if level == "entries" {
        node.blocking(move |gallery| evidence::bundle(gallery, index, width)).await?
    } else {
        let wrong = || Problem::malformed("level", "a level is 0 to 7, or entries");
        let one_digit = |it: &u32| *it < 8 && it.to_string() == level;
        let level: u32 = level.parse().ok().filter(one_digit).ok_or_else(wrong)?;
        node.blocking(move |gallery| evidence::tile(gallery, level, index, width)).await?
    };
    let headers =
        [(CONTENT_TYPE, "application/octet-stream"), (CACHE_CONTROL, "private, max-age=31536000, immutable")];
    Ok((headers, bytes).into_response())
}

/// Number and width of a tile: `x001/x234/067`, and `.p/5` if it has but five hashes. There is one way to write it.
fn place(path: &str) -> Option<(u64, u64)> {
    let (number, width) = match path.split_once(".p/") {
        Some((number, width)) => (number, width.parse().ok().filter(|width| (1..256).contains(width))?),
        None => (path, 256),
    };
    let number = number.replace(['x', '/'], "").parse().ok()?;
    (written(number, width) == path).then_some((number, width))
}

fn written(number: u64, width: u64) -> String {
    let (mut path, mut rest) = (format!("{:03}", number % 1000), number / 1000);
    while rest > 0 {
        path = format!("x{:03}/{path}", rest % 1000);
        rest /= 1000;
    }
    if width == 256 { path } else { format!("{path}.p/{width}") }
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_tile_is_named_in_one_way() {
        let name = super::place;
        assert_eq!(name("x001/x234/067"), Some((1_234_067, 256)));
        assert_eq!((name("000"), name("067.p/5")), (Some((0, 256)), Some((67, 5))));
        for bad in [
            "",
            "67",
            "0067",
            "001/067",
            "x001",
            "067.p/0",
            "067.p/256",
            "067.p/",
            "x01/067",
            "+67",
            "067.p/+5",
            "067.p/05",
            "x000/067",
        ] {
            assert_eq!(name(bad), None, "{bad}");
        }
    }
}
