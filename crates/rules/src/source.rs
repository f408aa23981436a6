//! Texts and places in them, and how a mistake is told: where, what, and how the line should read.

use std::error::Error;
use std::fmt::{self, Write as _};
use std::ops::Range;

/// More problems than this of one severity are only counted: a wrong file has thousands of them.
const MOST_TOLD: usize = 50;

/// How much of a long line is shown, in characters.
const SHOWN: usize = 120;

/// A text that was read, under the name that its user knows it by.
#[derive(Debug)]
struct Source {
    name: Box<str>,
    text: Box<str>,
    /// Where each line begins, in bytes.
    lines: Vec<u32>,
    /// It is a file of users: no line is shown but for its name.
    is_secret: bool,
}

/// A part of a source, in bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Span {
    pub(crate) file: u32,
    pub(crate) start: u32,
    pub(crate) end: u32,
}

/// Where something stands: line and column count from 1, the column in characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The name of the file, as it was given.
    pub file: String,
    /// The line.
    pub line: usize,
    /// The column.
    pub column: usize,
}

/// Whether a file with this problem can be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// It cannot.
    Error,
    /// It can, and most likely does not do what was meant.
    Warning,
}

/// Something wrong in a file: where, what, the line itself, and how it should read.
///
/// `Display` is one line; [`Problem::long`] shows the line with the part that is meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Whether the file can be used all the same.
    pub severity: Severity,
    /// Where it is.
    pub place: Place,
    /// What is wrong, as a sentence without a full stop.
    pub message: String,
    /// What to do, as a sentence without a full stop.
    pub help: Option<String>,
    /// The line with the part that was probably meant in place of the wrong one.
    pub should_read: Option<String>,
    line: String,
    mark: Range<usize>,
    /// For their order.
    span: Span,
}

/// Why a file cannot be used: one error at least, and at most 50 of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problems {
    list: Vec<Problem>,
    /// Those beyond the 50.
    more: usize,
}

/// The texts of one load, and what was found wrong in them.
#[derive(Debug, Default)]
pub(crate) struct Sources {
    list: Vec<Source>,
    errors: Vec<Problem>,
    warnings: Vec<Problem>,
    more: usize,
}

impl Problems {
    /// The problems, errors first, each kind in the order of the files.
    pub fn iter(&self) -> impl Iterator<Item = &Problem> {
        self.list.iter()
    }

    /// Each with its line, an empty line between them.
    pub fn long(&self) -> String {
        let mut text = self.list.iter().map(Problem::long).collect::<Vec<_>>().join("\n");
        if self.more > 0 {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "\nand {} more", self.more);
        }
        text
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, problem) in self.list.iter().enumerate() {
            if i > 0 {
                f.write_str("\n")?;
            }
            problem.fmt(f)?;
        }
        if self.more > 0 {
            write!(f, "\nand {} more", self.more)?;
        }
        Ok(())
    }
}

impl Error for Problems {}

impl Problem {
    /// What to do about it.
    pub(crate) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// The marked part should be this text.
    pub(crate) fn meant(mut self, text: &str) -> Self {
        let before = self.line.get(..self.mark.start).unwrap_or_default();
        let after = self.line.get(self.mark.end..).unwrap_or_default();
        self.should_read = Some(format!("{before}{text}{after}").trim().to_owned());
        self
    }

    /// Over several lines, as a compiler tells it: the line, the part of it, and how it should read.
    ///
    /// ```text
    /// error: ** means different things to different programs
    ///   --> egress.toml:1:10
    ///    |
    ///  1 | allow = ["**.example.com"]
    ///    |          ^^^^^^^^^^^^^^^^
    ///    = write: allow = ["*.example.com"]
    /// ```
    pub fn long(&self) -> String {
        let kind = match self.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        let number = self.place.line.to_string();
        let gutter = " ".repeat(number.len());
        let (line, before, length) = self.window();
        let mut text = format!(
            "{kind}: {}\n {gutter}--> {}\n {gutter} |\n {number} | {line}\n {gutter} | {}{}\n",
            self.message,
            self.place,
            " ".repeat(before),
            "^".repeat(length.max(1)),
        );
        if let Some(line) = &self.should_read {
            let _ = writeln!(text, " {gutter} = write: {}", cut(line));
        }
        if let Some(help) = &self.help {
            let _ = writeln!(text, " {gutter} = {help}");
        }
        text
    }

    /// The line that it is in, as it stands.
    pub fn line(&self) -> &str {
        &self.line
    }

    /// The line, or the part of a long one around the mark: its text, where the mark is in it and how long, in characters.
    fn window(&self) -> (String, usize, usize) {
        let clean: Vec<char> = self.line.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        let count = |end: usize| self.line.get(..end).unwrap_or_default().chars().count();
        let (start, end) = (count(self.mark.start), count(self.mark.end));
        let first = if clean.len() > SHOWN { start.saturating_sub(SHOWN / 3) } else { 0 };
        let line: String = clean.iter().skip(first).take(SHOWN).collect();
        let length = end.saturating_sub(start).min(SHOWN.saturating_sub(start.saturating_sub(first)));
        (line, start.saturating_sub(first), length)
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file, self.line, self.column)
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.place)?;
        if self.severity == Severity::Warning {
            f.write_str("warning: ")?;
        }
        f.write_str(&self.message)?;
        if let Some(line) = &self.should_read {
            write!(f, "; write: {}", cut(line))?;
        }
        match &self.help {
            Some(help) => write!(f, "; {help}"),
            None => Ok(()),
        }
    }
}

impl Sources {
    /// Takes a text in. What does not fit into 4 GiB is refused by the caller's memory first, and cut here.
    pub(crate) fn add(&mut self, name: &str, text: &str) -> u32 {
        let ends = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
        let starts = ends.map(|(i, _)| to_u32(i).saturating_add(1));
        let lines = std::iter::once(0).chain(starts).collect();
        self.list.push(Source { name: name.into(), text: text.into(), lines, is_secret: false });
        to_u32(self.list.len().saturating_sub(1))
    }

    /// Its lines are `NAME:HASH`, and somebody may have written a password there.
    pub(crate) fn hide(&mut self, span: Span) {
        if let Some(source) = self.list.get_mut(span.file as usize) {
            source.is_secret = true;
        }
    }

    pub(crate) fn name(&self, file: u32) -> &str {
        self.source(file).map_or("", |source| &source.name)
    }

    pub(crate) fn text(&self, span: Span) -> &str {
        let Some(source) = self.source(span.file) else { return "" };
        let end = floor(&source.text, span.end as usize);
        source.text.get(span.start as usize..end).unwrap_or_default()
    }

    /// The line that `span` begins in, from 1.
    pub(crate) fn line(&self, span: Span) -> usize {
        self.source(span.file).map_or(0, |source| source.lines.partition_point(|start| *start <= span.start))
    }

    pub(crate) fn place(&self, span: Span) -> Place {
        let (line, start) = (self.line(span), self.line_start(span));
        let before = Span { start, end: span.start, ..span };
        let column = self.text(before).chars().count().saturating_add(1);
        Place { file: self.name(span.file).to_owned(), line, column }
    }

    /// A mistake there, that is told to nobody yet.
    pub(crate) fn error(&self, span: Span, message: impl Into<String>) -> Problem {
        self.problem(Severity::Error, span, message.into())
    }

    /// Something doubtful there, that is told to nobody yet.
    pub(crate) fn warning(&self, span: Span, message: impl Into<String>) -> Problem {
        self.problem(Severity::Warning, span, message.into())
    }

    /// Keeps a problem for the verdict; beyond the first 50 of its severity it is only counted.
    pub(crate) fn tell(&mut self, problem: Problem) {
        let list = match problem.severity {
            Severity::Error => &mut self.errors,
            Severity::Warning => &mut self.warnings,
        };
        if list.len() < MOST_TOLD {
            list.push(problem);
        } else {
            self.more = self.more.saturating_add(1);
        }
    }

    /// What is wrong so far, if anything is.
    pub(crate) fn verdict(&mut self) -> Result<(), Problems> {
        if self.errors.is_empty() {
            return Ok(());
        }
        let mut list = std::mem::take(&mut self.errors);
        list.append(&mut self.warnings);
        list.sort_by_key(|problem| (problem.severity, problem.span));
        Err(Problems { list, more: self.more })
    }

    pub(crate) fn warnings(&self) -> &[Problem] {
        &self.warnings
    }

    fn problem(&self, severity: Severity, span: Span, message: String) -> Problem {
        let start = self.line_start(span);
        let rest = self.source(span.file).and_then(|source| source.text.get(start as usize..)).unwrap_or_default();
        let line = rest.lines().next().unwrap_or_default();
        let is_secret = self.source(span.file).is_some_and(|source| source.is_secret);
        let line = if is_secret { stars(line, line.find(':').unwrap_or(0), line.len()) } else { without_secrets(line) };
        let from = floor(&line, span.start.saturating_sub(start) as usize);
        let to = floor(&line, span.end.saturating_sub(start) as usize).max(from);
        Problem {
            severity,
            place: self.place(span),
            message,
            help: None,
            should_read: None,
            line,
            mark: from..to,
            span,
        }
    }

    fn line_start(&self, span: Span) -> u32 {
        let line = self.line(span).saturating_sub(1);
        self.source(span.file).and_then(|source| source.lines.get(line)).copied().unwrap_or(0)
    }

    fn source(&self, file: u32) -> Option<&Source> {
        self.list.get(file as usize)
    }
}

/// A line of a file in which what stands behind `token` and `password` is not readable: it should be a hash, and may be the
/// secret itself. It stays as long as it was, so that marks are where they were.
fn without_secrets(line: &str) -> String {
    let mut shown = line.to_owned();
    for key in ["token", "passw", "secret", "hash"] {
        for (at, _) in line.to_ascii_lowercase().match_indices(key) {
            let Some(equals) = line.get(at..).and_then(|rest| rest.find('=')).and_then(|n| n.checked_add(at)) else {
                continue;
            };
            let value = line.get(equals..).unwrap_or_default();
            let Some(open) = value.find(['"', '\'']) else { continue };
            let quote = value.get(open..).and_then(|rest| rest.chars().next()).unwrap_or('"');
            let from = equals.saturating_add(open).saturating_add(1);
            let end = line.get(from..).and_then(|rest| rest.find(quote)).map_or(line.len(), |n| n.saturating_add(from));
            shown = stars(&shown, from, end);
        }
    }
    shown
}

/// The bytes from `from` to `end` as stars.
fn stars(line: &str, from: usize, end: usize) -> String {
    let (before, after) = (line.get(..from).unwrap_or_default(), line.get(end..).unwrap_or_default());
    format!("{before}{}{after}", "*".repeat(end.saturating_sub(from)))
}

/// The nearest place in `text` that is not inside a character, at `at` or before it.
fn floor(text: &str, at: usize) -> usize {
    (0..=at.min(text.len())).rev().take(4).find(|at| text.is_char_boundary(*at)).unwrap_or(0)
}

fn to_u32(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

/// As much of a line as is shown.
fn cut(line: &str) -> String {
    let clean = line.chars().map(|c| if c.is_control() { ' ' } else { c });
    let mut shown: String = clean.take(SHOWN).collect();
    if line.chars().nth(SHOWN).is_some() {
        shown.push('…');
    }
    shown
}
