//! What the audit log tells of tokens that nobody has changed: one ends soon, one has ended, a replaced one is still tried.
//!
//! Promises: `token.expiring` once for each of 14, 7 and 1 days and `token.expired` once, also across a restart;
//! `token.superseded_use` at most once an hour for each token, with the uses counted since the last; memory is bounded.
//! Deliberately does not: end a token. A grant carries its own ends.

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tracing::{info, warn};

use crate::catalog::Catalog;
use crate::domain::audit::TokenNotice;
use crate::domain::{
    Action, Actor, ApiKey, EventDraft, EventId, Facts, KeyId, Lifetime, Realm, Settings, Span, Timestamp, Token,
    TokenId,
};
use crate::index::SupersededUse;
use crate::store::{KeyRef, StoreError, What, Write, private};

use super::superseded::Tried;
use super::{Keyring, entropy};

/// How often replaced tokens that were tried are asked for.
const LOOK: Duration = Duration::from_secs(1);
/// How often every key is looked at for tokens that end.
const SURVEY: Span = Span::minutes(1);
/// How many events are written at once.
const BATCH: usize = 256;
/// How old the file of the last survey may become while there is nothing to tell.
const SAVE_EVERY: Span = Span::minutes(10);

/// How near a token's end is. The later, the nearer.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Nearness {
    Days14,
    Days7,
    Days1,
    Over,
}

impl Nearness {
    const SOON: [(Self, Span); 3] =
        [(Self::Days14, Span::days(14)), (Self::Days7, Span::days(7)), (Self::Days1, Span::days(1))];

    /// How near the end of a token of this duration is at `now`; `None`: not near. What a token is from its beginning
    /// is no news: a token of five days never ends within seven.
    fn of(token: &Token, lifetime: Lifetime, now: Timestamp) -> Option<(Self, Timestamp)> {
        let end = lifetime.end(token.created_at)?;
        if now >= end {
            return Some((Self::Over, end));
        }
        let whole = end.since(token.created_at);
        let is_within = |within: Span| whole > within && end.since(now) <= within;
        let near = Self::SOON.into_iter().rev().find(|(_, within)| is_within(*within));
        near.map(|(nearness, _)| (nearness, end))
    }

    fn within(self) -> Option<Span> {
        Self::SOON.into_iter().find(|(nearness, _)| *nearness == self).map(|(_, within)| within)
    }

    fn action(self) -> Action {
        match self {
            Self::Days14 | Self::Days7 | Self::Days1 => Action::TokenExpiring,
            Self::Over => Action::TokenExpired,
        }
    }
}

/// Tells it.
pub struct Teller {
    keyring: Keyring,
    /// Where the time of the last survey is kept across a restart; without it none is.
    file: Option<PathBuf>,
    /// What has been told of tokens whose end is near.
    told: HashMap<TokenId, Nearness>,
    surveyed_at: Option<Timestamp>,
    saved_at: Timestamp,
    superseded: Tried,
}

impl Teller {
    /// A teller for `keyring` that keeps its place in `file`.
    pub fn new(keyring: Keyring, file: Option<PathBuf>) -> Self {
        let (told, superseded) = Default::default();
        Self { keyring, file, told, surveyed_at: None, saved_at: Timestamp::EPOCH, superseded }
    }

    /// Tells for ever. To be begun when every key is known.
    pub async fn run(mut self) {
        self.begin();
        let mut ticks = tokio::time::interval(LOOK);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let clock = &self.keyring.0.parts.clock;
            if !clock.is_trusted() {
                continue; // a clock in doubt would tell of ends that have not come
            }
            let now = clock.now();
            self.tell_superseded(now).await;
            if self.surveyed_at.is_none_or(|at| at.is_due_again(SURVEY, now)) {
                self.survey(now).await;
            }
        }
    }

    /// Takes what was near at the last survey before the restart as told.
    fn begin(&mut self) {
        let text = self.file.as_ref().and_then(|file| std::fs::read_to_string(file).ok());
        self.surveyed_at = text.and_then(|text| text.trim().parse().ok()).map(Timestamp::from_millis);
        let Some(then) = self.surveyed_at.take() else { return };
        let settings = Arc::clone(&self.keyring.0.settings.load().value);
        let told = near(&self.keyring.0.parts.catalog, &settings, then);
        let known = told.into_iter().filter(|near| near.created_at <= then);
        self.told = known.map(|near| (near.notice.token, near.nearness)).collect();
        self.saved_at = then;
    }

    async fn survey(&mut self, now: Timestamp) {
        let (catalog, settings) = (self.keyring.0.parts.catalog.clone(), self.keyring.0.settings.load().value.clone());
        // Every key is read, off this thread.
        let Ok(near) = tokio::task::spawn_blocking(move || near(&catalog, &settings, now)).await else { return };
        let is_news = |near: &Near| self.told.get(&near.notice.token).is_none_or(|told| *told < near.nearness);
        let (news, known): (Vec<_>, Vec<_>) = near.into_iter().partition(is_news);
        // Of a token that is not near any more nothing was told, should it come near again.
        let mut told: HashMap<_, _> = known.iter().map(|near| (near.notice.token, near.nearness)).collect();
        let (is_nothing, mut is_all_told) = (news.is_empty(), true);
        for batch in news.chunks(BATCH) {
            match self.write(batch.iter().map(|near| near.draft(now)).collect()).await {
                Ok(()) => told.extend(batch.iter().map(|near| (near.notice.token, near.nearness))),
                Err(error) => {
                    is_all_told = false;
                    warn!(%error, count = batch.len(), "tokens that end could not be told of; trying again in a minute");
                }
            }
        }
        self.told = told;
        self.surveyed_at = Some(now);
        // What was not told is to be news after a restart, too, though what was told then comes a second time.
        if is_all_told && (!is_nothing || self.saved_at.is_due_again(SAVE_EVERY, now)) {
            self.save(now).await;
        }
    }

    async fn save(&mut self, now: Timestamp) {
        let Some(file) = self.file.clone() else { return };
        let text = format!("{}\n", now.as_millis());
        let saved = tokio::task::spawn_blocking(move || private::write(&file, &text)).await;
        match saved {
            Ok(Ok(())) => self.saved_at = now,
            Ok(Err(error)) => warn!(%error, "the time of the last survey could not be kept; events may come again"),
            Err(_) => {} // the process is shutting down
        }
    }

    async fn tell_superseded(&mut self, now: Timestamp) {
        let parts = &self.keyring.0.parts;
        let of = |realm, uses: Vec<SupersededUse>| uses.into_iter().map(move |used| (realm, used));
        let tried = of(Realm::Gateway, parts.keys.take_superseded());
        let due = self.superseded.take(tried.chain(of(Realm::Admin, parts.admins.take_superseded())), now);
        for batch in due.chunks(BATCH) {
            let drafts = batch.iter().filter_map(|(realm, used)| self.superseded_draft(*realm, used)).collect();
            if let Err(error) = self.write(drafts).await {
                warn!(%error, count = batch.len(), "uses of replaced tokens could not be told of");
            }
        }
    }

    fn superseded_draft(&self, realm: Realm, used: &SupersededUse) -> Option<Draft> {
        let key = self.keyring.0.parts.catalog.find(realm, &KeyRef::Id(used.key))?;
        let notice = TokenNotice {
            name: key.name,
            token: used.token,
            hint: None,
            expires_at: None,
            within: None,
            uses: Some(used.uses),
        };
        info!(key = %used.key, token = %used.token, uses = used.uses, "a replaced token is still tried");
        let (action, address) = (Action::TokenSupersededUse, Some(used.address));
        Some(Draft { realm, key: used.key, action, at: used.at, address, notice })
    }

    async fn write(&self, drafts: Vec<Draft>) -> Result<(), StoreError> {
        let now = self.keyring.0.parts.clock.now();
        let writes: Vec<_> = drafts.into_iter().map(|draft| draft.write(now)).collect::<Result<_, _>>()?;
        if writes.is_empty() {
            return Ok(());
        }
        self.keyring.commit_all(writes).await.map(drop)
    }
}

/// A token whose end is near or past.
struct Near {
    realm: Realm,
    key: KeyId,
    nearness: Nearness,
    created_at: Timestamp,
    notice: TokenNotice,
}

impl Near {
    fn of(realm: Realm, key: &ApiKey, token: &Token, settings: &Settings, now: Timestamp) -> Option<Self> {
        let lifetime = match realm {
            Realm::Gateway => key.lifetime(settings),
            Realm::Admin => key.duration.unwrap_or(Lifetime::Never),
        };
        let (nearness, end) = Nearness::of(token, lifetime, now)?;
        let notice = TokenNotice {
            name: key.name.clone(),
            token: token.id,
            hint: token.hint.map(|hint| hint.to_string()),
            expires_at: Some(end),
            within: nearness.within(),
            uses: None,
        };
        Some(Self { realm, key: key.id, nearness, created_at: token.created_at, notice })
    }

    fn draft(&self, now: Timestamp) -> Draft {
        let at = self.notice.expires_at.filter(|_| self.nearness == Nearness::Over).unwrap_or(now);
        let (realm, key, notice) = (self.realm, self.key, self.notice.clone());
        Draft { realm, key, action: self.nearness.action(), at, address: None, notice }
    }
}

fn near(catalog: &Catalog, settings: &Settings, now: Timestamp) -> Vec<Near> {
    let mut found = Vec::new();
    for realm in [Realm::Gateway, Realm::Admin] {
        catalog.newest_first(realm, None, &mut |key| {
            found.extend(key.tokens.each().filter_map(|token| Near::of(realm, &key, token, settings, now)));
            ControlFlow::Continue(())
        });
    }
    found
}

/// An event that tells of a token.
struct Draft {
    realm: Realm,
    key: KeyId,
    action: Action,
    at: Timestamp,
    address: Option<std::net::IpAddr>,
    notice: TokenNotice,
}

impl Draft {
    fn write(self, now: Timestamp) -> Result<Write, StoreError> {
        let Self { realm, key, action, at, address, notice } = self;
        let event = EventDraft {
            id: EventId::new(at, entropy()?),
            at,
            written_at: now,
            actor: Actor::relevo(),
            address,
            action,
            key: Some(key),
            before: None,
            after: Some(Facts::Token(Box::new(notice))),
        };
        Ok(Write { realm, what: What::Events, events: vec![event] })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Digest, Origin};

    fn token() -> Token {
        Token::of_digest(Digest::of(b"x"), TokenId::from_bits(1), Timestamp::from_millis(1_000), Origin::Created)
    }

    #[test]
    fn a_token_comes_near_its_end_at_fourteen_seven_and_one_days() {
        let (token, lifetime) = (token(), Lifetime::For(Span::days(30)));
        let end = lifetime.end(token.created_at).expect("an end");
        let at = |span| Nearness::of(&token, lifetime, end.minus(span)).map(|(nearness, _)| nearness);
        assert_eq!(at(Span::days(14).plus(Span::millis(1))), None);
        assert_eq!(at(Span::days(14)), Some(Nearness::Days14));
        assert_eq!(at(Span::days(7)), Some(Nearness::Days7));
        assert_eq!(at(Span::days(1)), Some(Nearness::Days1));
        assert_eq!(at(Span::millis(1)), Some(Nearness::Days1));
        assert_eq!(at(Span::ZERO), Some(Nearness::Over));
        assert_eq!(Nearness::of(&token, Lifetime::Never, end), None);
    }

    #[test]
    fn what_a_token_is_from_its_beginning_is_no_news() {
        let token = token();
        let at = |days, now| Nearness::of(&token, Lifetime::For(Span::days(days)), now).map(|(nearness, _)| nearness);
        assert_eq!(at(5, token.created_at), None);
        assert_eq!(at(14, token.created_at), None);
        assert_eq!(at(5, token.created_at.plus(Span::days(4))), Some(Nearness::Days1));
        assert_eq!(at(1, token.created_at.plus(Span::hours(23))), None);
    }
}
