//! Chunk extensions (RFC 9112 §7.1.1), checked byte by byte and kept nowhere.
//!
//! `chunk-ext = *( BWS ";" BWS chunk-ext-name [ BWS "=" BWS chunk-ext-val ] )`

use crate::fields::{is_tchar, is_value_byte};
use crate::malformed::Malformed;

/// Where in the grammar the bytes so far have led.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Extension {
    /// White space that only a `;` may follow.
    BeforeSemicolon,
    /// Behind `;`, and white space.
    BeforeName,
    Name,
    /// White space behind a name: `=` or `;` must follow.
    AfterName,
    /// Behind `=`, and white space.
    BeforeValue,
    Value,
    Quoted,
    /// Behind a backslash in a quoted string.
    Escaped,
    /// Behind the closing quote.
    QuoteEnd,
}

/// The state behind the first byte after the size: `;`, or white space before it.
pub(crate) fn start(byte: u8) -> Extension {
    match byte {
        b';' => Extension::BeforeName,
        _ => Extension::BeforeSemicolon,
    }
}

impl Extension {
    /// Whether the line may end here.
    pub(crate) fn may_end(self) -> bool {
        matches!(self, Self::Name | Self::Value | Self::QuoteEnd)
    }

    /// The state after one more byte.
    pub(crate) fn next(self, byte: u8) -> Result<Self, Malformed> {
        let blank = matches!(byte, b' ' | b'\t');
        match self {
            Self::BeforeSemicolon | Self::AfterName | Self::BeforeName | Self::BeforeValue if blank => Ok(self),
            Self::BeforeName if is_tchar(byte) => Ok(Self::Name),
            Self::Name if is_tchar(byte) => Ok(self),
            Self::Name if blank => Ok(Self::AfterName),
            Self::Name | Self::AfterName if byte == b'=' => Ok(Self::BeforeValue),
            Self::BeforeValue if byte == b'"' => Ok(Self::Quoted),
            Self::BeforeValue | Self::Value if is_tchar(byte) => Ok(Self::Value),
            Self::Value | Self::QuoteEnd if blank => Ok(Self::BeforeSemicolon),
            Self::BeforeSemicolon | Self::Name | Self::AfterName | Self::Value | Self::QuoteEnd if byte == b';' => {
                Ok(Self::BeforeName)
            }
            Self::Quoted if byte == b'"' => Ok(Self::QuoteEnd),
            Self::Quoted if byte == b'\\' => Ok(Self::Escaped),
            Self::Quoted | Self::Escaped if is_value_byte(byte) => Ok(Self::Quoted),
            _ if byte == b'\n' => Err(Malformed::BareLf),
            _ => Err(Malformed::ChunkExtension),
        }
    }
}
