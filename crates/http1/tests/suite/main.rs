//! Vectors and properties of the whole crate. Every case is run whole, cut at each place, byte by
//! byte and with other bytes behind it: the outcome must be the same.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    reason = "a test may stop at the first surprise"
)]

mod bodies;
mod chunks;
mod common;
mod connections;
mod corpus;
mod encoding;
mod framings;
mod limits;
mod logins;
mod oracles;
mod paths;
mod properties;
mod requests;
mod responses;
mod rules;
mod targets;
