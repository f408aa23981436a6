//! What the targets share: the oracles, which stand among the tests of `http1` and `rules`, where they are run over the
//! committed corpora without a fuzzer.

#[path = "../../crates/http1/tests/suite/oracles/mod.rs"]
pub mod oracles;

#[path = "../../crates/rules/tests/suite/oracles/mod.rs"]
pub mod rules;
