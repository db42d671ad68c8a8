//! Behaviour, over real sockets, and the order of the house.

mod drain;
mod fire;
mod floors;
mod framing;
mod identity;
mod late;
mod paths;
mod problems;
mod readme;
mod reload;
mod renewal;
mod replies;
mod seeds;
mod support;
mod time;
