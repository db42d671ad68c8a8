//! The JSON schema of the configuration file, for editors.
//!
//! Promises: every key of [`File`] with its meaning; what must be there is required.
//! Deliberately does not: say what the values mean together. That is [`check`](super::check)'s.

use serde_json::Value as Json;

use super::file::File;

/// The JSON schema of the file, every part where it is used.
pub(super) fn schema() -> Json {
    let settings = schemars::generate::SchemaSettings::draft2020_12().with(|s| s.inline_subschemas = true);
    let mut schema = settings.into_generator().into_root_schema_for::<File>().to_value();
    remove_nulls(&mut schema);
    let listeners = &mut schema["properties"]["gateway"]["properties"]["listeners"]["items"];
    listeners["required"] = ["address"].as_slice().into();
    listeners["properties"]["tls"]["items"]["required"] = ["certificate", "key"].as_slice().into();
    schema["properties"]["limits"]["properties"]["roles"]["items"]["required"] = ["role"].as_slice().into();
    for (list, keys) in [("upstreams", ["name", "endpoints"]), ("routes", ["path", "upstream"])] {
        schema["properties"][list]["items"]["required"] = keys.as_slice().into();
    }
    schema
}

/// TOML has no null: what may be absent is simply not required.
fn remove_nulls(schema: &mut Json) {
    match schema {
        Json::Object(members) => {
            members.retain(|_, member| !member.is_null());
            members.values_mut().for_each(remove_nulls);
            if let Some(Json::Array(kinds)) = members.get_mut("type") {
                kinds.retain(|kind| kind != "null");
                if let [only] = kinds.as_slice() {
                    let only = only.clone();
                    members.insert("type".to_owned(), only);
                }
            }
        }
        Json::Array(items) => items.iter_mut().for_each(remove_nulls),
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) => {}
    }
}
