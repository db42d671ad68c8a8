//! Behaviour, over real sockets, and the order of the house.

mod crowd;
mod demo;
mod doors;
mod drain;
mod events;
mod fire;
mod floors;
mod framing;
mod http2;
mod identity;
mod kill;
mod late;
mod mistakes;
mod paths;
mod problems;
mod readme;
mod reload;
mod renewal;
mod replies;
mod seeds;
mod settlement;
mod support;
mod time;
mod tls;
mod upstream;
mod watching;
