//! An API key as its record of version 1 holds it.
//!
//! Promises: every field goes in and out through the domain's constructors; ids and digests are raw bytes.
//! Deliberately does not: change. Another field is another version (`docs/store-format.md` says how).

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use serde::{Deserialize, Serialize};

use super::Damaged;
use crate::domain::{
    Actor, ApiKey, Digest, EndReason, Ended, Hint, Invalid, KeyId, Label, Lifetime, OnUnused, Origin, Plan, Remark,
    Renewal, Role, Span, Status, Timestamp, Token, TokenId, Tokens, Version,
};

#[derive(Serialize, Deserialize)]
pub(super) struct KeyV1 {
    id: [u8; 16],
    name: String,
    roles: Vec<String>,
    active: bool,
    owner: Option<String>,
    note: Option<String>,
    labels: Vec<(String, String)>,
    allowed_addresses: Vec<NetworkV1>,
    created_at_ms: u64,
    duration: Option<LifetimeV1>,
    version: u64,
    tokens: TokensV1,
    ended: Vec<EndedV1>,
}

#[derive(Serialize, Deserialize)]
enum NetworkV1 {
    V4([u8; 4], u8),
    V6([u8; 16], u8),
}

#[derive(Serialize, Deserialize)]
enum LifetimeV1 {
    Never,
    Millis(u64),
}

#[derive(Serialize, Deserialize)]
enum TokensV1 {
    Single(TokenV1),
    Renewing { old: TokenV1, new: TokenV1, renewal: RenewalV1 },
}

#[derive(Serialize, Deserialize)]
struct TokenV1 {
    id: [u8; 16],
    digest: [u8; 32],
    hint: Option<[u8; 4]>,
    weak: bool,
    created_at_ms: u64,
    first_used_at_ms: Option<u64>,
    renewed: bool,
}

#[derive(Serialize, Deserialize)]
struct RenewalV1 {
    opened_at_ms: u64,
    opened_by: String,
    after_ms: Option<u64>,
    when_quiet_ms: Option<u64>,
    delete_unused: bool,
    held: bool,
}

#[derive(Serialize, Deserialize)]
struct EndedV1 {
    id: [u8; 16],
    digest: [u8; 32],
    ended_at_ms: u64,
    expired: bool,
}

impl From<&ApiKey> for KeyV1 {
    fn from(key: &ApiKey) -> Self {
        let text = |remark: &Option<Remark>| remark.as_ref().map(|remark| remark.as_str().to_owned());
        let label = |(label, value): (&Label, &Remark)| (label.as_str().to_owned(), value.as_str().to_owned());
        let Version(version) = key.version;
        Self {
            id: key.id.as_bits().to_be_bytes(),
            name: key.name.as_str().to_owned(),
            roles: key.roles.iter().map(|role| role.as_str().to_owned()).collect(),
            active: key.status == Status::Active,
            owner: text(&key.owner),
            note: text(&key.note),
            labels: key.labels.iter().map(label).collect(),
            allowed_addresses: key.allowed_addresses.iter().map(NetworkV1::from).collect(),
            created_at_ms: key.created_at.as_millis(),
            duration: key.duration.map(LifetimeV1::from),
            version,
            tokens: TokensV1::from(&key.tokens),
            ended: key.ended.iter().map(EndedV1::from).collect(),
        }
    }
}

impl TryFrom<KeyV1> for ApiKey {
    type Error = Damaged;

    fn try_from(record: KeyV1) -> Result<Self, Damaged> {
        let roles: Result<BTreeSet<Role>, Damaged> = record.roles.iter().map(|role| parsed("role", role)).collect();
        let labels: Result<BTreeMap<Label, Remark>, Damaged> =
            record.labels.iter().map(|(label, value)| Ok((parsed("label", label)?, parsed("label", value)?))).collect();
        let addresses: Result<Vec<IpNet>, Damaged> =
            record.allowed_addresses.into_iter().map(TryInto::try_into).collect();
        Ok(Self {
            id: KeyId::from_bits(u128::from_be_bytes(record.id)),
            name: parsed("name", &record.name)?,
            roles: roles?,
            status: if record.active { Status::Active } else { Status::Inactive },
            owner: record.owner.map(|owner| parsed("owner", &owner)).transpose()?,
            note: record.note.map(|note| parsed("note", &note)).transpose()?,
            labels: labels?,
            allowed_addresses: addresses?,
            limits: None,
            limited_to_role: None,
            self_service: false,
            created_at: Timestamp::from_millis(record.created_at_ms),
            duration: record.duration.map(TryInto::try_into).transpose()?,
            version: Version(record.version),
            tokens: record.tokens.try_into()?,
            ended: record.ended.into_iter().map(Ended::from).collect(),
        })
    }
}

pub(super) fn parsed<T: FromStr<Err = Invalid>>(field: &str, text: &str) -> Result<T, Damaged> {
    text.parse().map_err(|why| Damaged::field(field, &why))
}

impl From<&IpNet> for NetworkV1 {
    fn from(network: &IpNet) -> Self {
        match network {
            IpNet::V4(network) => Self::V4(network.addr().octets(), network.prefix_len()),
            IpNet::V6(network) => Self::V6(network.addr().octets(), network.prefix_len()),
        }
    }
}

impl TryFrom<NetworkV1> for IpNet {
    type Error = Damaged;

    fn try_from(network: NetworkV1) -> Result<Self, Damaged> {
        match network {
            NetworkV1::V4(octets, length) => Ipv4Net::new(Ipv4Addr::from(octets), length).map(Self::V4),
            NetworkV1::V6(octets, length) => Ipv6Net::new(Ipv6Addr::from(octets), length).map(Self::V6),
        }
        .map_err(|why| Damaged::field("address", &why))
    }
}

impl From<Lifetime> for LifetimeV1 {
    fn from(lifetime: Lifetime) -> Self {
        lifetime_millis(lifetime).map_or(Self::Never, Self::Millis)
    }
}

impl TryFrom<LifetimeV1> for Lifetime {
    type Error = Damaged;

    fn try_from(lifetime: LifetimeV1) -> Result<Self, Damaged> {
        match lifetime {
            LifetimeV1::Never => lifetime_from(None),
            LifetimeV1::Millis(millis) => lifetime_from(Some(millis)),
        }
    }
}

/// The milliseconds of a lifetime; `None` for ever.
pub(super) fn lifetime_millis(lifetime: Lifetime) -> Option<u64> {
    match lifetime {
        Lifetime::Never => None,
        Lifetime::For(span) => Some(span.as_millis()),
    }
}

/// The reverse of [`lifetime_millis`].
pub(super) fn lifetime_from(millis: Option<u64>) -> Result<Lifetime, Damaged> {
    match millis {
        None => Ok(Lifetime::Never),
        Some(0) => Err(Damaged::field("duration", &"is nothing")),
        Some(millis) => Ok(Lifetime::For(Span::millis(millis))),
    }
}

impl From<&Tokens> for TokensV1 {
    fn from(tokens: &Tokens) -> Self {
        match tokens {
            Tokens::Single { current } => Self::Single(current.into()),
            Tokens::Renewing { old, new, renewal } => {
                Self::Renewing { old: old.into(), new: new.into(), renewal: renewal.into() }
            }
        }
    }
}

impl TryFrom<TokensV1> for Tokens {
    type Error = Damaged;

    fn try_from(tokens: TokensV1) -> Result<Self, Damaged> {
        Ok(match tokens {
            TokensV1::Single(current) => Self::Single { current: current.try_into()? },
            TokensV1::Renewing { old, new, .. } if old.digest == new.digest => {
                return Err(Damaged::new("its two tokens are one and the same"));
            }
            TokensV1::Renewing { old, new, renewal } => {
                Self::Renewing { old: old.try_into()?, new: new.try_into()?, renewal: renewal.try_into()? }
            }
        })
    }
}

impl From<&Token> for TokenV1 {
    fn from(token: &Token) -> Self {
        Self {
            id: token.id.as_bits().to_be_bytes(),
            digest: *token.digest.as_bytes(),
            hint: token.hint.map(|hint| *hint.as_bytes()),
            weak: token.weak,
            created_at_ms: token.created_at.as_millis(),
            first_used_at_ms: token.first_used_at.map(Timestamp::as_millis),
            renewed: token.origin == Origin::Renewed,
        }
    }
}

impl TryFrom<TokenV1> for Token {
    type Error = Damaged;

    fn try_from(token: TokenV1) -> Result<Self, Damaged> {
        let visible =
            |hint| Hint::from_bytes(hint).ok_or_else(|| Damaged::field("hint", &"is not four visible characters"));
        Ok(Self {
            id: TokenId::from_bits(u128::from_be_bytes(token.id)),
            digest: Digest::from_bytes(token.digest),
            hint: token.hint.map(visible).transpose()?,
            weak: token.weak,
            created_at: Timestamp::from_millis(token.created_at_ms),
            first_used_at: token.first_used_at_ms.map(Timestamp::from_millis),
            origin: if token.renewed { Origin::Renewed } else { Origin::Created },
        })
    }
}

impl From<&Renewal> for RenewalV1 {
    fn from(renewal: &Renewal) -> Self {
        Self {
            opened_at_ms: renewal.opened_at.as_millis(),
            opened_by: renewal.opened_by.as_str().to_owned(),
            after_ms: renewal.plan.after().map(Span::as_millis),
            when_quiet_ms: renewal.plan.when_quiet().map(Span::as_millis),
            delete_unused: renewal.plan.on_unused() == OnUnused::Delete,
            held: renewal.held,
        }
    }
}

impl TryFrom<RenewalV1> for Renewal {
    type Error = Damaged;

    fn try_from(renewal: RenewalV1) -> Result<Self, Damaged> {
        let on_unused = renewal.delete_unused.then_some(OnUnused::Delete); // Hold is what it is without
        let (after, when_quiet) = (renewal.after_ms.map(Span::millis), renewal.when_quiet_ms.map(Span::millis));
        let plan = Plan::new(after, when_quiet, on_unused).map_err(|why| Damaged::field("plan:", &why))?;
        Ok(Self {
            opened_at: Timestamp::from_millis(renewal.opened_at_ms),
            opened_by: Actor::named(renewal.opened_by),
            plan,
            held: renewal.held,
        })
    }
}

impl From<&Ended> for EndedV1 {
    fn from(ended: &Ended) -> Self {
        Self {
            id: ended.id.as_bits().to_be_bytes(),
            digest: *ended.digest.as_bytes(),
            ended_at_ms: ended.ended_at.as_millis(),
            expired: ended.reason == EndReason::Expired,
        }
    }
}

impl From<EndedV1> for Ended {
    fn from(ended: EndedV1) -> Self {
        Self {
            id: TokenId::from_bits(u128::from_be_bytes(ended.id)),
            digest: Digest::from_bytes(ended.digest),
            ended_at: Timestamp::from_millis(ended.ended_at_ms),
            reason: if ended.expired { EndReason::Expired } else { EndReason::Superseded },
        }
    }
}

#[cfg(test)]
impl KeyV1 {
    /// Puts another name into the record, legal or not.
    pub(super) fn rename(&mut self, name: &str) {
        name.clone_into(&mut self.name);
    }
}
