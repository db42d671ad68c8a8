//! What every refusal of a kind has in common, and what of its reply can be rendered once.

use std::sync::OnceLock;

use http::StatusCode;

/// What is fixed of a problem (RFC 9457 §3.1).
#[derive(Debug)]
pub(in crate::gateway) struct Problem {
    pub(super) status: StatusCode,
    pub(super) code: &'static str,
    pub(super) title: &'static str,
    pub(super) detail: &'static str,
    pub(super) header: Header,
    /// Whether the connection ends with it: what is wrong with one request may be wrong with the next.
    pub(super) closes: bool,
    /// The body with `detail`, rendered once.
    body: OnceLock<String>,
    /// What the lane begins a reply with, rendered once.
    head: OnceLock<Vec<u8>>,
}

/// The one header that belongs to a kind of refusal.
#[derive(Clone, Copy, Debug)]
pub(in crate::gateway) enum Header {
    None,
    /// `WWW-Authenticate` (RFC 6750 §3) without an error: nothing was shown.
    Challenge,
    /// `WWW-Authenticate`: what was shown is not good.
    InvalidToken,
    /// `WWW-Authenticate`: what was shown is good, but not for this.
    InsufficientScope,
    /// `Retry-After`, with the shortest time that it can say.
    RetrySoon,
    /// What the refusal itself says: `Retry-After` or `Allow`.
    Own,
}

impl Problem {
    pub(in crate::gateway) const fn new(
        status: StatusCode,
        code: &'static str,
        title: &'static str,
        detail: &'static str,
    ) -> Self {
        Self {
            status,
            code,
            title,
            detail,
            header: Header::None,
            closes: false,
            body: OnceLock::new(),
            head: OnceLock::new(),
        }
    }

    pub(in crate::gateway) const fn with(mut self, header: Header) -> Self {
        self.header = header;
        self
    }

    pub(super) const fn closing(mut self) -> Self {
        self.closes = true;
        self
    }

    /// The body of every refusal of this kind whose detail is fixed.
    pub(in crate::gateway) fn fixed_body(&'static self) -> &'static [u8] {
        self.body.get_or_init(|| self.body_with(self.detail)).as_bytes()
    }

    /// What every reply over HTTP/1.1 begins with that tells a refusal of this kind with a fixed body and a fixed header.
    pub(in crate::gateway) fn fixed_head(&'static self, render: impl FnOnce() -> Vec<u8>) -> &'static [u8] {
        self.head.get_or_init(render)
    }

    /// The body with a detail of its own.
    pub(in crate::gateway) fn body_with(&self, detail: &str) -> String {
        let Self { status, code, title, .. } = self;
        let detail = serde_json::Value::from(detail);
        let status = status.as_u16();
        format!(
            r#"{{"type":"urn:relevo:problem:{code}","title":"{title}","status":{status},"detail":{detail},"code":"{code}"}}"#
        )
    }
}
