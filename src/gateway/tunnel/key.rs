//! The handshake of WebSocket as its client sees it (RFC 6455 §4.1), where the gateway is that client.
//!
//! Promises: who does not speak WebSocket cannot answer it by chance.
//! Deliberately does not: protect anything; SHA-1 is what the protocol says.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use http::header::{SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY};
use http::{HeaderMap, HeaderValue};
use sha1::{Digest, Sha1};

/// What a server puts behind the key before it digests both (RFC 6455 §1.3).
const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// What a server is asked to prove that it has read.
pub(super) struct Key(String);

impl Key {
    /// A key of these random bytes, the first 16 of them.
    pub(super) fn of(entropy: [u8; 24]) -> Self {
        Self(BASE64_STANDARD.encode(&entropy[..16]))
    }

    /// Puts it into a request.
    pub(super) fn put(&self, headers: &mut HeaderMap) {
        if let Ok(key) = HeaderValue::from_str(&self.0) {
            headers.insert(SEC_WEBSOCKET_KEY, key); // base64 is a legal value
        }
    }

    /// Whether a reply proves that its sender has read it.
    pub(super) fn is_accepted(&self, headers: &HeaderMap) -> bool {
        let expected = BASE64_STANDARD.encode(Sha1::new().chain_update(&self.0).chain_update(GUID).finalize());
        let mut lines = headers.get_all(SEC_WEBSOCKET_ACCEPT).iter();
        lines.next().is_some_and(|line| line.as_bytes() == expected.as_bytes()) && lines.next().is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_of_sixteen_bytes_and_accepted_by_whoever_read_it() {
        let mut headers = HeaderMap::new();
        Key::of([7; 24]).put(&mut headers);
        assert_eq!(BASE64_STANDARD.decode(&headers[SEC_WEBSOCKET_KEY]).expect("base64"), [7; 16]);
        let key = Key("dGhlIHNhbXBsZSBub25jZQ==".to_owned()); // RFC 6455 §1.3
        let accepted = |values: &[&'static str]| {
            let line = |value: &&'static str| (SEC_WEBSOCKET_ACCEPT, HeaderValue::from_static(value));
            key.is_accepted(&values.iter().map(line).collect())
        };
        assert!(accepted(&["s3pPLMBiTxaQ9kYGzzhZRbK+xOo="]));
        assert!(!accepted(&[]) && !accepted(&["s3pPLMBiTxaQ9kYGzzhZRbK+xOo"]));
        assert!(!accepted(&["s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="]));
    }
}
