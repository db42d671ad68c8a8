//! The document, held to the table and to what is really answered.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use axum::extract::ConnectInfo;
use http::{HeaderValue, Method};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tower::Service;

use super::Plane;
use crate::admin::calls::{self, Content, Needs};
use crate::admin::openapi::document;

/// Every `$ref` in `value`.
fn references<'v>(value: &'v Value, found: &mut BTreeSet<&'v str>) {
    match value {
        Value::Object(members) => {
            found.extend(members.get("$ref").and_then(Value::as_str));
            members.values().for_each(|member| references(member, found));
        }
        Value::Array(items) => items.iter().for_each(|item| references(item, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[test]
fn every_reference_leads_to_something_and_everything_is_referred_to() {
    let document = document();
    let mut found = BTreeSet::new();
    references(document, &mut found);
    for reference in &found {
        let place = reference.strip_prefix('#').expect("within the document");
        assert!(document.pointer(place).is_some(), "{reference}");
    }
    for kind in ["schemas", "parameters"] {
        for name in document["components"][kind].as_object().expect("an object").keys() {
            assert!(found.contains(&*format!("#/components/{kind}/{name}")), "nobody refers to {name}");
        }
    }
}

#[test]
fn every_call_has_a_name_of_its_own_and_says_what_it_does() {
    let table = calls::table();
    let names: BTreeSet<_> = table.iter().map(|entry| entry.name).collect();
    assert_eq!(names.len(), table.len());
    for entry in &table {
        assert!(!entry.summary.is_empty() && !entry.answers.is_empty(), "{}", entry.name);
        let place = format!("/paths/{}/{}", entry.path.replace('/', "~1"), entry.method.as_str().to_ascii_lowercase());
        assert_eq!(document().pointer(&place).expect("published")["operationId"], entry.name);
    }
}

#[test]
fn the_published_document_is_this_one() {
    let published: Value = serde_json::from_str(include_str!("../../../docs/openapi.json")).expect("JSON");
    assert!(published == *document(), "docs/openapi.json is another: relevo openapi > docs/openapi.json");
}

/// Holds `value` to `schema`: of an object, the very fields that it has.
fn hold(value: &Value, schema: &Value, place: &str) {
    if let Some(reference) = schema["$ref"].as_str() {
        let schema = document().pointer(reference.strip_prefix('#').expect("within")).expect("there");
        return hold(value, schema, place);
    }
    if let Some(choices) = schema["anyOf"].as_array().filter(|_| schema["properties"].is_null()) {
        let fits = |choice: &&Value| (choice["type"] == "null") == value.is_null();
        return hold(value, choices.iter().find(fits).unwrap_or_else(|| panic!("{place}: {value}")), place);
    }
    match value {
        Value::Object(fields) if schema["properties"].is_object() => {
            for (name, field) in fields {
                let told = &schema["properties"][name];
                assert!(told.is_object(), "{place}.{name} is not published");
                hold(field, told, &format!("{place}.{name}"));
            }
            for required in schema["required"].as_array().expect("a list") {
                let name = required.as_str().expect("a name");
                assert!(fields.contains_key(name), "{place}.{name} is published, and not there");
            }
        }
        Value::Array(items) => items.iter().for_each(|item| hold(item, &schema["items"], &format!("{place}[]"))),
        Value::Object(_) | Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[tokio::test]
async fn what_is_answered_is_what_is_published() {
    let plane = Plane::new().await;
    let limits = json!({"rate": {"requests": 10, "per": "1s", "burst": 20}, "quota": {"requests": 7, "per": "day"}});
    let key = json!({"name": "ci", "roles": ["a"], "labels": {"team": "x"}, "limits": limits, "self_service": true});
    plane.ask(Method::POST, "/v1/keys", key).await;
    plane.ask(Method::POST, "/v1/keys/ci/renew", json!({"delete_old": {"after": "7d"}})).await;
    for entry in calls::table() {
        let published = entry.answers.iter().find_map(|(status, content)| match content {
            Content::Json(schema) if *status == 200 => Some(*schema),
            Content::Json(_) | Content::Text(_) | Content::Nothing => None,
        });
        let Some(schema) = published.filter(|_| entry.method == Method::GET) else { continue };
        let path = entry.path.replace("{key}", "ci").replace("{admin}", "root");
        let answer = plane.read(&path).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.body);
        hold(&answer.body, &json!({"$ref": format!("#/components/schemas/{schema}")}), schema);
    }
}

/// The first events of the stream at `path`, so many of them, and the head of its answer.
async fn stream(plane: &Plane, path: &str, count: usize) -> (http::response::Parts, Vec<Value>) {
    let mut request = plane.request(Method::GET, path).body(axum::body::Body::empty()).expect("a request");
    request.extensions_mut().insert(ConnectInfo(SocketAddr::from(([127, 0, 0, 1], 50_000))));
    let (head, mut body) = plane.router.clone().call(request).await.expect("an answer").into_parts();
    let mut text = String::new();
    while text.matches("\ndata: ").count() < count || !text.ends_with("\n\n") {
        let frame = body.frame().await.expect("it goes on").expect("a frame");
        text.push_str(std::str::from_utf8(frame.data_ref().expect("data")).expect("UTF-8"));
    }
    let lines = text.lines().filter_map(|line| line.strip_prefix("data: "));
    (head, lines.map(|line| serde_json::from_str(line).expect("JSON")).collect())
}

#[tokio::test]
async fn the_stream_of_events_is_what_is_published() {
    let plane = Plane::new().await;
    plane.create("ci").await;
    plane.ask(Method::POST, "/v1/keys/ci/renew", json!({"delete_old": {"after": "7d"}})).await;
    plane.ask(Method::PATCH, "/v1/settings", json!({"duration": "60d"})).await;
    plane.ask(Method::POST, "/v1/admins", json!({"name": "ana", "permissions": []})).await;
    let listed = plane.read("/v1/audit").await.body["events"].as_array().expect("events").clone();
    let (head, events) = stream(&plane, "/v1/events?after=0", listed.len()).await;
    let published = &document()["paths"]["/v1/events"]["get"]["responses"]["200"];
    let content = published["content"].as_object().expect("content");
    assert_eq!(content.keys().collect::<Vec<_>>(), ["text/event-stream"]);
    assert_eq!(
        (head.status.as_u16(), &head.headers["content-type"]),
        (200, &HeaderValue::from_static("text/event-stream"))
    );
    assert_eq!(head.headers["cache-control"], "no-cache");
    for event in &events {
        hold(event, &json!({"$ref": "#/components/schemas/Event"}), "Event");
    }
    assert_eq!(events, listed);
}

#[tokio::test]
async fn whatever_is_published_is_answered_and_to_nobody_without_a_token_unless_it_says_so() {
    let plane = Plane::new().await;
    for entry in calls::table() {
        let path = entry.path.replace("{key}", "nobody").replace("{admin}", "nobody");
        let request = http::Request::builder().method(entry.method.clone()).uri(&path).header("host", "localhost");
        let answer = plane.send(request.body(axum::body::Body::empty()).expect("a request")).await;
        let expected = if let Needs::Nothing = entry.needs { 200 } else { 401 };
        assert_eq!(answer.status, expected, "{} {path}", entry.method);
    }
}
