//! What a page's form sends.
//!
//! Promises: what is read is bounded in size and time; a field that comes twice counts once, the last time it comes.

use std::time::Duration;

use axum::extract::{FromRequest, Request};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http_body_util::{BodyExt, Limited};
use percent_encoding::percent_decode_str;

use super::super::call::BODY_LIMIT_BYTES;

const DEADLINE: Duration = Duration::from_secs(20);

/// The fields of a form.
pub(super) struct Form(Vec<(String, String)>);

impl Form {
    /// Reads `name=value&…` (application/x-www-form-urlencoded).
    pub(super) fn of(text: &str) -> Self {
        let decoded = |text: &str| percent_decode_str(&text.replace('+', " ")).decode_utf8_lossy().into_owned();
        let pairs = text.split('&').filter(|pair| !pair.is_empty());
        Self(
            pairs
                .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
                .map(|(n, v)| (decoded(n), decoded(v)))
                .collect(),
        )
    }

    /// The field `name`, without the spaces around it; empty if it is not there.
    pub(super) fn text(&self, name: &str) -> &str {
        self.0.iter().rev().find(|(known, _)| known == name).map_or("", |(_, value)| value.trim())
    }

    /// Whether the box `name` is ticked.
    pub(super) fn is_ticked(&self, name: &str) -> bool {
        !self.text(name).is_empty()
    }
}

impl<S: Send + Sync> FromRequest<S> for Form {
    type Rejection = Response;

    async fn from_request(request: Request, _: &S) -> Result<Self, Response> {
        let whole = tokio::time::timeout(DEADLINE, Limited::new(request.into_body(), BODY_LIMIT_BYTES).collect()).await;
        let bytes = whole.ok().and_then(Result::ok).ok_or_else(|| StatusCode::PAYLOAD_TOO_LARGE.into_response())?;
        Ok(Self::of(&String::from_utf8_lossy(&bytes.to_bytes())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_decoded_trimmed_and_absent_ones_are_empty() {
        let form = Form::of("name=+a%20b%C3%A9+&tick=on&bad=%ff%&name2");
        assert_eq!((form.text("name"), form.text("name2"), form.text("none")), ("a b\u{e9}", "", ""));
        assert!(form.is_ticked("tick") && !form.is_ticked("none"));
        assert_eq!(form.text("bad"), "\u{fffd}%");
    }
}
