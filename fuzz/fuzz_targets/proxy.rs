//! `cargo +nightly fuzz run proxy`: see `oracles::proxy`.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| relevo_fuzz::oracles::proxy(bytes));
