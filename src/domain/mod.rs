//! Keys, tokens and what may happen to them.
//!
//! Promises: every rule of a key's life is decided here and nowhere else, from values handed in.
//! Deliberately does not: read a clock, draw randomness, do IO, or await.

pub mod audit;
pub mod chain;
pub mod grant;
pub mod id;
pub mod key;
pub mod limits;
pub mod name;
pub mod permission;
pub mod policy;
pub mod renewal;
pub mod time;
pub mod token;
pub mod transition;

#[cfg(test)]
mod model;
#[cfg(test)]
mod model_test;
#[cfg(test)]
mod rules;

pub use audit::{Action, ActionName, Actor, Event, EventDraft, Facts};
pub use chain::{Head, RecordHash};
pub use grant::{Acceptance, Deadline, Grant, Slot, Verdict};
pub use id::{EventId, KeyId, TokenId};
pub use key::{ApiKey, Realm, Revision, Status, Tokens, Version};
pub use limits::{Limits, Period, Quota, Rate, Window};
pub use name::{Invalid, KeyName, Label, Remark, Role};
pub use permission::{Authority, Permission};
pub use policy::{Affected, OnExpiry, Settings};
pub use renewal::{OnUnused, Plan, Renewal};
pub use time::{Lifetime, Span, Timestamp};
pub use token::{Digest, EndReason, Ended, Hint, Origin, Prefix, Secret, Token};
pub use transition::{Command, Edit, Outcome, Refusal, Step};
