//! Keys as the admin API shows them.
//!
//! Promises: fields come in the order of the published example; no secret and no digest is among them.
//! Deliberately does not: settle. It shows the key that it is given.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;
use serde::Serialize;

use crate::domain::audit::PlanText;
use crate::domain::{
    Actor, ApiKey, KeyId, KeyName, Label, Lifetime, Limits, Permission, Remark, Renewal, Role, Settings, Slot, Status,
    Timestamp, Token, TokenId, Tokens, Version,
};
use crate::usage::{Away, TokenCaller, Usage};

/// What a key is seen by: the settings, what was used, and what time it is.
pub struct Sight {
    /// The settings in force.
    pub settings: Arc<Settings>,
    /// Which token was used when.
    pub usage: Usage,
    /// The time.
    pub now: Timestamp,
}

/// An API key.
#[derive(Serialize)]
pub struct KeyView<'a> {
    id: KeyId,
    name: &'a KeyName,
    roles: &'a BTreeSet<Role>,
    status: Status,
    owner: Option<&'a Remark>,
    note: Option<&'a Remark>,
    labels: &'a BTreeMap<Label, Remark>,
    allowed_addresses: &'a [IpNet],
    limits: Option<Limits>,
    self_service: bool,
    created_at: Timestamp,
    duration: Option<Lifetime>,
    version: Version,
    tokens: Vec<TokenView>,
    renewal: Option<RenewalView<'a>>,
}

/// An administrator.
#[derive(Serialize)]
pub struct AdministratorView<'a> {
    id: KeyId,
    name: &'a KeyName,
    permissions: Vec<&'static str>,
    limited_to_role: Option<&'a Role>,
    status: Status,
    owner: Option<&'a Remark>,
    note: Option<&'a Remark>,
    labels: &'a BTreeMap<Label, Remark>,
    allowed_addresses: &'a [IpNet],
    created_at: Timestamp,
    duration: Option<Lifetime>,
    version: Version,
    tokens: Vec<TokenView>,
    renewal: Option<RenewalView<'a>>,
}

#[derive(Serialize)]
struct TokenView {
    id: TokenId,
    state: &'static str,
    hint: Option<String>,
    created_at: Timestamp,
    expires_at: Option<Timestamp>,
    outdated: bool,
    usage: UsageView,
}

#[derive(Serialize)]
struct UsageView {
    first_used_at: Option<Timestamp>,
    last_used_at: Option<Timestamp>,
    /// `None`: not known, as the file of uses cannot be read.
    requests_1h: Option<u32>,
    requests_24h: Option<u32>,
}

/// Who has used a token of a renewal.
#[derive(Debug, Serialize)]
pub struct CallerView {
    address: IpAddr,
    user_agent: Option<String>,
    route: Arc<str>,
    last_used_at: Timestamp,
    requests: u64,
}

#[derive(Serialize)]
struct RenewalView<'a> {
    opened_at: Timestamp,
    opened_by: &'a Actor,
    delete_old: PlanText,
    due_at: Option<Timestamp>,
    quiet_since: Option<Timestamp>,
    held: bool,
    /// The new token's share of the requests of the last hour; `None`: there were none, or that is not known.
    adoption: Option<f64>,
    old_token_callers: Vec<CallerView>,
    new_token_callers: Vec<CallerView>,
}

impl CallerView {
    /// Shows a caller.
    pub fn of(caller: TokenCaller) -> Self {
        let TokenCaller { address, user_agent, route, last_used_at, requests } = caller;
        Self { address, user_agent, route, last_used_at, requests }
    }
}

impl<'a> KeyView<'a> {
    /// Shows `key`.
    pub fn of(key: &'a ApiKey, sight: &Sight) -> Self {
        Self {
            id: key.id,
            name: &key.name,
            roles: &key.roles,
            status: key.status,
            owner: key.owner.as_ref(),
            note: key.note.as_ref(),
            labels: &key.labels,
            allowed_addresses: &key.allowed_addresses,
            limits: key.limits,
            self_service: key.self_service,
            created_at: key.created_at,
            duration: key.duration,
            version: key.version,
            tokens: sight.tokens(key),
            renewal: sight.renewal(key),
        }
    }
}

impl<'a> AdministratorView<'a> {
    /// Shows `key`, which is an administrator's.
    pub fn of(key: &'a ApiKey, sight: &Sight) -> Self {
        Self {
            id: key.id,
            name: &key.name,
            permissions: key.roles.iter().filter_map(Permission::of).map(Permission::as_str).collect(),
            limited_to_role: key.limited_to_role.as_ref(),
            status: key.status,
            owner: key.owner.as_ref(),
            note: key.note.as_ref(),
            labels: &key.labels,
            allowed_addresses: &key.allowed_addresses,
            created_at: key.created_at,
            duration: key.duration,
            version: key.version,
            tokens: sight.tokens(key),
            renewal: sight.renewal(key),
        }
    }
}

impl Sight {
    /// When `token` was last used. `Err`: the file of uses cannot be read now.
    pub fn last_used(&self, token: &Token) -> Result<Option<Timestamp>, Away> {
        Ok(self.usage.last_used(token.id)?.max(token.first_used_at))
    }

    fn tokens(&self, key: &ApiKey) -> Vec<TokenView> {
        match &key.tokens {
            Tokens::Single { current } => vec![self.token(key, current, Slot::Current)],
            Tokens::Renewing { old, new, .. } => {
                vec![self.token(key, old, Slot::Old), self.token(key, new, Slot::New)]
            }
        }
    }

    fn token(&self, key: &ApiKey, token: &Token, slot: Slot) -> TokenView {
        let lifetime = key.lifetime(&self.settings);
        let requests = self.usage.requests(token.id).ok();
        TokenView {
            id: token.id,
            state: slot.as_str(),
            hint: token.hint.map(|hint| hint.to_string()),
            created_at: token.created_at,
            expires_at: lifetime.end(token.created_at),
            outdated: token.is_past(lifetime, self.now),
            usage: UsageView {
                first_used_at: token.first_used_at,
                last_used_at: self.last_used(token).unwrap_or_default(),
                requests_1h: requests.map(|requests| requests.in_hour),
                requests_24h: requests.map(|requests| requests.in_day),
            },
        }
    }

    fn renewal<'a>(&self, key: &'a ApiKey) -> Option<RenewalView<'a>> {
        let Tokens::Renewing { old, new, renewal } = &key.tokens else { return None };
        let Renewal { opened_at, opened_by, plan, held } = renewal;
        // Quiet is watched for those that wait for it.
        let quiet_since = plan.when_quiet().and_then(|_| self.usage.quiet_since(old.id, renewal.opened_at));
        let (due_at, delete_old) = (renewal.due_at(), PlanText::from(*plan));
        Some(RenewalView {
            opened_at: *opened_at,
            opened_by,
            delete_old,
            due_at,
            quiet_since,
            held: *held,
            adoption: self.adoption(old, new),
            old_token_callers: self.callers(old, *opened_at),
            new_token_callers: self.callers(new, *opened_at),
        })
    }

    fn callers(&self, token: &Token, since: Timestamp) -> Vec<CallerView> {
        self.usage.callers(token.id, since).into_iter().map(CallerView::of).collect()
    }

    /// To a thousandth.
    fn adoption(&self, old: &Token, new: &Token) -> Option<f64> {
        let in_hour = |token: &Token| Some(f64::from(self.usage.requests(token.id).ok()?.in_hour));
        let (old, new) = (in_hour(old)?, in_hour(new)?);
        (old + new > 0.0).then(|| (new * 1_000.0 / (old + new)).round() / 1_000.0)
    }
}
