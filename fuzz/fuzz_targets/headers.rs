//! `cargo +nightly fuzz run headers`: see `oracles::headers`.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| relevo_fuzz::oracles::headers(bytes));
