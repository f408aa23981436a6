//! An HTTP forward proxy as a library.
