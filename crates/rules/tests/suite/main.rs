//! The rules from outside, one file per question. One binary, so that it links once.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    reason = "a test may stop at the first surprise"
)]

mod common;
mod corpus;
mod cost;
mod denials;
mod files;
mod fleet;
mod learning;
mod looking;
mod oracles;
mod pages;
mod properties;
mod ssrf;
mod verdicts;
