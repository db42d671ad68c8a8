//! `cargo +nightly fuzz run token`: see `oracles::token`.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| relevo_fuzz::oracles::token(bytes));
