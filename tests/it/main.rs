//! Behaviour, over real sockets, and the order of the house.

mod floors;
mod identity;
mod paths;
mod readme;
mod renewal;
mod support;
