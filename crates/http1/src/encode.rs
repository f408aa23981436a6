//! The encoder of what leaves, beside the decoder of what comes: what is announced, what must follow it,
//! and what we write ourselves (heads, chunk sizes, trailers).
//!
//! ```text
//!             ready > 0: its size is staged
//!   Between ────────────────────────────────▶ Inside { waiting, owed, suffix }
//!      ▲                                           │ all of it is written
//!      ├───────────────────────────────────────────┤
//!      │ the body is complete: 0 and trailers      │ it was the last one
//!      └──────────────────▶ Ended ◀────────────────┘
//! ```
//!
//! At most one chunk is announced at a time, so that its size is true: what has been announced is either here or
//! owed by the source, and if the source does not bring it, the message is cut, never wrong.

use crate::body::BodyDecoder;
use crate::chunked;
use crate::fields;
use crate::framing::Framing;

const CRLF: &[u8] = b"\r\n";
const CRLF_AND_LAST_CHUNK: &[u8] = b"\r\n0\r\n\r\n";

/// How a body leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// As it is: its length is known, or the close ends it.
    Identity,
    /// In chunks of our own, one per write.
    Chunked,
}

/// What we write ourselves, in front of the body's bytes: a head, a chunk's size, trailers. At most one of each
/// waits in it at a time.
#[derive(Debug, Default)]
pub struct Stage {
    bytes: Vec<u8>,
    given: usize,
}

impl Stage {
    /// An empty stage, which holds no memory.
    #[must_use]
    pub const fn new() -> Self {
        Self { bytes: Vec::new(), given: 0 }
    }

    /// Where to write. What has been given is forgotten first.
    pub fn open(&mut self) -> &mut Vec<u8> {
        if self.is_empty() {
            self.clear();
        }
        &mut self.bytes
    }

    /// What waits to be given.
    #[must_use]
    pub fn left(&self) -> &[u8] {
        self.bytes.get(self.given..).unwrap_or_default()
    }

    /// Whether nothing waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.given >= self.bytes.len()
    }

    /// Whether it has been given in part: nothing but its rest may follow.
    #[must_use]
    pub fn is_cut(&self) -> bool {
        self.given > 0 && !self.is_empty()
    }

    /// Of `n` bytes that the sink took, those that were staged.
    pub fn wrote(&mut self, n: usize) -> usize {
        let staged = n.min(self.left().len());
        self.given = self.given.saturating_add(staged);
        staged
    }

    /// Forgets what waits.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.given = 0;
    }

    /// Bytes of memory it holds, used or not.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.bytes.capacity()
    }

    /// Gives memory back that is not used.
    pub fn shrink(&mut self) {
        self.open().shrink_to_fit();
    }
}

/// What the encoder looks at: the message as far as it has come.
#[derive(Debug, Clone, Copy)]
pub struct Coming<'b> {
    /// Its decoder.
    pub body: &'b BodyDecoder,
    /// Decoded bytes that wait, those that are announced included.
    pub ready: usize,
    /// Bytes that are certain to follow without framing between them, if they are many enough to be announced before
    /// they have come; else 0.
    pub follows: u64,
    /// Bytes of the body that wait elsewhere, in front of everything here.
    pub elsewhere: usize,
    /// Trailers end here.
    pub drops_trailers: bool,
}

/// Encodes one message.
#[derive(Debug)]
pub enum Encoder {
    /// Nothing is written around the body. All that is ready may go.
    Identity {
        /// Ready bytes that may go.
        waiting: usize,
    },
    /// Chunks of our own (RFC 9112 §7.1).
    Chunked(Chunks),
}

/// Where a chunked message stands.
#[derive(Debug)]
pub enum Chunks {
    /// Nothing is announced.
    Between,
    /// A chunk's size has been staged.
    Inside(Chunk),
    /// The end has been staged, with all that goes before it.
    Ended,
}

/// A chunk that has been announced and not been given whole.
#[derive(Debug)]
pub struct Chunk {
    /// Of its bytes, those that are here.
    waiting: usize,
    /// Those that are to come: a large chunk goes on as large as it came.
    owed: u64,
    /// What must follow them.
    suffix: &'static [u8],
    /// It was announced before it came: its end waits for the next one's size, so that it is no packet of its own.
    late: bool,
    /// No other follows.
    last: bool,
}

impl Chunk {
    fn is_given(&self) -> bool {
        self.waiting == 0 && self.owed == 0 && self.suffix.is_empty()
    }
}

impl Encoder {
    /// For a message that begins. An empty one needs no framing.
    #[must_use]
    pub const fn new(encoding: Encoding, framing: Framing) -> Self {
        match (encoding, framing) {
            (Encoding::Identity, _) | (_, Framing::Empty) => Self::Identity { waiting: 0 },
            (Encoding::Chunked, _) => Self::Chunked(Chunks::Between),
        }
    }

    /// Forgets what was announced: it will be announced again.
    pub const fn restart(&mut self) {
        match self {
            Self::Identity { waiting } => *waiting = 0,
            Self::Chunked(chunks) => *chunks = Chunks::Between,
        }
    }

    /// Ready bytes that may be written now, behind what is staged.
    #[must_use]
    pub const fn waiting(&self) -> usize {
        match self {
            Self::Identity { waiting } | Self::Chunked(Chunks::Inside(Chunk { waiting, .. })) => *waiting,
            Self::Chunked(_) => 0,
        }
    }

    /// What is to be written behind them now.
    #[must_use]
    pub const fn suffix(&self) -> &'static [u8] {
        match self {
            Self::Chunked(Chunks::Inside(Chunk { suffix, late: false, .. })) => suffix,
            _ => b"",
        }
    }

    /// Whether something is announced that can be written now.
    #[must_use]
    pub const fn has_output(&self) -> bool {
        self.waiting() > 0 || !self.suffix().is_empty()
    }

    /// Whether the message's end has been announced; of one without framing it need not be.
    #[must_use]
    pub const fn is_ended(&self) -> bool {
        match self {
            Self::Identity { .. } | Self::Chunked(Chunks::Ended) => true,
            Self::Chunked(Chunks::Inside(chunk)) => chunk.last,
            Self::Chunked(Chunks::Between) => false,
        }
    }

    /// Bytes that may pass to the sink without being looked at, if `left` of the body are to come.
    #[must_use]
    pub const fn unseen(&self, left: u64) -> u64 {
        match self {
            Self::Identity { .. } => left,
            Self::Chunked(Chunks::Inside(chunk)) => chunk.owed,
            Self::Chunked(_) => 0,
        }
    }

    /// `n` bytes of the body pass by on their own.
    pub fn passed(&mut self, n: u64) {
        if let Self::Chunked(Chunks::Inside(chunk)) = self {
            chunk.owed = chunk.owed.saturating_sub(n);
        }
    }

    /// The sink took `n` bytes that were not staged; how many of them were the body's.
    pub fn wrote(&mut self, n: usize) -> usize {
        match self {
            Self::Identity { waiting } => {
                let payload = n.min(*waiting);
                *waiting = waiting.saturating_sub(payload);
                payload
            }
            Self::Chunked(chunks) => chunks.wrote(n),
        }
    }

    /// Announces what has come, as far as it may be announced now.
    pub fn encode(&mut self, coming: &Coming<'_>, stage: &mut Stage) {
        match self {
            Self::Identity { waiting } => *waiting = coming.ready,
            Self::Chunked(chunks) => chunks.encode(coming, stage),
        }
    }

    /// The end of a chunk waits no longer for the next one, which has come, or does not come for now. Whether there was
    /// one that waited. Bytes `elsewhere` go first.
    pub fn insist(&mut self, elsewhere: usize, stage: &mut Stage) -> bool {
        match self {
            Self::Identity { .. } => false,
            Self::Chunked(chunks) => elsewhere == 0 && chunks.insist(stage),
        }
    }
}

impl Chunks {
    fn wrote(&mut self, n: usize) -> usize {
        let Self::Inside(chunk) = self else { return 0 };
        let payload = n.min(chunk.waiting);
        chunk.waiting = chunk.waiting.saturating_sub(payload);
        chunk.suffix = chunk.suffix.get(n.saturating_sub(payload)..).unwrap_or_default();
        self.leave();
        payload
    }

    /// Out of a chunk that has been given whole.
    fn leave(&mut self) {
        if let Self::Inside(chunk) = self
            && chunk.is_given()
        {
            *self = if chunk.last { Self::Ended } else { Self::Between };
        }
    }

    fn encode(&mut self, coming: &Coming<'_>, stage: &mut Stage) {
        let complete = coming.body.is_complete();
        if let Self::Inside(chunk) = self {
            let here = coming.ready.saturating_sub(chunk.waiting);
            let more = here.min(usize::try_from(chunk.owed).unwrap_or(usize::MAX));
            chunk.waiting = chunk.waiting.saturating_add(more);
            chunk.owed = chunk.owed.saturating_sub(more as u64);
            if coming.elsewhere == 0 && (coming.ready > 0 || complete) {
                self.insist(stage);
            }
        }
        if !matches!(self, Self::Between) {
            return;
        }
        if coming.ready > 0 {
            *self = Self::Inside(announce(coming, complete, stage));
        } else if complete && stage.left().len() <= CRLF.len() {
            // Trailers may be as large as half a head: so they wait until none is staged.
            stage_end(coming, stage);
            *self = Self::Ended;
        }
    }

    fn insist(&mut self, stage: &mut Stage) -> bool {
        let Self::Inside(chunk) = self else { return false };
        if !chunk.late || chunk.owed > 0 || chunk.waiting > 0 || !stage.is_empty() {
            return false;
        }
        chunk.late = false;
        stage.open().extend_from_slice(std::mem::take(&mut chunk.suffix));
        self.leave();
        true
    }
}

/// Stages the size of a chunk: of what is ready, and of what is certain to follow. With the last bytes the end goes too,
/// in the same write.
fn announce(coming: &Coming<'_>, complete: bool, stage: &mut Stage) -> Chunk {
    let owed = usize::try_from(coming.follows).unwrap_or(0);
    chunked::write_size(coming.ready.saturating_add(owed), stage.open());
    let last = complete && coming.body.trailers().next().is_none();
    let suffix = if last { CRLF_AND_LAST_CHUNK } else { CRLF };
    Chunk { waiting: coming.ready, owed: coming.follows, suffix, late: coming.follows > 0, last }
}

/// The last chunk with those trailers that may travel (RFC 9110 §6.5.1).
fn stage_end(coming: &Coming<'_>, stage: &mut Stage) {
    let trailers = coming.body.trailers();
    let sizes = trailers.clone().map(|field| field.name.len().saturating_add(field.value.len()).saturating_add(4));
    let out = stage.open();
    out.reserve_exact(sizes.fold(5_usize, usize::saturating_add));
    out.extend_from_slice(b"0\r\n");
    for field in trailers {
        if !coming.drops_trailers && fields::is_forwardable_trailer(field.name) {
            for part in [field.name, b": ", field.value, CRLF] {
                out.extend_from_slice(part);
            }
        }
    }
    out.extend_from_slice(CRLF);
}
