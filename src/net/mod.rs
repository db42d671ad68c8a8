//! Sockets: who listens, who is at the other end, how one connection lives and ends.
//!
//! Promises: two processes never share a port in silence; accepting survives every error; every connection ends at
//! its deadline or with the drain.
//! Deliberately does not: look into a request.

pub mod connection;
pub mod dial;
pub mod http2;
pub mod listener;
pub mod opening;
pub mod stream;
pub mod tls;
