//! What was asked of the process, and what must therefore be seen of it.

use std::collections::BTreeMap;

use relevo::domain::{Digest, Prefix, Secret};
use serde_json::{Value, json};

/// The names of the keys that come and go.
pub(super) const NAMES: [&str; 6] = ["a", "b", "c", "d", "e", "f"];

/// Every key, by its name, and the tokens that no key accepts any longer.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Model {
    pub(super) keys: BTreeMap<&'static str, Key>,
    pub(super) gone: Vec<String>,
    pub(super) duration_days: u32,
}

/// One key.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Key {
    /// The tokens it accepts while it is active, the older first.
    pub(super) tokens: Vec<String>,
    pub(super) active: bool,
    pub(super) note: u32,
    pub(super) delete_old: Option<Value>,
    /// Events of its own, first uses left out.
    pub(super) version: u64,
}

/// One thing that is asked.
#[derive(Clone, Debug)]
pub(super) enum Command {
    Create(&'static str),
    Renew(&'static str),
    Undo(&'static str),
    DeleteOld(&'static str),
    Plan(&'static str, u32),
    Note(&'static str, u32),
    Activate(&'static str, bool),
    Delete(&'static str),
    Duration(u32),
}

/// A command as a call, and the model once it is done.
pub(super) struct Call {
    pub(super) method: &'static str,
    pub(super) path: String,
    pub(super) body: Option<Value>,
    pub(super) after: Model,
}

impl Model {
    /// The call for `command`; `None` where it would be refused or change nothing. `secret` is the token it makes.
    pub(super) fn call(&self, command: &Command, secret: &str) -> Option<Call> {
        let digest = Digest::of(secret.as_bytes()).to_string();
        let mut after = self.clone();
        let (method, path, body) = match command {
            Command::Duration(days) => {
                after.duration_days = *days;
                ("PATCH", "/v1/settings".to_owned(), Some(json!({"duration": format!("{days}d")})))
            }
            Command::Create(name) => {
                let tokens = vec![secret.to_owned()];
                let key = Key { tokens, active: true, note: 0, delete_old: None, version: 1 };
                if after.keys.insert(name, key).is_some() {
                    return None;
                }
                ("POST", "/v1/keys".to_owned(), Some(json!({"name": name, "digest": digest})))
            }
            Command::Delete(name) => {
                let key = after.keys.remove(name)?;
                after.gone.extend(key.tokens);
                ("DELETE", format!("/v1/keys/{name}"), None)
            }
            Command::Renew(name) => {
                let key = after.change(name, 1)?;
                key.tokens.push(secret.to_owned());
                key.delete_old = Some("later".into());
                ("POST", format!("/v1/keys/{name}/renew"), Some(json!({"digest": digest})))
            }
            Command::Undo(name) | Command::DeleteOld(name) => {
                let favour_old = matches!(command, Command::Undo(_));
                let key = after.change(name, 2)?;
                key.delete_old = None;
                let gone = key.tokens.remove(usize::from(favour_old));
                after.gone.push(gone);
                ("POST", format!("/v1/keys/{name}/{}", if favour_old { "undo" } else { "delete-old" }), None)
            }
            Command::Plan(name, days) => {
                let plan = json!({"after": format!("{days}d")});
                let key = after.change(name, 2)?;
                if key.delete_old.replace(plan.clone()).as_ref() == Some(&plan) {
                    return None;
                }
                ("PATCH", format!("/v1/keys/{name}/renewal"), Some(json!({"delete_old": plan})))
            }
            Command::Note(name, note) => {
                let tokens = after.keys.get(name)?.tokens.len();
                let key = after.change(name, tokens)?;
                if std::mem::replace(&mut key.note, *note) == *note {
                    return None;
                }
                ("PATCH", format!("/v1/keys/{name}"), Some(json!({"note": note.to_string()})))
            }
            Command::Activate(name, active) => {
                let tokens = after.keys.get(name)?.tokens.len();
                let key = after.change(name, tokens)?;
                if std::mem::replace(&mut key.active, *active) == *active {
                    return None;
                }
                ("PATCH", format!("/v1/keys/{name}"), Some(json!({"status": status(*active)})))
            }
        };
        (*self != after).then_some(Call { method, path, body, after })
    }

    /// The key with so many tokens, one change later.
    fn change(&mut self, name: &str, tokens: usize) -> Option<&mut Key> {
        let key = self.keys.get_mut(name).filter(|key| key.tokens.len() == tokens)?;
        key.version += 1;
        Some(key)
    }

    /// What the gateway answers to each token that ever was.
    pub(super) fn answers(&self) -> Vec<(String, bool)> {
        let living = self.keys.values().flat_map(|key| key.tokens.iter().map(|token| (token.clone(), key.active)));
        living.chain(self.gone.iter().map(|token| (token.clone(), false))).collect()
    }
}

impl Key {
    /// Whether the admin port's view of a key is this one.
    pub(super) fn is_seen_in(&self, view: &Value) -> bool {
        let note = view["note"].as_str().unwrap_or("0");
        view["tokens"].as_array().is_some_and(|tokens| tokens.len() == self.tokens.len())
            && view["status"] == status(self.active)
            && note == self.note.to_string()
            && view["renewal"].get("delete_old") == self.delete_old.as_ref()
            && view["version"] == self.version
    }
}

fn status(active: bool) -> &'static str {
    if active { "active" } else { "inactive" }
}

/// A token in the format.
pub(super) fn secret(rng: &mut impl rand::CryptoRng) -> String {
    Secret::mint(&Prefix::default(), rng).reveal().to_owned()
}
