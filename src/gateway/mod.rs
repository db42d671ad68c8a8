//! The gateway: the pure parts of the data plane.

pub mod credential;
pub mod headers;
pub mod path;
pub mod refusal;
pub mod reply;
pub mod route;
