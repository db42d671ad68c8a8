//! What is held against arbitrary bytes.

pub mod oracles;
