//! Where the fields of a head are: offsets into its bytes, so that the bytes are copied once.

use std::mem::MaybeUninit;

use crate::fields::{Field, Name, Names};

/// Fields for which the tokenizer's slots are on the stack, uninitialised: 16 KiB, most of which
/// is never touched. The default limit, so that only a higher one ever allocates.
const SLOTS_ON_STACK: usize = 500;

/// Room for the tokenizer's fields.
pub(crate) type Slots<'b, 's> = &'s mut [MaybeUninit<httparse::Header<'b>>];

/// What the tokenizer found in some bytes.
pub(crate) struct Tokens<'b, 's, T> {
    /// How long the head is.
    pub(crate) len: usize,
    /// What the start line says.
    pub(crate) start: T,
    pub(crate) fields: &'s [httparse::Header<'b>],
}

/// The fields of a head. u32, because up to 500 of them are kept from message to message.
#[derive(Debug)]
pub(crate) struct Index {
    spans: Vec<Span>,
    /// The set of known names that occur, one bit each.
    present: u32,
}

#[derive(Debug, Clone, Copy)]
struct Span {
    name: (u32, u32),
    value: (u32, u32),
    id: Name,
}

impl Span {
    #[inline]
    fn field<'a>(&self, head: &'a [u8]) -> Field<'a> {
        Field { id: self.id, name: slice(head, self.name), value: slice(head, self.value) }
    }

    /// Whether its line is written as we would write it: one space before the value, none behind.
    #[inline]
    fn is_canonical(&self, head: &[u8]) -> bool {
        let (colon, end) = (self.name.1 as usize, self.value.1 as usize);
        self.value.0 == self.name.1.wrapping_add(2)
            && head.get(colon.wrapping_add(1)) == Some(&b' ')
            && head.get(end) == Some(&b'\r')
    }
}

impl Index {
    pub(crate) const fn new() -> Self {
        Self { spans: Vec::new(), present: 0 }
    }

    pub(crate) fn clear(&mut self) {
        self.spans.clear();
        self.present = 0;
    }

    /// Bytes of memory held.
    pub(crate) fn capacity(&self) -> usize {
        self.spans.capacity().saturating_mul(size_of::<Span>())
    }

    #[inline]
    pub(crate) fn has(&self, id: Name) -> bool {
        self.present & id.bit() != 0
    }

    #[inline]
    pub(crate) fn fields<'a>(&'a self, head: &'a [u8]) -> impl Iterator<Item = Field<'a>> + Clone {
        self.spans.iter().map(move |span| span.field(head))
    }

    /// How many fields there are.
    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.spans.len()
    }

    /// Appends the field lines of `head` to `out`; for those named in `differing`, or by
    /// `also_differs`, what `instead` writes. Lines that stand next to each other and go on as they
    /// are, as most do, are copied as one piece.
    #[inline]
    pub(crate) fn write(
        &self,
        head: &[u8],
        out: &mut Vec<u8>,
        differing: Names,
        also_differs: impl Fn(&[u8]) -> bool,
        mut instead: impl FnMut(&Field<'_>, &mut Vec<u8>),
    ) {
        let mut run = (0, 0);
        for span in &self.spans {
            let differs = differing.contains(span.id) || also_differs(slice(head, span.name));
            if !differs && span.is_canonical(head) {
                if run.1 != span.name.0 {
                    out.extend_from_slice(slice(head, run));
                    run.0 = span.name.0;
                }
                run.1 = span.value.1.saturating_add(2);
                continue;
            }
            out.extend_from_slice(slice(head, run));
            run = (0, 0);
            let field = span.field(head);
            if differs {
                instead(&field, out);
            } else {
                for part in [field.name, b": ", field.value, b"\r\n"] {
                    out.extend_from_slice(part);
                }
            }
        }
        out.extend_from_slice(slice(head, run));
    }

    /// The fields with this name.
    #[inline]
    pub(crate) fn named<'a>(&'a self, head: &'a [u8], id: Name) -> impl Iterator<Item = Field<'a>> + Clone {
        let spans = if self.has(id) { self.spans.as_slice() } else { &[] };
        spans.iter().filter(move |span| span.id == id).map(move |span| span.field(head))
    }

    /// Notes the fields that were found in `bytes`, which start with the head.
    pub(crate) fn keep<T>(&mut self, bytes: &[u8], tokens: &Tokens<'_, '_, T>) {
        self.spans.reserve_exact(tokens.fields.len());
        self.spans.extend(tokens.fields.iter().map(|field| {
            let id = Name::of(field.name.as_bytes());
            self.present |= id.bit();
            Span { name: span(bytes, field.name.as_bytes()), value: span(bytes, field.value), id }
        }));
    }
}

/// Lends `work` room for `fields` fields, or for 500.
#[inline]
pub(crate) fn with_slots<'b, R>(fields: usize, work: impl FnOnce(Slots<'b, '_>) -> R) -> R {
    if fields <= SLOTS_ON_STACK {
        work(&mut [const { MaybeUninit::uninit() }; SLOTS_ON_STACK])
    } else {
        work(Vec::with_capacity(fields).spare_capacity_mut())
    }
}

/// Whether CRLF ends every line of a head that the tokenizer has accepted; it takes a bare LF too.
/// (A CR without LF it refuses.)
pub(crate) fn ends_lines_in_crlf<T>(bytes: &[u8], tokens: &Tokens<'_, '_, T>) -> bool {
    let crlf_before = |at: usize| at.checked_sub(2).and_then(|start| bytes.get(start..at)) == Some(b"\r\n");
    // With CRLF before the last two bytes, these are the empty line: a bare LF would be one byte.
    tokens.len.checked_sub(2).is_some_and(crlf_before)
        && tokens.fields.iter().all(|field| crlf_before(offset(bytes, field.name.as_bytes())))
}

/// Where `part`, a slice of `whole`, stands in it. (A slice of something else gives a span that
/// `slice` reads as empty.)
#[inline]
pub(crate) fn span(whole: &[u8], part: &[u8]) -> (u32, u32) {
    let start = offset(whole, part);
    // A head over 4 GiB is beyond every limit that anyone could set; what is cut reads as something
    // else of the head, or as nothing.
    #[expect(clippy::cast_possible_truncation, reason = "see above")]
    let narrow = |offset: usize| offset as u32;
    (narrow(start), narrow(start.wrapping_add(part.len())))
}

#[inline]
pub(crate) fn slice(bytes: &[u8], (start, end): (u32, u32)) -> &[u8] {
    bytes.get(start as usize..end as usize).unwrap_or_default()
}

#[inline]
fn offset(whole: &[u8], part: &[u8]) -> usize {
    part.as_ptr().addr().wrapping_sub(whole.as_ptr().addr())
}
