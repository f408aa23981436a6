//! What must hold of any input: the same for the tests and the fuzzer.

#![allow(unreachable_pub, reason = "the fuzz targets call these from another crate")]

mod decide;
mod file;

pub use decide::decide;
pub use file::file;
