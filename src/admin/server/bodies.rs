//! The two bodies of a call, by which its connection's place knows who waits for whom.
//!
//! Promises: while a handler waits for more of a request, its connection waits for its client; a call is in progress
//! until the whole reply has been handed over.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::Body;
use bytes::Bytes;
use hyper::body::{Body as Frames, Frame, Incoming, SizeHint};

use super::places::{InCall, Place};

/// A request's body.
pub(super) struct Asked {
    pub(super) body: Incoming,
    pub(super) place: Arc<Place>,
}

impl Frames for Asked {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let frame = Pin::new(&mut self.body).poll_frame(cx);
        match frame {
            Poll::Ready(_) => self.place.works(),
            Poll::Pending => self.place.waits(),
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A reply's body.
pub(super) struct Told {
    pub(super) body: Body,
    pub(super) _call: InCall,
}

impl Frames for Told {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
