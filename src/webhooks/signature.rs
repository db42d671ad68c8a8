//! Signatures of deliveries, as Standard Webhooks writes them.
//!
//! Promises: every secret signs, so that a receiver may have changed to the new one or not.

use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::config::SigningSecret;

/// The value of `webhook-signature` for this id, time (seconds since 1970) and body.
pub(super) fn signature(secrets: &[SigningSecret], id: &str, timestamp: u64, body: &[u8]) -> String {
    let signed = |secret: &SigningSecret| {
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
        let mut context = hmac::Context::with_key(&key);
        context.update(format!("{id}.{timestamp}.").as_bytes());
        context.update(body);
        format!("v1,{}", STANDARD.encode(context.sign()))
    };
    secrets.iter().map(signed).collect::<Vec<_>>().join(" ")
}
