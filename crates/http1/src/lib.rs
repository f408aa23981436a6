//! HTTP/1 as pure functions on bytes.
