//! `cargo +nightly fuzz run config`: see `oracles::config`.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| relevo_fuzz::oracles::config(bytes));
