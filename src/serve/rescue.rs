//! `relevo admins rescue`: a token for `root` when nobody has one any more.
//!
//! Promises: whoever can write the store and its folder can do it, and nobody over the network; the token is in its file
//! before it is in the store; everything is in the audit log under the name `rescue`.
//! Deliberately does not: work beside a running gateway, which holds the store.

use std::path::PathBuf;
use std::sync::Arc;

use crate::catalog::Catalog;
use crate::clock::Clock;
use crate::config::Config;
use crate::domain::{Actor, Authority, Edit, Prefix, Realm, Refusal, Secret, Status, Tokens};
use crate::index::Index;
use crate::keyring::{self, Caller, Denied, Follower, Keyring, Material, Order};
use crate::store::{KeyRef, Store, private};
use crate::usage::Usage;

use super::StartError;
use super::first::{self, TOKEN_FILE};

/// What was done.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Rescued {
    /// The file that holds the token.
    pub file: PathBuf,
}

/// Gives `root` a new token that works alone, every permission and no limit; makes him if he is not there.
pub fn rescue(config: &Config) -> Result<Rescued, StartError> {
    let path = &config.store.path;
    if !path.exists() {
        return Err(StartError::no_store(path));
    }
    let store = super::open(config).map_err(|error| error.beside_a_gateway(path))?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| StartError::thread(&error))?;
    let file = path.with_file_name(TOKEN_FILE);
    let secret = Secret::mint(&Prefix::administrators(), &mut rand::rng());
    let written = private::write(&file, &format!("{}\n", secret.reveal()));
    written.map_err(|error| StartError::token_file(&file, &error))?;
    runtime.block_on(with_keyring(config, store, async |keyring| renew_root(&keyring, secret).await))?;
    Ok(Rescued { file })
}

/// Does `work` with a keyring that follows `store`.
async fn with_keyring(
    config: &Config,
    store: Arc<dyn Store>,
    work: impl AsyncFnOnce(Keyring) -> Result<(), Denied>,
) -> Result<(), Denied> {
    let clock = Clock::system();
    let (keys, keys_writer) = Index::with_capacity(0);
    let (admins, admins_writer) = Index::with_capacity(0);
    let (usage, _first_uses) = Usage::open(config.store.path.with_file_name("usage.redb"), clock.clone());
    let feed = store.subscribe();
    let keyring = Keyring::new(keyring::Parts {
        store,
        catalog: Catalog::default(),
        keys,
        admins,
        usage: usage.clone(),
        clock,
        prefix: config.tokens.prefix.clone(),
        remember: config.tokens.remember,
    });
    let follower = Follower { keys: keys_writer, admins: admins_writer };
    let work = async {
        keyring.loaded().await;
        work(keyring.clone()).await
    };
    let done = tokio::select! {
        done = work => done,
        () = keyring::follow(keyring.clone(), follower, feed) => Ok(()), // never: a feed does not end
    };
    usage.close();
    done
}

async fn renew_root(keyring: &Keyring, secret: Secret) -> Result<(), Denied> {
    let caller = Caller { actor: Actor::named(Actor::RESCUE), address: None, authority: Authority::whole() };
    let new = first::root(Material::Import(secret))?;
    let root = KeyRef::Name(new.name.clone());
    let known = match keyring.load(Realm::Admin, &root, &caller.authority).await {
        Err(Denied::NotFound(_)) => return keyring.create(Realm::Admin, new, &caller).await.map(drop),
        known => known?,
    };
    if matches!(known.tokens, Tokens::Renewing { .. }) {
        match keyring.command(Realm::Admin, &root, Order::DeleteOld, None, &caller).await {
            Ok(_) | Err(Denied::Refused(Refusal::NoOldToken)) => {}
            Err(denied) => return Err(denied),
        }
    }
    keyring.command(Realm::Admin, &root, Order::RenewNow(new.material), None, &caller).await?;
    // Afterwards: of the new token alone no duration ends anything.
    let edit = Edit {
        limited_to_role: Some(None),
        status: Some(Status::Active),
        allowed_addresses: Some(Vec::new()),
        ..new.attributes
    };
    keyring.command(Realm::Admin, &root, Order::Edit(Box::new(edit)), None, &caller).await.map(drop)
}
