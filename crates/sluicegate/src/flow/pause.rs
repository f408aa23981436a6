//! Why a direction stands still, as a value.

use std::time::Duration;

/// What keeps a source from being read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
#[repr(u8)]
pub enum PauseCause {
    /// The client does not read.
    Client,
    /// The origin does not read.
    Origin,
    /// The order of responses: what was received belongs to a request whose turn has not come.
    Order,
    /// A limit of this proxy on how much may pass.
    Limit,
    /// The memory of this proxy (`Limits::max_memory`).
    Budget,
    /// The sink has granted no more (a window of HTTP/2).
    Window,
}

impl PauseCause {
    /// How many have a total of their own.
    pub(super) const TOTALS: usize = 3;

    /// All of them.
    pub(super) const ALL: [Self; 6] =
        [Self::Client, Self::Origin, Self::Order, Self::Limit, Self::Budget, Self::Window];

    /// Where its total is kept. What a sink does is counted with its direction.
    pub(super) fn total(self) -> Option<usize> {
        match self {
            Self::Order => Some(0),
            Self::Limit => Some(1),
            Self::Budget => Some(2),
            Self::Client | Self::Origin | Self::Window => None,
        }
    }

    /// Whether this proxy itself wants it so: then neither client nor origin is late.
    #[must_use]
    pub fn is_ours(self) -> bool {
        matches!(self, Self::Limit | Self::Budget)
    }
}

/// A source that is not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Pause {
    /// What keeps it from being read.
    pub cause: PauseCause,
    /// For how long now, to 0.1 ms.
    pub since: Duration,
}

/// What a pipe waits for, when its pump has done what it could.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Waits {
    /// Its sink takes none of what waits for it.
    pub(crate) sink: bool,
    /// Its source is left unread.
    pub(crate) source: Option<PauseCause>,
}

impl Waits {
    /// For its source, which is read.
    pub(crate) const NOTHING: Self = Self { sink: false, source: None };

    /// For its sink, to take the last of it.
    pub(crate) const SINK: Self = Self { sink: true, source: None };

    /// To be read again.
    pub(crate) fn paused(cause: PauseCause) -> Self {
        Self { sink: false, source: Some(cause) }
    }
}
