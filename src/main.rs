//! The program: hands the arguments to `cli`.
//!
//! Promises: nothing but the exit code is decided here. Deliberately does not: read arguments itself.

use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    relevo::cli::run()
}
