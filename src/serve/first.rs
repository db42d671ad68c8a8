//! The first start on an empty store: settings, and the administrator `root`.
//!
//! Promises: the token of `root` is in its file before `root` is in the store, so that no crash leaves an
//! administrator whose token nobody knows.

use std::path::Path;

use tracing::warn;

use crate::config::Config;
use crate::domain::{Edit, Lifetime, Permission, Prefix, Realm, Secret, Settings, Status};
use crate::keyring::{Caller, Denied, Keyring, Material, NewKey};
use crate::store::{Store, StoreError, private};

use super::StartError;

/// The file of the first administrator's token, beside the store.
pub(super) const TOKEN_FILE: &str = "admin.token";
/// The variable that names the first administrator's token instead.
const TOKEN_VARIABLE: &str = "RELEVO_ADMIN_TOKEN";
/// The first administrator's name.
pub(super) const ROOT: &str = "root";

/// What the environment gives as the first administrator's token; the error is what is wrong with it.
pub(super) type Given = Result<Secret, &'static str>;

/// The token that the environment gives for the first administrator. An empty one is none.
pub(super) fn given_token() -> Option<Given> {
    let text = std::env::var_os(TOKEN_VARIABLE).filter(|text| !text.is_empty())?;
    let Ok(text) = text.into_string() else { return Some(Err("is not text")) };
    // An administrator's token is held to more than a key's: one sentence for both bounds, so that nobody mends it twice.
    let strong = Secret::import(text).ok().filter(|secret| !secret.is_weak());
    Some(strong.ok_or("is not 32 to 512 visible ASCII characters"))
}

/// The token that was given, where it is needed.
pub(super) fn needed(given: Option<Given>) -> Result<Option<Secret>, StartError> {
    given.transpose().map_err(|why| StartError::token(format!("{TOKEN_VARIABLE} {why}")))
}

/// Makes what an empty store lacks. On another it changes nothing but the list of prefixes. A token that was given and
/// cannot be used is an error only where there is no administrator yet; nothing has changed then.
pub(super) async fn establish(
    keyring: &Keyring,
    store: &dyn Store,
    config: &Config,
    given: Option<Given>,
) -> Result<(), StartError> {
    let has_administrators = store.count(Realm::Admin).await? > 0;
    if has_administrators && given.is_some() {
        warn!("{TOKEN_VARIABLE} is ignored: this store has its administrators already");
    }
    let given = if has_administrators { None } else { needed(given)? };
    let tokens = &config.tokens;
    let first = Settings {
        duration: tokens.duration,
        on_expiry: tokens.on_expiry,
        prefixes: vec![tokens.prefix.clone(), Prefix::administrators()],
    };
    keyring.establish_settings(first, &Caller::relevo()).await?;
    if has_administrators {
        return Ok(());
    }
    create_root(keyring, &config.store.path, given).await
}

async fn create_root(keyring: &Keyring, store: &Path, given: Option<Secret>) -> Result<(), StartError> {
    let secret = if let Some(secret) = given {
        secret
    } else {
        let file = store.with_file_name(TOKEN_FILE);
        let secret = Secret::mint(&Prefix::administrators(), &mut rand::rng());
        let written = private::write(&file, &format!("{}\n", secret.reveal()));
        written.map_err(|error| StartError::token_file(&file, &error))?;
        warn!(file = %file.display(), "the administrator root was created; move his token from this file to a safe place");
        secret
    };
    match keyring.create(Realm::Admin, root(Material::Import(secret))?, &Caller::relevo()).await {
        Ok(_) | Err(Denied::NameTaken) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

pub(super) fn root(material: Material) -> Result<NewKey, StoreError> {
    let wrong = |reason: crate::domain::Invalid| StoreError::Corrupt(format!("a built-in name {reason}"));
    let roles = Permission::ALL
        .iter()
        .map(|permission| permission.as_str().parse())
        .collect::<Result<_, _>>()
        .map_err(wrong)?;
    let attributes = Edit { roles: Some(roles), duration: Some(Some(Lifetime::Never)), ..Edit::default() };
    Ok(NewKey { name: ROOT.parse().map_err(wrong)?, attributes, status: Status::Active, material })
}
