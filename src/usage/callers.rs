//! Who uses a token during a renewal: the heaviest callers, by address, user agent and route.
//!
//! Promises: memory is bounded, per token and in all, whoever calls; a count is never too high; what a caller sends as its
//! user agent is kept masked and cut.
//! Deliberately does not: tell how many light callers there were. Of a newcomer where there is no room the lightest makes
//! place, and hands on its weight, so that no heavy caller is kept out (Metwally, Agrawal, El Abbadi: "Space-Saving", 2005).

use std::net::IpAddr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::domain::{Span, Timestamp, token};

/// How many callers of a token are told.
const TOLD: usize = 20;
/// How many are kept, so that the twenty heaviest are among them.
const KEPT: usize = 32;
/// How much of a user agent is kept, in bytes.
const LONGEST_AGENT: usize = 200;
/// How long after its last use a caller is known.
pub(super) const KNOWN_FOR: Span = Span::days(7);

/// One caller of one token.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TokenCaller {
    /// The client's address.
    pub address: IpAddr,
    /// Its `User-Agent`; `None`: it sent none.
    pub user_agent: Option<String>,
    /// The route that it took, by hosts and path.
    pub route: Arc<str>,
    /// To the second.
    pub last_used_at: Timestamp,
    /// How often, since it has been known here.
    pub requests: u64,
}

/// Some uses of one token by one caller.
pub(super) struct CallerUse<'a> {
    pub(super) address: IpAddr,
    /// Masked and cut.
    pub(super) user_agent: Option<String>,
    pub(super) route: &'a Arc<str>,
    pub(super) at: Timestamp,
    pub(super) requests: u64,
}

/// The callers of one token.
#[derive(Default, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Callers(Vec<Row>);

#[derive(Clone, Serialize, Deserialize)]
struct Row {
    address: IpAddr,
    user_agent: Option<Box<str>>,
    route: Arc<str>,
    last_used_s: u64,
    requests: u64,
    /// The weight of those that made place for it.
    inherited: u64,
}

impl Row {
    fn weight(&self) -> u64 {
        self.requests.saturating_add(self.inherited)
    }
}

impl Callers {
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// As it is kept in the file.
    pub(super) fn text(&self) -> String {
        serde_json::to_string(self).unwrap_or_default() // texts and numbers: there is nothing that could not be written
    }

    /// What was kept as `text`; none, if it cannot be read.
    pub(super) fn of_text(text: &str) -> Self {
        serde_json::from_str(text).unwrap_or_default()
    }

    /// Adds some uses. `has_room`: whether there may be more callers than there are, in all.
    pub(super) fn add(&mut self, used: CallerUse<'_>, has_room: impl FnOnce() -> bool) {
        let CallerUse { address, user_agent, route, at, requests } = used;
        let is_it = |row: &&mut Row| {
            row.address == address && row.user_agent.as_deref() == user_agent.as_deref() && row.route == *route
        };
        if let Some(row) = self.0.iter_mut().find(is_it) {
            row.requests = row.requests.saturating_add(requests);
            row.last_used_s = row.last_used_s.max(at.as_seconds());
            return;
        }
        let user_agent = user_agent.map(String::into_boxed_str);
        let row =
            Row { address, user_agent, route: Arc::clone(route), last_used_s: at.as_seconds(), requests, inherited: 0 };
        if self.0.len() < KEPT && has_room() {
            self.0.push(row);
        } else if let Some(lightest) = self.0.iter_mut().min_by_key(|row| (row.weight(), row.last_used_s)) {
            *lightest = Row { inherited: lightest.weight(), ..row };
        }
    }

    /// Lets go of those whose last use was before `before`. Answers whether there were any.
    pub(super) fn forget(&mut self, before: Timestamp) -> bool {
        let count = self.0.len();
        self.0.retain(|row| row.last_used_s >= before.as_seconds());
        self.0.len() < count
    }

    /// The heaviest whose last use was not before `since`, the heaviest first.
    pub(super) fn heaviest(&self, since: Timestamp) -> Vec<TokenCaller> {
        let mut rows: Vec<_> = self.0.iter().filter(|row| row.last_used_s >= since.as_seconds()).collect();
        rows.sort_by_key(|row| std::cmp::Reverse((row.requests, row.last_used_s)));
        rows.truncate(TOLD);
        let told = |row: &Row| TokenCaller {
            address: row.address,
            user_agent: row.user_agent.as_deref().map(str::to_owned),
            route: Arc::clone(&row.route),
            last_used_at: Timestamp::from_millis(row.last_used_s.saturating_mul(1_000)),
            requests: row.requests,
        };
        rows.into_iter().map(told).collect()
    }
}

/// A user agent as it is kept: masked first, so that no part of a token is left by the cut.
pub(super) fn kept(user_agent: &[u8]) -> String {
    let text = String::from_utf8_lossy(user_agent);
    let mut kept = token::mask(&text).into_owned();
    kept.truncate(kept.floor_char_boundary(LONGEST_AGENT));
    kept
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Prefix, Secret};

    const START: Timestamp = Timestamp::from_millis(1_800_000_000_000);

    fn used(callers: &mut Callers, address: u32, requests: u64, at: Timestamp) {
        let (address, route) = (IpAddr::V4(address.into()), Arc::from("/"));
        callers.add(CallerUse { address, user_agent: None, route: &route, at, requests }, || true);
    }

    #[test]
    fn a_caller_is_an_address_a_user_agent_and_a_route() {
        let mut callers = Callers::default();
        let routes: [Arc<str>; 2] = ["/a".into(), "/b".into()];
        for (host, agent, route) in [(1, "x", 0), (1, "x", 0), (2, "x", 0), (1, "y", 0), (1, "x", 1)] {
            let address = IpAddr::V4([10, 0, 0, host].into());
            let user_agent = Some(agent.to_owned());
            callers.add(CallerUse { address, user_agent, route: &routes[route], at: START, requests: 1 }, || true);
        }
        let told = callers.heaviest(START);
        assert_eq!(told.iter().map(|caller| caller.requests).collect::<Vec<_>>(), [2, 1, 1, 1]);
        assert_eq!((told[0].user_agent.as_deref(), &*told[0].route), (Some("x"), "/a"));
    }

    #[test]
    fn the_twenty_heaviest_are_told_however_many_light_ones_come_between() {
        let mut callers = Callers::default();
        for round in 0..200 {
            for heavy in 0..20 {
                used(&mut callers, heavy, 40, START);
            }
            for light in 0..20 {
                used(&mut callers, 1_000 + round * 20 + light, 1, START);
            }
        }
        assert_eq!(callers.len(), KEPT);
        let told = callers.heaviest(START);
        let addresses: std::collections::BTreeSet<_> = told.iter().map(|caller| caller.address).collect();
        assert_eq!(addresses, (0..20).map(|heavy: u32| IpAddr::V4(heavy.into())).collect());
        assert!(told.iter().all(|caller| caller.requests == 8_000));
    }

    #[test]
    fn a_heavy_newcomer_finds_its_place_and_no_count_is_too_high() {
        let mut callers = Callers::default();
        (0..40).for_each(|old| used(&mut callers, old, 10, START));
        (0..100).for_each(|_| used(&mut callers, 999, 5, START));
        let heaviest = &callers.heaviest(START)[0];
        assert_eq!((heaviest.address, heaviest.requests), (IpAddr::V4(999.into()), 500));
        assert!(callers.heaviest(START)[1..].iter().all(|caller| caller.requests <= 10));
    }

    #[test]
    fn without_room_in_all_a_newcomer_takes_the_place_of_another_caller_of_its_token_only() {
        let mut callers = Callers::default();
        let route = Arc::from("/");
        let one = |host| IpAddr::V4([10, 0, 0, host].into());
        let called = |address| CallerUse { address, user_agent: None, route: &route, at: START, requests: 1 };
        callers.add(called(one(1)), || false);
        assert!(callers.is_empty());
        callers.add(called(one(1)), || true);
        callers.add(called(one(2)), || false);
        assert_eq!(callers.heaviest(START).len(), 1);
    }

    #[test]
    fn a_caller_is_forgotten_after_its_last_use() {
        let mut callers = Callers::default();
        used(&mut callers, 1, 5, START);
        used(&mut callers, 2, 1, START.plus(Span::seconds(1)));
        assert!(!callers.forget(START));
        assert!(callers.forget(START.plus(Span::seconds(1))));
        assert_eq!(callers.len(), 1);
    }

    #[test]
    fn a_user_agent_is_kept_without_a_token_in_it_and_cut() {
        let secret = Secret::mint(&Prefix::administrators(), &mut rand::rng());
        let agent = format!("{}{}", "é".repeat(90), secret.reveal());
        let kept = kept(agent.as_bytes());
        assert!(kept.len() <= LONGEST_AGENT && kept.starts_with("éé"), "{kept}");
        assert!(!kept.contains(&secret.reveal()[..20]), "{kept}");
        assert_eq!(super::kept(b"\xff\xfea"), "\u{fffd}\u{fffd}a");
    }
}
