//! Behaviour, over real sockets, and the order of the house.

mod fire;
mod floors;
mod identity;
mod paths;
mod renewal;
mod support;
