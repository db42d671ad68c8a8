//! Bodies on their way through: a request's to the backend, a reply's to the client.
//!
//! Promises: nothing is collected, so that a slow reader slows the writer; a body that makes no progress, or grows
//! over its limit, ends; a connection is kept only after a body that was read to its end.

use std::cell::Cell;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;

use crate::config::Credentials;

use super::answer::InProgress;
use super::exchange::Exchange;
use super::forward::Lease;
use super::grpc;
use super::headers;
use super::site::Site;
use super::stall::{Patience, Stall};
use super::upstream::Outcome;
use super::vigil::{Side, Vigil};

/// Why a body ended before its end.
#[derive(Debug, thiserror::Error)]
pub(super) enum BodyError {
    /// Over the route's limit.
    #[error("the body is over its limit")]
    TooLarge,
    /// No progress for too long.
    #[error("the body made no progress")]
    Stalled,
    /// The stream was ended: its token is refused now, or its time is over.
    #[error("the stream was ended")]
    Ended,
    /// The sender broke off, or sent what is not HTTP.
    #[error(transparent)]
    Broken(#[from] hyper::Error),
}

/// How far a request's body has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Fate {
    /// Not to its end.
    Unfinished,
    /// To its end.
    Complete,
    /// Broken off: over the route's limit.
    TooLarge,
    /// Broken off: no progress.
    Stalled,
    /// Broken off by the client.
    Broken,
}

/// A request's body on its way to the backend.
pub(super) enum RequestBody {
    /// There is none.
    Empty,
    /// It is passed on as it comes.
    Upload(Box<Upload>),
}

/// A body that a client sends.
pub(super) struct Upload {
    incoming: Incoming,
    left_bytes: Option<u64>,
    stall: Stall,
    progress: Rc<Progress>,
    site: Rc<Site>,
    vigil: Option<Rc<Vigil>>,
}

/// How far a body has come, known on both sides of the connection that carries it.
pub(super) struct Progress {
    pub(super) fate: Cell<Fate>,
    pub(super) bytes: Cell<u64>,
}

impl RequestBody {
    /// The body `incoming`, of at most `limit_bytes`, and what tells how far it has come if there is one.
    pub(super) fn new(
        incoming: Incoming,
        limit_bytes: Option<u64>,
        patience: Patience,
        (site, vigil): (&Rc<Site>, Option<&Rc<Vigil>>),
    ) -> (Self, Option<Rc<Progress>>) {
        if incoming.is_end_stream() {
            return (Self::Empty, None);
        }
        let progress = Rc::new(Progress { fate: Cell::new(Fate::Unfinished), bytes: Cell::new(0) });
        let stall = Stall::new(patience);
        let (site, vigil) = (Rc::clone(site), vigil.cloned());
        let upload = Upload { incoming, left_bytes: limit_bytes, stall, progress: Rc::clone(&progress), site, vigil };
        (Self::Upload(Box::new(upload)), Some(progress))
    }
}

impl Upload {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let frame = match &self.vigil {
            Some(vigil) if vigil.poll(Side::Upload, cx).is_ready() => Some(Err(BodyError::Ended)),
            Some(_) | None => ready!(self.stall.poll_frame(&mut self.incoming, cx)),
        };
        let frame = match frame {
            None => {
                self.progress.fate.set(Fate::Complete);
                return Poll::Ready(None);
            }
            Some(frame) => frame.and_then(|frame| self.admit(frame)),
        };
        if self.incoming.is_end_stream() && frame.is_ok() {
            self.progress.fate.set(Fate::Complete);
        }
        if let Err(error) = &frame {
            self.progress.fate.set(match error {
                BodyError::TooLarge => Fate::TooLarge,
                BodyError::Stalled => Fate::Stalled,
                BodyError::Broken(_) | BodyError::Ended => Fate::Broken,
            });
        }
        Poll::Ready(Some(frame))
    }

    /// Counts the frame against the limit, and takes out of trailers what may not pass.
    fn admit(&mut self, frame: Frame<Bytes>) -> Result<Frame<Bytes>, BodyError> {
        let length = frame.data_ref().map_or(0, |data| data.len() as u64);
        self.progress.bytes.set(self.progress.bytes.get() + length);
        if let Some(left) = &mut self.left_bytes {
            *left = left.checked_sub(length).ok_or(BodyError::TooLarge)?;
        }
        Ok(clean_trailers(frame, self.site.credentials()))
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match &mut *self {
            Self::Empty => Poll::Ready(None),
            Self::Upload(upload) => upload.poll(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Upload(upload) => upload.incoming.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty => SizeHint::with_exact(0),
            Self::Upload(upload) => upload.incoming.size_hint(),
        }
    }
}

/// A reply's body on its way to the client. What it holds is let go of when it is done with, however it ends.
pub(super) struct ReplyBody {
    content: Content,
    /// Of none where the connection becomes a tunnel, which has it.
    exchange: Option<Exchange>,
    _in_progress: Option<InProgress>,
}

enum Content {
    Whole(Option<Bytes>),
    Download(Box<Download>),
}

/// A body that a backend sends.
pub(super) struct Download {
    incoming: Incoming,
    stall: Stall,
    lease: Option<Lease>,
    vigil: Option<Rc<Vigil>>,
    is_over: bool,
}

impl ReplyBody {
    /// A body that is here as a whole.
    pub(super) fn whole(bytes: Bytes, exchange: Exchange) -> Self {
        let content = Content::Whole(Some(bytes).filter(|bytes| !bytes.is_empty()));
        Self { content, exchange: Some(exchange), _in_progress: None }
    }

    /// That of a reply that begins a tunnel: nothing.
    pub(super) fn of_tunnel() -> Self {
        Self { content: Content::Whole(None), exchange: None, _in_progress: None }
    }

    /// The same; `in_progress` is dropped with it.
    pub(super) fn holding(self, in_progress: Option<InProgress>) -> Self {
        Self { _in_progress: in_progress, ..self }
    }

    /// Whether it is the gateway's own answer.
    pub(super) fn is_refusal(&self) -> bool {
        self.exchange.as_ref().is_some_and(Exchange::is_refused)
    }

    /// A body that comes from a backend; `lease` is given back once it has been read to its end.
    pub(super) fn download(
        incoming: Incoming,
        (patience, vigil): (Patience, Option<Rc<Vigil>>),
        lease: Lease,
        exchange: Exchange,
    ) -> Self {
        if incoming.is_end_stream() {
            lease.read_to_the_end();
            return Self::whole(Bytes::new(), exchange);
        }
        let stall = Stall::new(patience);
        let download = Download { incoming, stall, lease: Some(lease), vigil, is_over: false };
        Self { content: Content::Download(Box::new(download)), exchange: Some(exchange), _in_progress: None }
    }
}

impl Download {
    /// What an error says of the backend.
    fn outcome(&self, error: &BodyError) -> Option<Outcome> {
        match error {
            BodyError::Broken(_) => Some(Outcome::Broken),
            BodyError::Stalled if !self.stall.is_of_stream() => Some(Outcome::Late),
            BodyError::Stalled | BodyError::Ended | BodyError::TooLarge => None,
        }
    }

    /// The last that is sent of a stream that was ended: trailers that say so in gRPC. Any other is broken off, so that
    /// nobody takes a part for the whole.
    fn poll_ended(&mut self, exchange: &mut Exchange, cx: &Context<'_>) -> Option<Result<Frame<Bytes>, BodyError>> {
        let Poll::Ready(ended) = self.vigil.as_ref()?.poll(Side::Download, cx) else { return None };
        (self.vigil, self.lease, self.is_over) = (None, None, true);
        let refusal = ended.refusal();
        exchange.stream_ended(&refusal);
        Some(if exchange.is_grpc { Ok(Frame::trailers(grpc::trailers(&refusal))) } else { Err(BodyError::Ended) })
    }

    fn poll(
        &mut self,
        cx: &mut Context<'_>,
        credentials: &Credentials,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        if self.is_over {
            return Poll::Ready(None);
        }
        let frame = ready!(self.stall.poll_frame(&mut self.incoming, cx));
        if let Some(Err(error)) = &frame
            && let Some(outcome) = self.outcome(error)
        {
            self.lease.take().into_iter().for_each(|lease| lease.broke_off(outcome));
        }
        let well = frame.as_ref().is_none_or(Result::is_ok);
        if well && (frame.is_none() || self.incoming.is_end_stream()) {
            self.lease.take().into_iter().for_each(Lease::read_to_the_end);
        }
        Poll::Ready(frame.map(|frame| frame.map(|frame| clean_trailers(frame, credentials))))
    }
}

impl Body for ReplyBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let Self { content, exchange: Some(exchange), .. } = &mut *self else { return Poll::Ready(None) };
        let frame = match content {
            Content::Whole(bytes) => bytes.take().map(|bytes| Ok(Frame::data(bytes))),
            Content::Download(download) => match download.poll_ended(exchange, cx) {
                Some(last) => Some(last),
                None => ready!(download.poll(cx, exchange.credentials())),
            },
        };
        let data = frame.as_ref().and_then(|frame| frame.as_ref().ok()).and_then(Frame::data_ref);
        let length = data.map_or(0, |data| data.len() as u64);
        exchange.sent(length);
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        match &self.content {
            Content::Whole(bytes) => bytes.is_none(),
            Content::Download(download) => download.is_over || download.incoming.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.content {
            Content::Whole(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64)),
            Content::Download(download) => download.incoming.size_hint(),
        }
    }
}

/// Takes out of trailers what may not pass.
fn clean_trailers(frame: Frame<Bytes>, credentials: &Credentials) -> Frame<Bytes> {
    match frame.into_trailers() {
        Ok(trailers) => Frame::trailers(headers::sanitise_trailers(trailers, credentials)),
        Err(frame) => frame,
    }
}
