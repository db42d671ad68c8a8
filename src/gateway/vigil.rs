//! Streams are judged again while they last: a tunnel, a stream of events, gRPC, any exchange on a `streaming` route.
//!
//! Promises: once a second, by the worker that carries it, a stream's token is judged by the rules of a new request; when
//! the answer has become no, both directions learn it, and why. What is no stream costs nothing.
//! Deliberately does not: decide how a stream ends, which its protocol says.

use std::cell::{Cell, RefCell};
use std::net::IpAddr;
use std::rc::{Rc, Weak};
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use tracing::info;

use crate::domain::Timestamp;
use crate::index::Index;

use super::refusal::Refusal;
use super::site::Site;
use super::verdict::{self, Holder, Permit};

/// Why a stream ends before its end.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Ended {
    /// Its token would be refused now.
    Refused(Refusal),
    /// It has lasted as long as its client allowed.
    Late,
}

impl Ended {
    /// The refusal that says the same to a request whose reply has not begun.
    pub(super) fn refusal(&self) -> Refusal {
        match self {
            Self::Refused(refusal) => refusal.clone(),
            Self::Late => Refusal::UpstreamTimeout,
        }
    }
}

/// Who waits for the end.
#[derive(Clone, Copy)]
pub(super) enum Side {
    /// The one who sends to the backend.
    Upload = 0,
    /// The one who sends to the client, or carries both.
    Download = 1,
}

/// One stream, watched over.
pub(super) struct Vigil {
    holder: Option<Holder>,
    site: Rc<Site>,
    route: usize,
    address: IpAddr,
    due: Option<Instant>,
    ended: RefCell<Option<Ended>>,
    is_ended: Cell<bool>,
    wakers: [RefCell<Option<Waker>>; 2],
}

/// Every stream of one worker.
#[derive(Default)]
pub(super) struct Vigils(RefCell<Vec<Weak<Vigil>>>);

impl Vigils {
    /// Watches over a stream that `permit` let through on `route` from `address`, and that ends when it is `due`. One
    /// that nobody's token let through and that is never due needs no watch.
    pub(super) fn begin(
        &self,
        permit: &Permit,
        (site, route): (&Rc<Site>, usize),
        address: IpAddr,
        due: Option<Instant>,
    ) -> Option<Rc<Vigil>> {
        let holder = permit.holder().cloned();
        if holder.is_none() && due.is_none() {
            return None;
        }
        let site = Rc::clone(site);
        let (ended, is_ended, wakers) = Default::default();
        let vigil = Rc::new(Vigil { holder, site, route, address, due, ended, is_ended, wakers });
        self.0.borrow_mut().push(Rc::downgrade(&vigil));
        Some(vigil)
    }

    /// Judges every stream at `now`.
    pub(super) fn judge(&self, index: &Index, now: Timestamp) {
        let mut ending = Vec::new();
        self.0.borrow_mut().retain(|vigil| {
            let Some(vigil) = vigil.upgrade() else { return false };
            let ended = vigil.judge(index, now);
            let goes_on = ended.is_none();
            ending.extend(ended.map(|ended| (vigil, ended)));
            goes_on
        });
        for (vigil, ended) in ending {
            vigil.end(ended);
        }
    }
}

impl Vigil {
    fn judge(&self, index: &Index, now: Timestamp) -> Option<Ended> {
        if self.due.is_some_and(|due| due <= Instant::now()) {
            return Some(Ended::Late);
        }
        let holder = self.holder.as_ref()?;
        let route = self.site.route_at(self.route)?;
        verdict::judge_again(holder, route, self.address, now, index).err().map(Ended::Refused)
    }

    fn end(&self, ended: Ended) {
        let reason = ended.refusal().code();
        self.site.route_metrics(Some(self.route)).ended_stream(reason);
        let pass = self.holder.as_ref().map(Holder::pass);
        let (key, token) = (pass.map(|pass| pass.key().to_string()), pass.map(|pass| pass.token().to_string()));
        let route = self.site.route_label(self.route);
        info!(route, key, token, reason, "a stream is ended");
        *self.ended.borrow_mut() = Some(ended);
        self.is_ended.set(true);
        for waker in &self.wakers {
            waker.borrow_mut().take().into_iter().for_each(Waker::wake);
        }
    }

    /// Why it has ended.
    pub(super) fn ended(&self) -> Option<Ended> {
        if !self.is_ended.get() {
            return None;
        }
        self.ended.borrow().clone()
    }

    /// Ready when it has ended.
    pub(super) fn poll(&self, side: Side, cx: &Context<'_>) -> Poll<Ended> {
        if let Some(ended) = self.ended() {
            return Poll::Ready(ended);
        }
        let mut waker = self.wakers[side as usize].borrow_mut();
        if !waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            *waker = Some(cx.waker().clone());
        }
        Poll::Pending
    }
}

/// What comes of `future`; where the stream that it is for ends before, why.
pub(super) async fn watched<T>(
    vigil: Option<&Vigil>,
    future: impl Future<Output = Result<T, Refusal>>,
) -> Result<T, Refusal> {
    let mut future = std::pin::pin!(future);
    std::future::poll_fn(|cx| match vigil.map(|vigil| vigil.poll(Side::Download, cx)) {
        Some(Poll::Ready(ended)) => Poll::Ready(Err(ended.refusal())),
        Some(Poll::Pending) | None => future.as_mut().poll(cx),
    })
    .await
}
