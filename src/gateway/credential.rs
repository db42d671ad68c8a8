//! The credential of a request: found, judged in its form, and taken out of the headers.
//!
//! Promises: `docs/gateway.md`, "Presenting a token". A header is a credential only where the route accepts its form; of
//! two there is no choosing. What is taken is marked sensitive and, unless the route forwards it, no longer in the
//! headers: its line is left empty and marked, which keeps the order of the others, and [`super::headers`] drops it.
//! Deliberately does not: know keys. Whether a token is anybody's is the index's to say.

use std::fmt;

use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::config::{Auth, CredentialForm, Credentials, Pair};
use crate::domain::token::{Form, form};
use crate::domain::{Digest, Prefix, Secret};

use super::headers::Lines;
use super::refusal::Refusal;
use super::route::Route;

/// What a request presents to a route. `V` is a header's value, owned or where it was read.
#[derive(Clone, Debug)]
pub enum Presented<V = HeaderValue> {
    /// Nothing that the route accepts, or the route judges nothing.
    None,
    /// A token by itself.
    Token(Carried<V>),
    /// A token with the key that it is to belong to.
    Pair {
        /// The key's name or id, as it came.
        key: V,
        /// The token.
        token: Carried<V>,
    },
}

/// A token of 16 to 512 visible ASCII characters, in the header value that brought it.
#[derive(Clone)]
pub struct Carried<V = HeaderValue> {
    value: V,
    /// Where the token begins in it; it ends with it.
    start: usize,
    form: CredentialForm,
}

impl<V> fmt::Debug for Carried<V> {
    /// Without the token.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Carried").field("form", &self.form).finish_non_exhaustive()
    }
}

impl<V: AsRef<[u8]>> Carried<V> {
    /// The token's characters.
    pub fn token(&self) -> &[u8] {
        self.value.as_ref().get(self.start..).unwrap_or_default()
    }

    /// In which form it came.
    pub const fn form(&self) -> CredentialForm {
        self.form
    }

    /// Accepts `value` as a token from byte `start` on.
    fn judged(value: V, start: usize, form: CredentialForm) -> Result<Self, Refusal> {
        let carried = Self { value, start, form };
        let token = carried.token();
        if !Secret::LENGTHS.contains(&token.len()) || !token.iter().all(u8::is_ascii_graphic) {
            return Err(Refusal::CredentialInvalid);
        }
        Ok(carried)
    }
}

impl<V: AsRef<[u8]>> Presented<V> {
    /// The digest to look up. A token in the format with a known prefix and a wrong checksum is refused unhashed.
    pub fn digest(&self, prefixes: &[Prefix]) -> Result<Digest, Refusal> {
        let token = match self {
            Self::None => return Err(Refusal::CredentialMissing),
            Self::Token(token) | Self::Pair { token, .. } => token.token(),
        };
        match form(token, prefixes) {
            Form::Broken => Err(Refusal::CredentialInvalid),
            Form::Sound | Form::Foreign => Ok(Digest::of(token)),
        }
    }
}

/// Takes the credential that `route` accepts out of `headers`. `enabled` is what the gateway knows of credentials at
/// all, and `prefixes` what tokens begin with: where the route judges nothing, tokens are removed all the same.
pub fn take(
    headers: &mut HeaderMap,
    route: &Route,
    enabled: &Credentials,
    prefixes: &[Prefix],
) -> Result<Presented, Refusal> {
    match route.auth {
        Auth::None => {
            remove_tokens(headers, enabled, prefixes);
            Ok(Presented::None)
        }
        Auth::Required | Auth::Optional => match find(headers, &route.credentials)? {
            None => Ok(Presented::None),
            Some(found) => {
                let fate = Fate::of(route);
                found.taken(|name| headers.get_mut(name).map(|value| fate.apply(value)))
            }
        },
    }
}

/// A credential where it stands, and the names of the headers that carry it.
pub(super) type Borrowed<'l> = (Presented<&'l [u8]>, [Option<&'l HeaderName>; 2]);

/// The credential that `route`, which judges, accepts among `lines`, left where it is; the names are of the headers that
/// carry it.
pub(super) fn borrow<'l, L: Lines>(lines: &'l L, route: &'l Route) -> Result<Borrowed<'l>, Refusal> {
    let Some(found) = find(lines, &route.credentials)? else { return Ok((Presented::None, [None; 2])) };
    let names = found.names();
    let presented = found.taken(|name| lines.named(name).next())?;
    Ok((presented, names))
}

/// Whether a header line is the empty place of a credential that was taken.
pub(super) fn is_taken(value: &HeaderValue) -> bool {
    value.is_sensitive() && value.is_empty()
}

/// A credential, where it was found.
#[derive(Clone, Copy)]
enum Found<'a> {
    /// The place of the token in `Authorization`.
    Bearer {
        start: usize,
    },
    Header(&'a HeaderName),
    Pair(&'a Pair),
    /// One header of a pair without the other.
    HalfPair(&'a HeaderName),
}

/// The one credential of an accepted form, if there is any.
fn find<'a>(headers: &impl Lines, accepted: &'a Credentials) -> Result<Option<Found<'a>>, Refusal> {
    let mut found = None;
    if accepted.bearer {
        found = bearer(headers)?;
    }
    if let Some(name) = &accepted.header
        && is_present(headers, name)?
    {
        found = Some(only(found, Found::Header(name))?);
    }
    if let Some(pair) = &accepted.pair {
        let half = match (is_present(headers, &pair.key)?, is_present(headers, &pair.token)?) {
            (false, false) => return Ok(found),
            (true, true) => Found::Pair(pair),
            (true, false) => Found::HalfPair(&pair.key),
            (false, true) => Found::HalfPair(&pair.token),
        };
        found = Some(only(found, half)?);
    }
    Ok(found)
}

/// `second`, if it is not the second.
fn only<'a>(first: Option<Found<'a>>, second: Found<'a>) -> Result<Found<'a>, Refusal> {
    match first {
        None => Ok(second),
        Some(first) => Err(ambiguous(first.name(), second.name())),
    }
}

fn ambiguous(first: &HeaderName, second: &HeaderName) -> Refusal {
    Refusal::CredentialAmbiguous { first: first.clone(), second: second.clone() }
}

/// Whether there is one line of `name`; two are a second credential.
fn is_present(headers: &impl Lines, name: &HeaderName) -> Result<bool, Refusal> {
    let mut lines = headers.named(name);
    match (lines.next(), lines.next()) {
        (None, _) => Ok(false),
        (Some(_), None) => Ok(true),
        (Some(_), Some(_)) => Err(ambiguous(name, name)),
    }
}

/// The token in `Authorization: Bearer`. A Bearer beside another line of `Authorization` is one credential too many.
fn bearer<'a>(headers: &impl Lines) -> Result<Option<Found<'a>>, Refusal> {
    let mut lines = headers.named(&AUTHORIZATION);
    let Some(first) = lines.next() else { return Ok(None) };
    match (bearer_token(first), lines.next()) {
        (found, None) => Ok(found.map(|start| Found::Bearer { start })),
        (Some(_), Some(_)) => Err(ambiguous(&AUTHORIZATION, &AUTHORIZATION)),
        (None, Some(second)) if bearer_token(second).is_some() || lines.any(|line| bearer_token(line).is_some()) => {
            Err(ambiguous(&AUTHORIZATION, &AUTHORIZATION))
        }
        (None, Some(_)) => Ok(None),
    }
}

/// Where the token begins in `Bearer 1*SP token` (RFC 6750 §2.1, RFC 9110 §11.4); `None`: another scheme. The scheme
/// is told by its letters alone, so that no odd separator makes ours pass as another's; what follows it is judged
/// as a token and must be one to its last byte.
fn bearer_token(text: &[u8]) -> Option<usize> {
    const SCHEME: &[u8] = b"bearer";
    let begin = text.len() - text.trim_ascii_start().len();
    let (scheme, rest) = text.get(begin..)?.split_at_checked(SCHEME.len())?;
    let ends = rest.first().is_none_or(|byte| !byte.is_ascii_alphanumeric() && !b"!#$%&'*+-.^_`|~".contains(byte));
    if !scheme.eq_ignore_ascii_case(SCHEME) || !ends {
        return None;
    }
    let spaces = rest.iter().take_while(|byte| **byte == b' ').count();
    Some(begin + SCHEME.len() + spaces)
}

/// What becomes of a credential's header.
#[derive(Clone, Copy)]
enum Fate {
    Removed,
    Forwarded,
}

impl Fate {
    const fn of(route: &Route) -> Self {
        if route.forward_credential { Self::Forwarded } else { Self::Removed }
    }

    /// Takes the value of a header line.
    fn apply(self, value: &mut HeaderValue) -> HeaderValue {
        value.set_sensitive(true);
        match self {
            Self::Forwarded => value.clone(),
            Self::Removed => std::mem::replace(value, nothing()),
        }
    }
}

/// What is left in a credential's place: no client can send it, for what a client sends is not sensitive.
fn nothing() -> HeaderValue {
    let mut value = HeaderValue::from_static("");
    value.set_sensitive(true);
    value
}

impl<'a> Found<'a> {
    fn name(self) -> &'a HeaderName {
        match self {
            Self::Bearer { .. } => &AUTHORIZATION,
            Self::Header(name) | Self::HalfPair(name) => name,
            Self::Pair(pair) => &pair.token,
        }
    }

    /// The headers that carry it.
    fn names(self) -> [Option<&'a HeaderName>; 2] {
        match self {
            Self::Bearer { .. } | Self::Header(_) | Self::HalfPair(_) => [Some(self.name()), None],
            Self::Pair(pair) => [Some(&pair.key), Some(&pair.token)],
        }
    }

    /// The credential, of values that `take` gives by their header's name.
    fn taken<V: AsRef<[u8]>>(self, mut take: impl FnMut(&'a HeaderName) -> Option<V>) -> Result<Presented<V>, Refusal> {
        // Both found a moment ago, so present.
        let value = take(self.name()).ok_or(Refusal::CredentialMissing)?;
        match self {
            Self::Bearer { start } => Carried::judged(value, start, CredentialForm::Bearer).map(Presented::Token),
            Self::Header(_) => Carried::judged(value, 0, CredentialForm::Header).map(Presented::Token),
            Self::Pair(pair) => {
                let key = take(&pair.key).ok_or(Refusal::CredentialMissing)?;
                let token = Carried::judged(value, 0, CredentialForm::Pair)?;
                Ok(Presented::Pair { key, token })
            }
            Self::HalfPair(_) => Err(Refusal::CredentialInvalid),
        }
    }
}

/// Removes what looks like one of our tokens from every header that might carry one.
fn remove_tokens(headers: &mut HeaderMap, enabled: &Credentials, prefixes: &[Prefix]) {
    for (name, value) in headers.iter_mut() {
        if is_stray(name.as_str(), value.as_bytes(), enabled, prefixes) {
            *value = nothing();
        }
    }
}

/// Whether a line, by its name in any case and its value, carries what looks like one of our tokens.
pub(super) fn is_stray(name: &str, value: &[u8], enabled: &Credentials, prefixes: &[Prefix]) -> bool {
    let is = |carrier: &HeaderName| carrier.as_str().eq_ignore_ascii_case(name);
    let carries = (enabled.bearer && is(&AUTHORIZATION))
        || enabled.header.as_ref().is_some_and(is)
        || enabled.pair.as_ref().is_some_and(|pair| is(&pair.token));
    carries && is_token(value, prefixes)
}

fn is_token(value: &[u8], prefixes: &[Prefix]) -> bool {
    let start = bearer_token(value).unwrap_or_default();
    let text = value.get(start..).unwrap_or_default().trim_ascii();
    form(text, prefixes) != Form::Foreign
}

#[cfg(test)]
mod tests;
