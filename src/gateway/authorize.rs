//! A listener that another proxy asks whether a request may pass, and who is behind it.
//!
//! Promises: the same routes, credentials, verdict and limits as for a request that comes to be forwarded; nothing is
//! forwarded, and no body is read.
//! Deliberately does not: know which proxy asks. What they all can send is one contract (`docs/authorization.md`).

use std::rc::Rc;

use bytes::Bytes;
use http::header::HOST;
use http::{HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri, request};

use super::body::ReplyBody;
use super::exchange::{Exchange, target_in};
use super::headers::{self, Lines};
use super::limit;
use super::refusal::Refusal;
use super::verdict::Permit;
use super::worker::Worker;
use super::{RELEVO_TOKEN, REQUEST_ID, old_token, refuse};

static METHOD: [HeaderName; 2] =
    [HeaderName::from_static("x-forwarded-method"), HeaderName::from_static("x-original-method")];
static TARGET: [HeaderName; 2] =
    [HeaderName::from_static("x-forwarded-uri"), HeaderName::from_static("x-original-uri")];
static WHERE: [HeaderName; 1] = [HeaderName::from_static("x-forwarded-host")];

impl Worker {
    /// The answer to a proxy that asks about a request.
    pub(super) fn authorize<B>(self: &Rc<Self>, request: Request<B>, mut exchange: Exchange) -> Response<ReplyBody> {
        let asked = request.method().clone();
        let (mut head, _unread) = request.into_parts();
        match self.authorized(&mut head, &mut exchange) {
            Ok(permit) => let_through(&permit, exchange),
            Err(refusal) => refuse(refusal, &asked, exchange),
        }
    }

    fn authorized(self: &Rc<Self>, head: &mut request::Parts, exchange: &mut Exchange) -> Result<Permit, Refusal> {
        restore(head)?;
        let site = Rc::clone(&exchange.site);
        let (route, target) = site.route(head)?;
        exchange.on_route(route, || target_in(&target));
        let permit = self.judge(exchange, route, head)?;
        self.note_use(&permit, exchange, (route, &head.headers));
        self.limit(&permit, exchange)?;
        Ok(permit)
    }
}

/// Makes `head` that of the request which is asked about, as far as the asking proxy tells it apart from its own.
fn restore(head: &mut request::Parts) -> Result<(), Refusal> {
    const MALFORMED: Refusal = Refusal::BadRequest("What is told of the original request is malformed");
    if let Some(method) = told(&head.headers, &METHOD)? {
        head.method = Method::from_bytes(method.as_bytes()).map_err(|_| MALFORMED)?;
    }
    if let Some(target) = told(&head.headers, &TARGET)? {
        let target = target.to_str().ok().filter(|target| target.starts_with('/')).ok_or(MALFORMED)?;
        head.uri = target.parse::<Uri>().map_err(|_| MALFORMED)?;
    } else if let Some(own) = head.uri.path_and_query().cloned() {
        head.uri = Uri::from(own);
    }
    if let Some(host) = told(&head.headers, &WHERE)? {
        head.headers.insert(HOST, host);
    }
    Ok(())
}

/// What stands under the one of `names` that is there. Two that differ could be read in two ways.
fn told(headers: &http::HeaderMap, names: &'static [HeaderName]) -> Result<Option<HeaderValue>, Refusal> {
    let mut values = names.iter().flat_map(|name| headers.named(name));
    let Some(first) = values.next() else { return Ok(None) };
    if values.any(|other| other != first) {
        return Err(Refusal::BadRequest("The original request is told in two ways"));
    }
    Ok(HeaderValue::from_bytes(first).ok())
}

/// 200, with who is behind the request.
fn let_through(permit: &Permit, mut exchange: Exchange) -> Response<ReplyBody> {
    exchange.status = StatusCode::OK;
    let mut response = Response::new(());
    let headers = response.headers_mut();
    if let Some(holder) = permit.holder() {
        headers::identify(headers, holder.pass().identity(), holder.slot());
        headers.extend(old_token(holder).map(|value| (RELEVO_TOKEN, value)));
    }
    if let Some(admitted) = &exchange.admitted {
        limit::tell(headers, &admitted.standing);
    }
    headers.insert(REQUEST_ID, exchange.request_id.value());
    response.map(|()| ReplyBody::whole(Bytes::new(), exchange))
}
