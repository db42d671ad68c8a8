//! What time it is.
//!
//! Promises: one source of time for everything above; a test can hold it in its hand.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Instant, SystemTime};

use crate::domain::{Span, Timestamp};

/// Tells the time. Cheap to clone; every clone tells the same time.
#[derive(Clone, Debug, Default)]
pub struct Clock(Source);

#[derive(Clone, Debug, Default)]
enum Source {
    #[default]
    System,
    Manual(Arc<AtomicU64>),
}

impl Clock {
    /// The machine's wall time.
    pub fn system() -> Self {
        Self(Source::System)
    }

    /// A clock that stands at `now` until it is moved.
    pub fn manual(now: Timestamp) -> Self {
        Self(Source::Manual(Arc::new(AtomicU64::new(now.as_millis()))))
    }

    /// The time.
    pub fn now(&self) -> Timestamp {
        match &self.0 {
            Source::System => {
                let since_epoch = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
                Timestamp::EPOCH.plus(since_epoch.into())
            }
            Source::Manual(millis) => Timestamp::from_millis(millis.load(Ordering::SeqCst)),
        }
    }

    /// How much time this process has seen pass since it first asked. No step of wall time changes it.
    pub fn uptime(&self) -> Span {
        static STARTED: OnceLock<Instant> = OnceLock::new();
        match &self.0 {
            Source::System => STARTED.get_or_init(Instant::now).elapsed().into(),
            Source::Manual(millis) => Span::millis(millis.load(Ordering::SeqCst)),
        }
    }

    /// Moves a manual clock on. A system clock is not moved.
    pub fn advance(&self, span: Span) {
        if let Source::Manual(millis) = &self.0 {
            millis.fetch_add(span.as_millis(), Ordering::SeqCst);
        }
    }
}
