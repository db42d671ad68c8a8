//! Who is calling: from an administrator's token to what he may do.
//!
//! Promises: a refused token is refused without a reason that the caller could learn.
//! Deliberately does not: look at a request.

use std::net::IpAddr;

use crate::domain::{
    Actor, Authority, Digest, EndReason, KeyId, Lifetime, Permission, Realm, Secret, Settings, Timestamp,
};
use crate::index::Index;
use crate::usage::{By, FirstUse, Usage, Use};

/// An administrator whose token has been accepted.
#[derive(Clone, Debug)]
pub struct Administrator {
    /// His key's id.
    pub id: KeyId,
    /// Under which name the audit log knows him.
    pub name: Actor,
    /// What he may do, and to whom.
    pub authority: Authority,
    /// By what he was admitted.
    pub pledge: Pledge,
}

/// By what an administrator was admitted: enough to see later whether he still is, and nothing to sign in with.
#[derive(Clone, Copy, Debug)]
pub struct Pledge(Digest);

impl Administrator {
    /// Whether he may do one of `wanted`.
    pub fn may(&self, wanted: &[Permission]) -> bool {
        self.authority.may(wanted)
    }
}

/// Why nobody was admitted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Rejected {
    /// The administrators are not known yet: nobody can be judged.
    NotLoaded,
    /// It is not an accepted administrator's token, for whichever reason.
    Token,
}

/// Admits whoever carries `token` at `now`, coming from `address`.
pub fn admit(index: &Index, token: &str, address: Option<IpAddr>, now: Timestamp) -> Result<Administrator, Rejected> {
    if index.is_loaded() && !Secret::LENGTHS.contains(&token.len()) {
        return Err(Rejected::Token);
    }
    admit_bearer_of(index, &Digest::of(token.as_bytes()), address, now)
}

/// Admits whoever once showed the token with this digest, if it is still accepted at `now` from `address`.
pub fn admit_bearer_of(
    index: &Index,
    digest: &Digest,
    address: Option<IpAddr>,
    now: Timestamp,
) -> Result<Administrator, Rejected> {
    if !index.is_loaded() {
        return Err(Rejected::NotLoaded);
    }
    still_admitted(index, &Pledge(*digest), address, now).ok_or(Rejected::Token)
}

/// Whoever was admitted by `pledge`, if he would still be at `now`.
pub fn still_admitted(
    index: &Index,
    pledge: &Pledge,
    address: Option<IpAddr>,
    now: Timestamp,
) -> Option<Administrator> {
    let pass = index.find(&pledge.0)?;
    let is_from_here = address.is_none_or(|address| pass.is_allowed_from(address));
    let verdict = pass.judge(now, &of_administrators(&index.settings()));
    if !pass.is_active() || !is_from_here || verdict.is_err() {
        return None;
    }
    Some(Administrator {
        id: pass.key(),
        name: Actor::named(pass.name()),
        authority: Authority {
            permissions: pass.roles().iter().filter_map(Permission::of).collect(),
            limited_to: pass.limited_to_role().cloned(),
        },
        pledge: *pledge,
    })
}

/// Notes that `who` has made a call: what he was admitted by is in use.
pub fn note_use(usage: &Usage, index: &Index, who: &Administrator, by: By<'_>, now: Timestamp) {
    let Some(pass) = index.find(&who.pledge.0) else { return };
    let Some(slot) = pass.slot() else { return };
    usage.note(Use { token: pass.token(), slot, at: now, by });
    let first = FirstUse { realm: Realm::Admin, key: pass.key(), token: pass.token(), at: now };
    if pass.note_use(now) && !usage.tell(first) {
        pass.first_use_untold(); // the next call tells it again
    }
}

/// Notes that a refused `token` is one that was replaced, if it is: whoever tries it has not moved.
pub fn note_refused(index: &Index, token: &str, address: Option<IpAddr>, now: Timestamp) {
    let pass = index.find(&Digest::of(token.as_bytes()));
    if let Some((pass, address)) = pass.zip(address)
        && pass.judge(now, &of_administrators(&index.settings())) == Err(EndReason::Superseded)
    {
        index.note_superseded(&pass, address, now);
    }
}

/// The settings as they hold for administrators: their tokens last unless one's own duration says otherwise.
fn of_administrators(settings: &Settings) -> Settings {
    Settings { duration: Lifetime::Never, ..settings.clone() }
}
