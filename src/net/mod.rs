//! Sockets: who listens, who is at the other end, how one connection lives and ends.
//!
//! Promises: two processes never share a port in silence; accepting survives every error; every connection ends at
//! its deadline or with the drain.
//! Deliberately does not: look into a request beyond where it ends.

pub mod connection;
pub mod deadline;
pub mod dial;
pub mod guard;
pub mod http2;
pub mod interim;
pub mod listener;
pub mod opening;
pub mod proxy;
pub mod pulse;
pub mod shortage;
pub mod stream;
pub mod tls;
