//! The OpenAPI document (3.1) of the admin port, and the page on which it can be read and tried.
//!
//! Promises: the document is made of the route table (`calls`); the page loads nothing from elsewhere.
//! Deliberately does not: hold a secret, and so neither asks for a credential.

mod assets;

use std::collections::BTreeMap;
use std::sync::LazyLock;

use axum::response::{Html, IntoResponse, Response};
use http::Method;
use http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use serde_json::{Map, Value, json};

use super::calls::{self, Body, Content, Entry, Needs};
use super::problem::Code;
use crate::domain::Permission;

pub(super) use assets::serve as serve_asset;

/// What bodies and parameters look like.
const COMPONENTS: &str = include_str!("components.json");
/// What the page may do: load what this port serves, show the pictures in its style sheet, and call this port.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; \
                      connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
/// Where callers are told apart and every body is read, any of these may be answered.
const OF_CALLERS: [Code; 9] = [
    Code::InvalidRequest,
    Code::Unauthenticated,
    Code::Forbidden,
    Code::BodyTooLarge,
    Code::UnsupportedMediaType,
    Code::UnknownHost,
    Code::TooManyFailures,
    Code::Internal,
    Code::StoreUnavailable,
];
/// Anything may be answered these.
const OF_ANYBODY: [Code; 3] = [Code::Forbidden, Code::UnknownHost, Code::Internal];

/// The document.
pub fn document() -> &'static Value {
    static DOCUMENT: LazyLock<Value> = LazyLock::new(make);
    &DOCUMENT
}

/// `GET /openapi.json`
pub(super) async fn serve() -> Response {
    ([(CONTENT_TYPE, "application/json")], document().to_string()).into_response()
}

/// `GET /docs`
pub(super) async fn page() -> Response {
    let headers = [(CONTENT_SECURITY_POLICY, POLICY), (X_CONTENT_TYPE_OPTIONS, "nosniff")];
    (headers, Html(assets::page())).into_response()
}

fn make() -> Value {
    let mut components: Value = serde_json::from_str(COMPONENTS).unwrap_or_default(); // a test reads it
    components["securitySchemes"] =
        json!({"administrator": {"type": "http", "scheme": "bearer", "description": "An administrator's token."}});
    let mut paths: BTreeMap<&str, Map<String, Value>> = BTreeMap::new();
    for entry in calls::table() {
        let method = entry.method.as_str().to_ascii_lowercase();
        paths.entry(entry.path).or_default().insert(method, operation(&entry));
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Relevo: the admin API",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "API keys, their tokens and their renewal. Every change answers with `Relevo-Revision`; \
                            refusals are `application/problem+json`, for programs to go by `code`.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "security": [{"administrator": []}],
        "paths": paths,
        "components": components,
    })
}

fn operation(entry: &Entry) -> Value {
    let tag = match entry.path.split('/').nth(2) {
        Some("keys" | "import" | "apply") => "keys",
        Some("admins") => "administrators",
        Some("audit" | "events") => "audit",
        Some(_) | None => "gateway",
    };
    let mut operation = json!({
        "operationId": entry.name,
        "summary": entry.summary,
        "tags": [tag],
        "parameters": parameters(entry),
        "responses": responses(entry),
    });
    match entry.needs {
        Needs::Nothing => operation["security"] = json!([]),
        Needs::OneOf(wanted) => operation["description"] = format!("Needs {}.", words(wanted, " or ")).into(),
        Needs::AllOf(wanted) => operation["description"] = format!("Needs {}.", words(wanted, " and ")).into(),
    }
    if let Some(body) = entry.body {
        operation["requestBody"] = match body {
            Body::Optional(schema) => json!({"required": false, "content": {"application/json": of_schema(schema)}}),
            Body::Json(schema) => json!({"required": true, "content": {"application/json": of_schema(schema)}}),
            Body::Bytes => json!({"required": true, "content": {"application/octet-stream": {"schema": {}}}}),
        };
    }
    operation
}

fn words(wanted: &[Permission], between: &str) -> String {
    wanted.iter().map(|permission| format!("`{}`", permission.as_str())).collect::<Vec<_>>().join(between)
}

fn parameters(entry: &Entry) -> Vec<Value> {
    let in_path = [("{key}", "key_in_path"), ("{admin}", "admin_in_path")];
    let in_path = in_path.into_iter().filter(|(place, _)| entry.path.contains(place)).map(|(_, name)| name);
    let all = in_path.chain(entry.parameters.iter().copied());
    all.map(|name| json!({"$ref": format!("#/components/parameters/{name}")})).collect()
}

fn of_schema(schema: &str) -> Value {
    json!({"schema": {"$ref": format!("#/components/schemas/{schema}")}})
}

fn responses(entry: &Entry) -> Map<String, Value> {
    let mut responses = Map::new();
    for (status, content) in &entry.answers {
        let mut response = json!({"description": described(*status)});
        match content {
            Content::Nothing => {}
            Content::Json(schema) => response["content"] = json!({"application/json": of_schema(schema)}),
            Content::Text(media_type) => {
                let mut content = Map::new();
                content.insert((*media_type).to_owned(), json!({"schema": {"type": "string"}}));
                response["content"] = content.into();
            }
        }
        if entry.method != Method::GET {
            let revision =
                json!({"schema": {"type": "string"}, "description": "The change's place among all changes."});
            response["headers"] = json!({"Relevo-Revision": revision});
        }
        responses.insert(status.to_string(), response);
    }
    for (status, codes) in refusals(entry) {
        let codes: Vec<_> = codes.iter().map(|code| format!("`{}`", code.as_str())).collect();
        let refused = json!({
            "description": codes.join(", "),
            "content": {"application/problem+json": of_schema("Problem")},
        });
        match responses.get_mut(&status.to_string()) {
            Some(answer) => answer["content"]["application/problem+json"] = of_schema("Problem"),
            None => drop(responses.insert(status.to_string(), refused)),
        }
    }
    responses
}

fn described(status: u16) -> &'static str {
    match status {
        201 => "Made.",
        204 => "Done.",
        503 => "Not now.",
        _ => "As it is.",
    }
}

/// What may be refused, by status.
fn refusals(entry: &Entry) -> BTreeMap<u16, Vec<Code>> {
    let always: &[Code] = if let Needs::Nothing = entry.needs { &OF_ANYBODY } else { &OF_CALLERS };
    let mut refusals: BTreeMap<u16, Vec<Code>> = BTreeMap::new();
    for code in always.iter().chain(entry.problems) {
        let is_nobody = *code == Code::KeyNotFound && entry.path.contains("{admin}");
        let code = if is_nobody { Code::AdminNotFound } else { *code };
        refusals.entry(code.status().as_u16()).or_default().push(code);
    }
    let changes_administrators = entry.path.contains("{admin}") && entry.method != Method::GET;
    if changes_administrators {
        refusals.entry(Code::LastAdministrator.status().as_u16()).or_default().push(Code::LastAdministrator);
    }
    refusals
}
