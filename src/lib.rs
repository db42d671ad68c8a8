//! Relevo: an authenticating reverse-proxy gateway that replaces API tokens without one refused request.
//!
//! The map, floor by floor; a module uses modules on lower floors only (`tests/it/floors.rs` holds it to that):
//!
//! | floor | module | what it is |
//! |---|---|---|
//! | 9 | `main` | hands the arguments to `cli` |
//! | 8 | [`cli`] | arguments; client commands; starts `serve` |
//! | 7 | `serve` | assembly, signals, drain; alone knows every floor |
//! | 6 | `admin`, `gateway`, `webhooks` | two planes, and events on their way out; none knows another |
//! | 5 | `keyring` | the write side: one command, from load to "in force here" |
//! | 4 | `index`, `catalog`, `usage`, `limiter` | digests; keys by id and name; what was used; what was asked for |
//! | 3 | [`store`], `net` | the two kinds of IO: durable truth; sockets |
//! | 2 | [`config`], [`observe`], [`clock`] | what the operator says; what he sees; what time it is |
//! | 1 | [`domain`] | keys, tokens, transitions: no IO, no clock, no async |

pub mod admin;
pub mod catalog;
pub mod cli;
pub mod clock;
pub mod config;
pub mod domain;
pub mod gateway;
pub mod index;
pub mod keyring;
pub mod limiter;
pub mod net;
pub mod observe;
pub mod serve;
pub mod store;
pub mod usage;
pub mod webhooks;
