//! How requests come and answers go, one module for each version of HTTP.

pub(crate) mod h1;
