//! Who uses which token during a renewal: the list, and what it means for whoever closes the renewal.
//!
//! Promises: a caller of the old token that has used the new one since is told from one that has not.
//! Deliberately does not: know who has not called. Callers are told apart by address and user agent.

use super::answers::{Caller, Renewal};
use super::moment::Distance;
use super::page::Page;
use super::words::Words;
use crate::domain::Timestamp;

/// How many callers of a token the API tells at most.
const MOST: usize = 20;

/// Somebody who used a token.
pub(super) struct Seen {
    pub(super) address: String,
    pub(super) user_agent: Option<String>,
    pub(super) route: Option<String>,
    pub(super) last_used: Distance,
    pub(super) requests: String,
    /// Whether he, of the old token, has used the new one since.
    pub(super) has_moved: bool,
}

impl Seen {
    /// The callers of the old token, the latest first.
    pub(super) fn of_old(renewal: &Renewal, page: &Page, now: Timestamp) -> Option<Vec<Self>> {
        let callers = renewal.old_token_callers.as_deref()?;
        Some(Self::all(callers, page, now, |caller| has_moved(caller, renewal)))
    }

    /// Those of the new one.
    pub(super) fn of_new(renewal: &Renewal, page: &Page, now: Timestamp) -> Option<Vec<Self>> {
        Some(Self::all(renewal.new_token_callers.as_deref()?, page, now, |_| false))
    }

    fn all(callers: &[Caller], page: &Page, now: Timestamp, has_moved: impl Fn(&Caller) -> bool) -> Vec<Self> {
        let mut callers = callers.to_vec();
        callers.sort_by_key(|caller| std::cmp::Reverse(caller.last_used_at));
        let seen = |caller: Caller| Self {
            has_moved: has_moved(&caller),
            last_used: page.words.ago(caller.last_used_at, now),
            requests: page.words.number(caller.requests),
            address: caller.address,
            user_agent: caller.user_agent.filter(|agent| !agent.is_empty()),
            route: caller.route,
        };
        callers.into_iter().map(seen).collect()
    }
}

/// Whether a caller of the old token has been seen with the new one since he last used the old one.
fn has_moved(caller: &Caller, renewal: &Renewal) -> bool {
    let is_he = |other: &Caller| other.address == caller.address && other.user_agent == caller.user_agent;
    let moved = |other: &Caller| is_he(other) && other.last_used_at >= caller.last_used_at;
    renewal.new_token_callers.iter().flatten().any(moved)
}

/// Who would be refused if the old token were deleted now: a sentence each.
pub(super) fn cut_off(renewal: &Renewal, words: Words) -> Vec<String> {
    let Some(callers) = &renewal.old_token_callers else { return Vec::new() };
    let moved = callers.iter().filter(|caller| has_moved(caller, renewal)).count();
    let mut told = match (callers.len() - moved, moved) {
        (0, 0) => Vec::new(), // the empty list says so
        (0, _) => vec![words.t("cut-off-nobody")],
        (staying, 0) => vec![words.count("cut-off-count", staying)],
        (staying, moved) => vec![words.count("cut-off-count", staying), words.count("moved-count", moved)],
    };
    told.extend((callers.len() >= MOST).then(|| words.t("callers-most")));
    told
}

/// Who would be refused if the renewal were undone now.
pub(super) fn sent_back(renewal: &Renewal, words: Words) -> Vec<String> {
    let count = renewal.new_token_callers.as_ref().map_or(0, Vec::len);
    let told = (count > 0).then(|| words.count("sent-back-count", count));
    told.into_iter().chain((count >= MOST).then(|| words.t("callers-most"))).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::words::Language;
    use super::*;

    const EN: Words = Words(Language::En);

    fn renewal(old: &Value, new: &Value) -> Renewal {
        let renewal = json!({"opened_at": "2026-11-23T19:12:00.000Z", "opened_by": "root", "delete_old": "later",
            "due_at": null, "quiet_since": null, "held": false, "old_token_callers": old, "new_token_callers": new});
        serde_json::from_value(renewal).expect("a renewal")
    }

    fn caller(address: &str, minute: u32) -> Value {
        json!({"address": address, "user_agent": "a", "route": "/", "requests": 1,
            "last_used_at": format!("2026-11-23T20:{minute:02}:00.000Z")})
    }

    #[test]
    fn whoever_has_used_the_new_token_since_is_not_cut_off() {
        let told = |old: &[Value], new: &[Value]| cut_off(&renewal(&json!(old), &json!(new)), EN).join(" ");
        let (ten, twenty) = (caller("10.0.0.1", 10), caller("10.0.0.2", 20));
        assert_eq!(told(&[], &[]), "");
        let one = "1 caller has used the old token and not the new one since: it would be refused.";
        assert_eq!(told(std::slice::from_ref(&ten), std::slice::from_ref(&twenty)), one);
        let moved = "1 caller has used the new token since: it goes on.";
        assert_eq!(told(&[ten.clone(), twenty.clone()], &[caller("10.0.0.1", 11)]), format!("{one} {moved}"));
        assert_eq!(told(std::slice::from_ref(&ten), &[caller("10.0.0.1", 9)]), one, "he has gone back");
        let nobody = "Nobody who has been seen: every caller of the old token has used the new one since.";
        assert_eq!(told(&[ten], &[caller("10.0.0.1", 10)]), nobody);
    }

    #[test]
    fn a_list_that_may_not_be_everybody_says_so() {
        let many: Vec<_> = (0..20).map(|host| caller(&format!("10.0.0.{host}"), 1)).collect();
        let renewal = renewal(&json!(many), &json!(many[..19]));
        assert!(cut_off(&renewal, EN).join(" ").ends_with("the most requests are listed."));
        let told = ["19 callers use the new token already: they would be refused until they use the old one again."];
        assert_eq!(sent_back(&renewal, EN), told);
    }
}
