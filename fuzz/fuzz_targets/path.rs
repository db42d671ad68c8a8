//! `cargo +nightly fuzz run path`: see `oracles::path`.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| relevo_fuzz::oracles::path(bytes));
