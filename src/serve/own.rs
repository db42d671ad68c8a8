//! What keys ask about themselves, done with the keyring on the background thread.
//!
//! Promises: only a key that carries the flag is told anything, and of itself alone; a renewal is closed in favour of the
//! token that was shown, as the key stands when it is done; at most [`MOST`] are done at once, however slow the store is.
//! Deliberately does not: judge tokens. Whoever asks has been let through.

use std::sync::Arc;

use serde::Serialize;
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, oneshot};
use tracing::{error, warn};

use crate::clock::Clock;
use crate::domain::audit::PlanText;
use crate::domain::{
    Actor, ApiKey, Authority, KeyId, KeyName, Realm, Refusal, Secret, Slot, Status, Timestamp, Token, TokenId, Tokens,
};
use crate::gateway::{Denied, Inquiry, SelfService, Told, What};
use crate::keyring::{Caller, Denied as NotDone, Done, Keyring, Material, Order};
use crate::store::{KeyRef, StoreError};
use crate::usage::Usage;

use super::background::Background;

/// How many are done at once; beyond that the store counts as not answering.
const MOST: usize = 64;
/// How often a command that loses the race for its key begins again.
const ATTEMPTS: usize = 8;

/// Keys that look after themselves.
pub(super) struct Keys {
    keyring: Keyring,
    usage: Usage,
    clock: Clock,
    runtime: Handle,
    room: Arc<Semaphore>,
}

impl Keys {
    pub(super) fn new(keyring: Keyring, usage: Usage, clock: Clock, background: &Background) -> Self {
        Self { keyring, usage, clock, runtime: background.runtime(), room: Arc::new(Semaphore::new(MOST)) }
    }
}

impl SelfService for Keys {
    fn ask(&self, ask: Inquiry) -> oneshot::Receiver<Result<Told, Denied>> {
        let (tell, told) = oneshot::channel();
        let Ok(place) = Arc::clone(&self.room).try_acquire_owned() else {
            warn!("keys ask about themselves faster than the store answers");
            return told;
        };
        let desk = Desk { keyring: self.keyring.clone(), usage: self.usage.clone(), clock: self.clock.clone() };
        self.runtime.spawn(async move {
            let answer = desk.answer(&ask).await;
            drop(place);
            tell.send(answer).ok(); // whoever asked has given up waiting
        });
        told
    }
}

struct Desk {
    keyring: Keyring,
    usage: Usage,
    clock: Clock,
}

impl Desk {
    async fn answer(&self, ask: &Inquiry) -> Result<Told, Denied> {
        for _ in 0..ATTEMPTS {
            // Whole, but over this one key: no other is ever named.
            let (id, authority) = (KeyRef::Id(ask.key), Authority::whole());
            let key = self.keyring.load(Realm::Gateway, &id, &authority).await.map_err(denied)?;
            if !key.self_service || key.status != Status::Active {
                return Err(Denied::NotAllowed);
            }
            let Some(order) = order(ask, &key)? else { return Ok(self.tell(ask, &key, None, false)) };
            // No administrator's name begins like an id.
            let caller = Caller { actor: Actor::named(ask.key.to_string()), address: Some(ask.address), authority };
            match self.keyring.command(Realm::Gateway, &id, order, Some(key.version), &caller).await {
                Ok(Done { key, revision, secret }) => {
                    let is_made = revision.is_some() && matches!(ask.what, What::Renew(..));
                    return Ok(self.tell(ask, &key, secret.as_ref(), is_made));
                }
                Err(NotDone::VersionMismatch { .. }) => {} // somebody else was faster: judged anew
                Err(not_done) => return Err(denied(not_done)),
            }
        }
        Err(Denied::StoreUnavailable)
    }

    fn tell(&self, ask: &Inquiry, key: &ApiKey, secret: Option<&Secret>, is_made: bool) -> Told {
        let key = self.view(ask, key);
        let body = match ask.what {
            What::Show => serde_json::to_vec(&key),
            What::Renew(..) | What::Undo | What::DeleteOld => {
                serde_json::to_vec(&Made { key, token: secret.map(Secret::reveal) })
            }
        };
        Told { body: body.unwrap_or_default().into(), is_made } // a struct of texts and numbers has nothing JSON lacks
    }

    fn view<'k>(&self, ask: &Inquiry, key: &'k ApiKey) -> KeyView<'k> {
        let slots: &[Slot] = match &key.tokens {
            Tokens::Single { .. } => &[Slot::Current],
            Tokens::Renewing { .. } => &[Slot::Old, Slot::New],
        };
        let tokens = key.tokens.each().zip(slots).map(|(token, slot)| self.token(ask, key, token, *slot)).collect();
        let renewal = match &key.tokens {
            Tokens::Single { .. } => None,
            Tokens::Renewing { old, renewal, .. } => Some(RenewalView {
                opened_at: renewal.opened_at,
                delete_old: renewal.plan.into(),
                due_at: renewal.due_at(),
                quiet_since: renewal.plan.when_quiet().and_then(|_| self.usage.quiet_since(old.id, renewal.opened_at)),
                held: renewal.held,
            }),
        };
        KeyView { id: key.id, name: &key.name, status: key.status, tokens, renewal }
    }

    fn token(&self, ask: &Inquiry, key: &ApiKey, token: &Token, slot: Slot) -> TokenView {
        let lifetime = key.lifetime(&self.keyring.settings().settings);
        TokenView {
            id: token.id,
            state: slot.as_str(),
            shown: token.id == ask.token,
            hint: token.hint.map(|hint| hint.to_string()),
            created_at: token.created_at,
            expires_at: lifetime.end(token.created_at),
            outdated: token.is_past(lifetime, self.clock.now()),
            last_used_at: self.usage.last_used(token.id).map_or(None, |last| last.max(token.first_used_at)),
        }
    }
}

/// What is to be done with `key`; `None`: nothing.
fn order(ask: &Inquiry, key: &ApiKey) -> Result<Option<Order>, Denied> {
    Ok(Some(match &ask.what {
        What::Show => return Ok(None),
        What::Renew(plan, digest) => Order::Renew(digest.map_or(Material::Mint, Material::Digest), *plan),
        What::Undo => match &key.tokens {
            Tokens::Renewing { new, .. } if new.id == ask.token => return Err(Denied::OldTokenNeeded),
            Tokens::Renewing { .. } | Tokens::Single { .. } => Order::Undo,
        },
        What::DeleteOld => match &key.tokens {
            Tokens::Renewing { old, .. } if old.id == ask.token => return Err(Denied::NewTokenNeeded),
            Tokens::Renewing { .. } | Tokens::Single { .. } => Order::DeleteOld,
        },
    }))
}

fn denied(not_done: NotDone) -> Denied {
    match not_done {
        NotDone::Refused(Refusal::RenewalOpen) => Denied::RenewalOpen,
        NotDone::Refused(Refusal::NoOldToken) => Denied::NoOldToken,
        NotDone::Refused(Refusal::OldTokenExpired) => Denied::OldTokenExpired,
        NotDone::Refused(Refusal::DigestInUse) => Denied::DigestInUse,
        NotDone::Refused(wrong @ Refusal::DeadlinePast { .. }) => {
            Denied::Invalid { path: "delete_old.after", message: wrong.to_string() }
        }
        NotDone::NotFound(_) => Denied::NotAllowed,
        NotDone::Store(error @ (StoreError::Unavailable(_) | StoreError::Corrupt(_))) => {
            error!(%error, "the store does not answer a key that looks after itself");
            Denied::StoreUnavailable
        }
        NotDone::Store(StoreError::Conflict(_))
        | NotDone::Refused(Refusal::TokensAffected { .. })
        | NotDone::TokensAffected { .. }
        | NotDone::OutOfReach
        | NotDone::ShutsOut
        | NotDone::LastAdministrator
        | NotDone::NameTaken
        | NotDone::NoToken
        | NotDone::VersionMismatch { .. }
        | NotDone::TokenInUse(_)
        | NotDone::UsageUnknown { .. } => Denied::StoreUnavailable,
    }
}

/// A key as it sees itself: nobody who uses it, and nothing that others say of it.
#[derive(Serialize)]
struct KeyView<'k> {
    id: KeyId,
    name: &'k KeyName,
    status: Status,
    tokens: Vec<TokenView>,
    renewal: Option<RenewalView>,
}

#[derive(Serialize)]
struct TokenView {
    id: TokenId,
    state: &'static str,
    /// Whether it is the one that was shown.
    shown: bool,
    hint: Option<String>,
    created_at: Timestamp,
    expires_at: Option<Timestamp>,
    outdated: bool,
    last_used_at: Option<Timestamp>,
}

#[derive(Serialize)]
struct RenewalView {
    opened_at: Timestamp,
    delete_old: PlanText,
    due_at: Option<Timestamp>,
    quiet_since: Option<Timestamp>,
    held: bool,
}

/// A key, and its new token in the one reply that has it.
#[derive(Serialize)]
struct Made<'a> {
    key: KeyView<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<&'a str>,
}
