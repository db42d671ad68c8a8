//! The settings that hold for every key.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::header::ETAG;
use serde::Serialize;

use super::Admin;
use super::call::{Call, Plain};
use super::etag::{IfMatch, etag};
use super::fields::text;
use super::keys::{matching, take_confirm};
use super::problem::Problem;
use crate::domain::Permission::{KeysRead, SettingsWrite};
use crate::domain::{Lifetime, OnExpiry, Version};
use crate::keyring::{SettingsChange, SettingsDone};

#[derive(Serialize)]
struct SettingsView<'a> {
    duration: Lifetime,
    on_expiry: OnExpiry,
    prefix: &'a str,
    version: u64,
}

/// `GET /v1/settings`
pub async fn show(State(admin): State<Admin>, call: Call) -> Result<Response, Problem> {
    call.permit(&[KeysRead, SettingsWrite])?.plain().await?.without_fields()?;
    Ok(admin.settings_reply(&admin.keyring.settings()))
}

/// `PATCH /v1/settings`
pub async fn change(State(admin): State<Admin>, call: Call) -> Result<Response, Problem> {
    let Plain { caller, if_match, mut fields } = call.unlimited()?.permit(&[SettingsWrite])?.plain().await?;
    let change = SettingsChange {
        duration: fields.take("duration", text),
        on_expiry: fields.take("on_expiry", text),
        confirm: take_confirm(&mut fields),
    };
    fields.take("prefix", |_| Err::<(), _>("is set in the configuration, not here".into()));
    fields.finish()?;
    let if_match = admin.settings_version(if_match)?;
    let done = admin.keyring.change_settings(change, if_match, &caller).await?;
    Ok((admin.changed(done.revision), admin.settings_reply(&done)).into_response())
}

impl Admin {
    fn settings_reply(&self, done: &SettingsDone) -> Response {
        let version = Version(done.version.0);
        let body = SettingsView {
            duration: done.settings.duration,
            on_expiry: done.settings.on_expiry,
            prefix: self.keyring.prefix().as_str(),
            version: version.0,
        };
        ([(ETAG, etag(version))], Json(body)).into_response()
    }

    /// The version of the settings that a change asks for.
    fn settings_version(&self, if_match: IfMatch) -> Result<Option<Version>, Problem> {
        match if_match {
            IfMatch::Any => Ok(None),
            IfMatch::OneOf(versions) => matching(&versions, Version(self.keyring.settings().version.0)).map(Some),
        }
    }
}
