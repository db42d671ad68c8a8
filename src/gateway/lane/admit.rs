//! From a request's head to what becomes of it: route → credential → verdict, as for every request.
//!
//! Promises: a head is the lane's or the engine's before anything is noted of it; what the lane refuses it refuses as the
//! engine would.
//! Deliberately does not: wait.

use std::mem::MaybeUninit;
use std::rc::Rc;

use http::Method;
use memchr::memchr;

use crate::config::Auth;
use crate::gateway::Client;
use crate::gateway::credential::{self, Presented};
use crate::gateway::exchange::Exchange;
use crate::gateway::grpc;
use crate::gateway::headers;
use crate::gateway::refusal::Refusal;
use crate::gateway::route::Route;
use crate::gateway::site::Site;
use crate::gateway::verdict::{self, Permit};
use crate::gateway::waits::Waits;
use crate::gateway::worker::Worker;
use crate::net::guard::HeadBounds;

use super::compose::{Composed, is_one_of};
use super::head::{Head, MOST_LINES};
use crate::gateway::failures;

/// The largest body that the lane takes, in bytes: it is collected before it is sent, so that it can be sent at once.
pub(super) const LARGEST_BODY: u64 = 32 * 1024;

/// A request of the lane, judged.
pub(super) struct Arrived {
    /// How many bytes its head has.
    pub(super) head: usize,
    /// How many bytes its body has.
    pub(super) body: u64,
    pub(super) exchange: Exchange,
    pub(super) judged: Result<Passage, Refusal>,
    /// Whether the client wants no other request on the connection.
    pub(super) closes: bool,
}

/// A request that passes, on its way.
pub(super) struct Passing {
    pub(super) exchange: Exchange,
    pub(super) passage: Passage,
}

/// What lets a request pass, and what is sent on of it.
pub(super) struct Passage {
    pub(super) permit: Permit,
    /// The place of its upstream.
    pub(super) upstream: usize,
    /// How long it waits there.
    pub(super) waits: Waits,
    pub(super) request: Composed,
    pub(super) has_body: bool,
}

impl Worker {
    /// Judges the request that `bytes` begin with; `None`: its head is not whole, or it is the engine's.
    pub(super) fn arrive(self: &Rc<Self>, client: &Client, bytes: &[u8], bounds: &HeadBounds) -> Option<Arrived> {
        let mut memory = [const { MaybeUninit::uninit() }; MOST_LINES];
        let head = Head::read(bytes, bounds, &mut memory)?;
        if head.body > LARGEST_BODY || grpc::is_grpc(&head.method, &head.fields) {
            return None;
        }
        let site = self.site();
        if head.method == Method::OPTIONS && site.has_preflights() {
            return None;
        }
        let host = headers::host_in(head.host).ok()?;
        let mark = memchr(b'?', head.target.as_bytes());
        let (path, query) = match mark.and_then(|mark| head.target.split_at_checked(mark)) {
            Some((path, query)) => (path, query.get(1..)),
            None => (head.target, None),
        };
        if site.is_own(path) {
            return None;
        }
        let routed = match site.choose(&head.method, &host, path, query) {
            Err(Refusal::BadRequest(_)) => return None,
            Ok((route, _)) if !site.lane_takes(route) => return None,
            routed => routed,
        };
        let mut exchange =
            self.begin_with(client, Rc::clone(&site), head.method.clone(), &head.fields, || head.target.into());
        let judged = routed.and_then(|(route, path)| {
            let is_as_sent = path.as_str().as_ptr() == head.target.as_ptr();
            let respelled = (!is_as_sent).then(|| joined(path.as_str(), query));
            let target = respelled.as_deref().unwrap_or(head.target);
            exchange.on_route(route, || target.into());
            self.judge_head(client, &site, route, (&head, target), &mut exchange)
        });
        Some(Arrived { head: head.bytes.len(), body: head.body, exchange, judged, closes: head.closes })
    }

    fn judge_head(
        self: &Rc<Self>,
        client: &Client,
        site: &Site,
        route: &Route,
        (head, target): (&Head<'_, '_>, &str),
        exchange: &mut Exchange,
    ) -> Result<Passage, Refusal> {
        if route.auth != Auth::None && !self.plane.index.is_loaded() {
            return Err(Refusal::NotReady);
        }
        let weigh = |refusal| failures::weigh(&self.plane.failures, refusal, exchange.address, exchange.at);
        let (presented, carriers) = match route.auth {
            Auth::None => (Presented::None, [None; 2]),
            Auth::Required | Auth::Optional => credential::borrow(&head.fields, route).map_err(weigh)?,
        };
        let judged = verdict::judge(&presented, route, exchange.address, exchange.at, &self.plane.index);
        let permit = judged.map_err(weigh)?;
        self.note_use(&permit, exchange, (route, &head.fields));
        self.limit(&permit, exchange)?;
        if route.body_limit.is_some_and(|limit| head.body > limit) {
            return Err(Refusal::BodyTooLarge);
        }
        let endpoint = site.upstream_at(route.upstream).endpoints.first().ok_or(Refusal::UpstreamUnavailable)?;
        let mut request = Composed::begin(self.buffers.text(), &head.method, target, &endpoint.host);
        let settings = self.plane.index.settings();
        request.pass(head, |name, value| match route.auth {
            Auth::None => credential::is_stray(name, value, site.credentials(), &settings.prefixes),
            Auth::Required | Auth::Optional => !route.forward_credential && is_one_of(name, carriers),
        });
        request.tell(head, client, exchange, self);
        request.identify(&permit);
        request.end(&head.method, head.body);
        Ok(Passage { permit, upstream: route.upstream, waits: route.waits, request, has_body: head.body > 0 })
    }
}

fn joined(path: &str, query: Option<&str>) -> String {
    match query {
        Some(query) => format!("{path}?{query}"),
        None => path.to_owned(),
    }
}
