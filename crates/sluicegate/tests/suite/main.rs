//! The library on loopback sockets, in one binary: linking is what a change waits for.
//! A test that needs a process of its own (descriptors, allocations, cargo) stands beside this folder.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test stops at the first surprise")]
#![allow(clippy::indexing_slicing, clippy::arithmetic_side_effects, reason = "a test stops at the first surprise")]

#[path = "../support/mod.rs"]
mod support;

mod aborting;
mod answers;
mod backpressure;
mod bodies;
mod composing;
mod crowds;
mod dropped;
mod embedding;
mod ends;
mod ends_client;
mod ends_deadlines;
mod ends_origin;
mod ends_stop;
mod ends_tunnel;
mod failures;
mod follows;
mod forwarding;
mod handshakes;
mod interim;
mod kept_and_forbidden;
mod leaving;
mod leftovers;
mod logins;
mod messages;
mod modules;
mod once;
mod origins;
mod panics;
mod patience;
mod places;
mod policies;
mod pools;
mod reference;
mod refusals;
mod requests;
mod reverse;
mod stopping;
mod streams;
mod surface;
mod tiny;
mod trials;
mod tunnels;
mod vanished;
