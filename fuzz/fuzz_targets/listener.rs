//! `cargo +nightly fuzz run listener`: see `oracles::listener`.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| relevo_fuzz::oracles::listener(bytes));
