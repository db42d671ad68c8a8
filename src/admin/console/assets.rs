//! The files beside the pages: style, script, htmx, icon. They are part of the binary.
//!
//! Promises: an address holds the file's hash, so that what is kept for ever never changes.

use axum::body::Body;
use axum::extract::Path;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use rust_embed::{Embed, EmbeddedFile};

/// `htmx.min.js` is version 4.0.1, as published, under the licence in `htmx.LICENSE`; a test compares its hash.
#[derive(Embed)]
#[folder = "src/admin/console/assets/"]
struct Assets;

/// Where the asset is.
pub(super) fn address(name: &str) -> String {
    let version = Assets::get(name).map(|file| version(&file)).unwrap_or_default();
    format!("/console/assets/{version}/{name}")
}

fn version(file: &EmbeddedFile) -> String {
    hex::encode(&file.metadata.sha256_hash()[..6])
}

/// `GET /console/assets/{version}/{name}`
pub(super) async fn serve(Path((wanted, name)): Path<(String, String)>) -> Response {
    let Some(file) = Assets::get(&name).filter(|file| version(file) == wanted) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let media_type = match name.rsplit('.').next() {
        Some("css") => "text/css; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("svg") => "image/svg+xml",
        Some(_) | None => "text/plain; charset=utf-8",
    };
    let headers = [(CONTENT_TYPE, media_type), (CACHE_CONTROL, "public, max-age=31536000, immutable")];
    (headers, Body::from(file.data)).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::BodyExt;

    #[test]
    fn htmx_is_the_file_that_was_published() {
        let file = Assets::get("htmx.min.js").expect("there");
        assert_eq!(hex::encode(file.metadata.sha256_hash()), include_str!("assets/htmx.sha256").trim());
        assert!(Assets::get("htmx.LICENSE").is_some());
    }

    #[tokio::test]
    async fn an_asset_is_not_copied_for_whoever_asks() {
        let address = address("htmx.min.js");
        let version = address.split('/').nth(3).expect("a version").to_owned();
        let body = serve(Path((version, "htmx.min.js".into()))).await.into_body();
        let body = body.collect().await.expect("a body").to_bytes();
        assert_eq!(body.as_ptr(), Assets::get("htmx.min.js").expect("there").data.as_ptr());
    }

    #[tokio::test]
    async fn an_asset_is_there_under_its_hash_only() {
        for (path, status) in [(address("console.css"), 200), ("/console/assets/0/console.css".into(), 404)] {
            let mut segments = path.rsplit('/').map(str::to_owned);
            let (name, version) = (segments.next().expect("a name"), segments.next().expect("a version"));
            assert_eq!(serve(Path((version, name))).await.status().as_u16(), status, "{path}");
        }
    }
}
