//! What the heads of requests and responses have in common.

/// A version that is spoken here (RFC 9112 §2.3).
#[derive(Clone, Copy, PartialEq, Eq, Debug, PartialOrd, Ord)]
pub enum Version {
    /// HTTP/1.0
    Http10,
    /// HTTP/1.1
    Http11,
}

impl Version {
    /// `1.0` or `1.1`, as in `Via`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Http10 => "1.0",
            Self::Http11 => "1.1",
        }
    }
}

/// What a head may measure.
#[derive(Clone, Copy, Debug)]
pub struct HeadLimits {
    /// Bytes from the first one, empty lines before the start line included, to the end of the
    /// empty line that ends the head. At most 4 GiB.
    pub bytes: usize,
    /// Field lines, and also names in `Connection`.
    pub fields: usize,
}

impl Default for HeadLimits {
    /// 16 KiB and 500 fields.
    fn default() -> Self {
        Self { bytes: 16_384, fields: 500 }
    }
}

/// What became of the input of `receive`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Received {
    /// All of the input was taken, more is needed.
    Partial,
    /// The head ended after this many bytes of the input; the rest belongs to what follows.
    Complete(usize),
}
