//! Behaviour, over real sockets, and the order of the house.

mod floors;
mod http2;
mod identity;
mod paths;
mod renewal;
mod support;
mod tls;
