//! Health conditions: what is well and what is not, by name.
//!
//! Promises: telling is one store, asking needs no lock that a teller waits for; readiness is the requirements' alone.
//! Deliberately does not: find anything out. Whoever knows tells.

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use arc_swap::ArcSwapOption;

/// Every condition of one process. Cheap to clone; all clones are one.
#[derive(Clone, Default)]
pub struct Health(Arc<RwLock<Vec<Condition>>>);

/// One condition, in the hand of whoever knows about it. Cheap to clone.
#[derive(Clone)]
pub struct Condition(Arc<State>);

struct State {
    name: String,
    weight: Weight,
    /// Why it is not well; nothing while it is.
    trouble: ArcSwapOption<String>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Weight {
    Required,
    Reported,
}

impl Health {
    /// The condition `name`, which is only reported (the store, an upstream); well until told otherwise.
    pub fn condition(&self, name: &str) -> Condition {
        self.named(name, Weight::Reported, None)
    }

    /// The condition `name`, without which the process is not ready (keys loaded, accepting); not well until told so.
    pub fn requirement(&self, name: &str) -> Condition {
        self.named(name, Weight::Required, Some("not yet"))
    }

    /// Whether every requirement is well.
    pub fn ready(&self) -> bool {
        self.all().iter().all(|condition| condition.0.weight == Weight::Reported || condition.is_ok())
    }

    /// Every condition, as (name, whether it is well, why not), in the order in which they were first named.
    pub fn report(&self) -> Vec<(String, bool, String)> {
        let told = |condition: &Condition| {
            let trouble = condition.0.trouble.load_full();
            let text = trouble.as_deref().cloned().unwrap_or_else(|| "ok".to_owned());
            (condition.0.name.clone(), trouble.is_none(), text)
        };
        self.all().iter().map(told).collect()
    }

    fn all(&self) -> Vec<Condition> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn named(&self, name: &str, weight: Weight, trouble: Option<&str>) -> Condition {
        let mut all = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = all.iter().find(|condition| condition.0.name == name) {
            return known.clone();
        }
        let trouble = ArcSwapOption::new(trouble.map(|text| Arc::new(text.to_owned())));
        let condition = Condition(Arc::new(State { name: name.to_owned(), weight, trouble }));
        all.push(condition.clone());
        condition
    }
}

impl Condition {
    /// Says that it is well.
    pub fn ok(&self) {
        self.0.trouble.store(None);
    }

    /// Says that it is not well, and why.
    pub fn fail(&self, why: impl Into<String>) {
        self.0.trouble.store(Some(Arc::new(why.into())));
    }

    /// Whether it is well.
    pub fn is_ok(&self) -> bool {
        self.0.trouble.load().is_none()
    }
}

impl fmt::Debug for Health {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Health").field(&self.report()).finish()
    }
}

impl fmt::Debug for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Condition").field("name", &self.0.name).field("ok", &self.is_ok()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readiness_waits_for_every_requirement_and_for_nothing_else() {
        let health = Health::default();
        let keys = health.requirement("keys loaded");
        let store = health.condition("store");
        assert!(!health.ready());
        keys.ok();
        assert!(health.ready());
        store.fail("no space left on device");
        assert!(health.ready());
        let accepting = health.requirement("accepting");
        assert!(!health.ready());
        accepting.ok();
        assert!(health.ready());
        accepting.fail("draining");
        assert!(!health.ready());
    }

    #[test]
    fn the_report_tells_every_condition_and_why() {
        let health = Health::default();
        health.requirement("keys loaded").ok();
        health.condition("store").fail("unavailable");
        let told = |name: &str, ok, text: &str| (name.to_owned(), ok, text.to_owned());
        assert_eq!(health.report(), [told("keys loaded", true, "ok"), told("store", false, "unavailable")]);
    }

    #[test]
    fn one_name_is_one_condition() {
        let health = Health::default();
        let here = health.condition("store");
        health.clone().condition("store").fail("gone");
        assert!(!here.is_ok());
        assert_eq!(health.report().len(), 1);
    }
}
