//! Behaviour, over real sockets, and the order of the house.

mod floors;
mod framing;
mod identity;
mod late;
mod paths;
mod renewal;
mod support;
