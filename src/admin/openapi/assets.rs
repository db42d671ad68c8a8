//! The files of the page: Swagger UI 5.35.0 as published (its licence beside it), and the script that begins it.
//!
//! Promises: an address holds the file's hash, so that what is kept for ever never changes.

use axum::body::Body;
use axum::extract::Path;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use rust_embed::{Embed, EmbeddedFile};

#[derive(Embed)]
#[folder = "src/admin/openapi/docs/"]
struct Files;

const PAGE: &str = include_str!("docs/page.html");

/// The page, with the address of each of its files.
pub(super) fn page() -> String {
    ["swagger-ui.css", "swagger-ui-bundle.js", "begin.js"]
        .into_iter()
        .fold(PAGE.to_owned(), |page, name| page.replace(&format!("{{{name}}}"), &address(name)))
}

fn address(name: &str) -> String {
    let version = Files::get(name).map(|file| version(&file)).unwrap_or_default();
    format!("/docs/{version}/{name}")
}

fn version(file: &EmbeddedFile) -> String {
    hex::encode(&file.metadata.sha256_hash()[..6])
}

/// `GET /docs/{version}/{name}`
pub(in crate::admin) async fn serve(Path((wanted, name)): Path<(String, String)>) -> Response {
    let Some(file) = Files::get(&name).filter(|file| version(file) == wanted) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let media_type = match name.rsplit('.').next() {
        Some("css") => "text/css; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some(_) | None => "text/plain; charset=utf-8",
    };
    let kept = "public, max-age=31536000, immutable";
    let headers = [(CONTENT_TYPE, media_type), (CACHE_CONTROL, kept), (X_CONTENT_TYPE_OPTIONS, "nosniff")];
    (headers, Body::from(file.data)).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::BodyExt;

    #[test]
    fn the_files_are_those_that_were_published() {
        for line in include_str!("docs/swagger-ui.sha256").lines() {
            let (expected, name) = line.split_once("  ").expect("a hash and a name");
            assert_eq!(hex::encode(Files::get(name).expect("there").metadata.sha256_hash()), expected, "{name}");
        }
    }

    #[tokio::test]
    async fn a_file_is_there_under_its_hash_and_the_page_names_no_other() {
        let page = page();
        let addresses: Vec<_> = page.split('"').filter(|part| part.starts_with("/docs/")).collect();
        assert_eq!(addresses.len(), 3, "{page}");
        for address in addresses {
            let mut segments = address.rsplit('/').map(str::to_owned);
            let (name, version) = (segments.next().expect("a name"), segments.next().expect("a version"));
            let answer = serve(Path((version, name.clone()))).await;
            assert_eq!(answer.status(), 200, "{address}");
            let body = answer.into_body().collect().await.expect("a body").to_bytes();
            assert_eq!(body.as_ptr(), Files::get(&name).expect("there").data.as_ptr(), "{address} is not copied");
            assert_eq!(serve(Path(("0".into(), name))).await.status(), 404);
        }
        assert!(!page.contains("http"), "nothing is loaded from elsewhere");
    }
}
