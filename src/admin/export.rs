//! `GET /v1/audit/export`: the audit log as it is kept, a line each record, byte for byte what its hash is made of.
//!
//! Promises: what is kept for a slow reader is one slice; a log that cannot be read to its end breaks the connection off.
//! Deliberately does not: judge the chain. Whoever reads the lines can.

use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::stream;
use http::header::CONTENT_TYPE;

use super::Admin;
use super::call::Call;
use super::problem::Problem;
use crate::domain::Permission::AuditRead;
use crate::domain::Revision;
use crate::keyring::Denied;

/// The media type of JSON lines.
const MEDIA_TYPE: &str = "application/jsonl";
/// How many records are sent at once.
const SLICE: usize = 256;

/// `GET /v1/audit/export`
pub async fn export(State(admin): State<Admin>, call: Call) -> Result<Response, Problem> {
    let call = call.unlimited()?.permit(&[AuditRead])?;
    let id = call.id;
    call.plain().await?.without_fields()?;
    let room = admin.streams.take_room(id)?;
    let lines = stream::try_unfold((admin, Revision(0), room), |(admin, after, room)| async move {
        let records = admin.keyring.records(after, SLICE).await.inspect_err(
            |error: &Denied| tracing::error!(%error, after = after.0, "the export of the audit log broke off"),
        )?;
        let Some(last) = records.last().map(|record| record.revision) else { return Ok::<_, Denied>(None) };
        let mut text = String::new();
        for record in &records {
            text.extend([&*record.line, "\n"]);
        }
        Ok(Some((Bytes::from(text), (admin, last, room))))
    });
    Ok(([(CONTENT_TYPE, MEDIA_TYPE)], Body::from_stream(lines)).into_response())
}
