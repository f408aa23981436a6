//! What was decided, and why. It borrows all that it tells, so that an allowed request allocates nothing.

use std::net::IpAddr;

use crate::guard::Class;
use crate::host::Host;
use crate::request::{Request, Who};
use crate::rules::Rules;
use crate::source::{Place, Span};

/// What becomes of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It goes on.
    Allowed,
    /// It goes on, and under `enforce` would not: it is to be logged and counted.
    Reported,
    /// It is refused.
    Denied,
}

/// Why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reason {
    /// The mode is `open`.
    Open,
    /// An entry allows it.
    Allowed,
    /// Nothing speaks against it.
    Passes,
    /// No entry allows it, and an `allow` stands somewhere.
    NotAllowed,
    /// A literal address without an entry that allows it.
    Literal,
    /// Its host is not one that all programs read alike.
    BadHost,
    /// An entry denies it.
    Denied,
    /// It would be allowed with another method.
    Method,
    /// It would be allowed with another path.
    Path,
    /// It is allowed for methods or paths only, which are not seen in a tunnel; or its path can be read in two ways.
    Hidden,
    /// The address, or what it leads to, is guarded.
    Guarded(Class, IpAddr),
}

/// A verdict with its reason.
#[derive(Debug, Clone, Copy)]
pub struct Decision<'a> {
    pub(crate) rules: &'a Rules,
    pub(crate) who: Who,
    pub(crate) request: Request<'a>,
    pub(crate) address: Option<IpAddr>,
    verdict: Verdict,
    reason: Reason,
    entry: Option<u32>,
}

impl Reason {
    /// Whether the request may go on for it.
    pub fn allows(self) -> bool {
        matches!(self, Self::Open | Self::Allowed | Self::Passes)
    }

    /// The word of `X-Proxy-Error`, as codex writes it. None if nothing is wrong.
    pub fn header_word(self) -> Option<&'static str> {
        match self {
            Self::Open | Self::Allowed | Self::Passes => None,
            Self::NotAllowed | Self::Literal => Some("blocked-by-allowlist"),
            Self::Denied => Some("blocked-by-denylist"),
            Self::Method | Self::Path | Self::Hidden => Some("blocked-by-method-policy"),
            Self::Guarded(..) | Self::BadHost => Some("blocked-by-policy"),
        }
    }

    /// The word of logs and metrics.
    pub fn word(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Allowed => "allow",
            Self::Passes => "default",
            Self::NotAllowed => "no-rule",
            Self::Literal => "literal",
            Self::BadHost => "bad-host",
            Self::Denied => "deny",
            Self::Method => "method",
            Self::Path => "path",
            Self::Hidden => "hidden",
            Self::Guarded(..) => "address",
        }
    }
}

impl<'a> Decision<'a> {
    pub(crate) const fn new(
        rules: &'a Rules,
        who: Who,
        request: &Request<'a>,
        address: Option<IpAddr>,
        verdict: Verdict,
        reason: Reason,
        entry: Option<u32>,
    ) -> Self {
        Self { rules, who, request: *request, address, verdict, reason, entry }
    }

    /// What becomes of the request.
    pub fn verdict(&self) -> Verdict {
        self.verdict
    }

    /// Why.
    pub fn reason(&self) -> Reason {
        self.reason
    }

    /// Whether it goes on.
    pub fn passes(&self) -> bool {
        self.verdict != Verdict::Denied
    }

    /// Whether it would go on under `enforce`.
    pub fn holds(&self) -> bool {
        self.verdict == Verdict::Allowed
    }

    /// Who asked, if a name was shown.
    pub fn who(&self) -> Option<&'a str> {
        self.rules.name_of(self.who)
    }

    /// The rule that decided: its name, or where it stands. None if it was the top of the files, or no entry at all.
    pub fn rule(&self) -> Option<String> {
        let listed = self.rules.listed(self.entry?)?;
        self.rules.rule_name(listed.rule)
    }

    /// The entry that decided, as it stands in the file.
    pub fn entry(&self) -> Option<&'a str> {
        let listed = self.rules.listed(self.entry?)?;
        Some(self.rules.sources.text(listed.span).trim_matches(['"', '\'']))
    }

    /// Where to look: at the entry that decided, or where one is missing.
    pub fn place(&self) -> Option<Place> {
        self.span().map(|span| self.rules.sources.place(span))
    }

    /// `egress.toml:14`.
    pub(crate) fn short_place(&self) -> Option<String> {
        self.span().map(|span| self.rules.short_place(span))
    }

    pub(crate) fn span(&self) -> Option<Span> {
        if let Some(listed) = self.entry.and_then(|entry| self.rules.listed(entry)) {
            return Some(listed.span);
        }
        match self.reason {
            Reason::NotAllowed | Reason::Literal => self.where_to_add(),
            _ => None,
        }
    }

    /// The list that an entry would be added to: of a rule for this user alone, before one for all.
    fn where_to_add(&self) -> Option<Span> {
        let own = |rule: &&crate::rules::Rule| match (&rule.who, self.who.0) {
            (Some(set), Some(user)) => set.contains(user),
            _ => false,
        };
        let rules = &self.rules.rules;
        let plain = |rule: &&crate::rules::Rule| rule.methods.is_none() && rule.paths.is_none();
        let mine = rules.iter().filter(own).filter(plain).find_map(|rule| rule.allow);
        mine.or_else(|| rules.iter().filter(|rule| rule.who.is_none()).filter(plain).find_map(|rule| rule.allow))
    }

    /// The host of the request, or the address that was to be dialled where that is what was judged.
    pub(crate) fn subject(&self) -> Host<'a> {
        match (self.reason, self.address) {
            (Reason::Guarded(..) | Reason::Denied, Some(address)) => Host::Address(address),
            _ => self.request.host,
        }
    }
}
