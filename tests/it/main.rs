//! Behaviour, over real sockets, and the order of the house.

mod floors;
mod support;
