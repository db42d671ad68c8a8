//! Behaviour, over real sockets, and the order of the house.

mod drain;
mod fire;
mod floors;
mod http2;
mod identity;
mod paths;
mod readme;
mod reload;
mod renewal;
mod seeds;
mod support;
mod time;
mod tls;
mod upstream;
