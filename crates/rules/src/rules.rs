//! What the files say, put together: the sets that decide, and where each entry stands.

mod compile;

use std::net::IpAddr;

use ipnet::{IpNet, Ipv6Net};

use crate::entry::Entry;
use crate::file::Given;
use crate::paths::PathPattern;
use crate::request::{Ask, Who};
use crate::source::{Place, Problem, Sources, Span};
use crate::tables::{Names, Ranges};
use crate::users::User;

/// How a file that another one names is read: given the name of the file that names it, and the path that stands there.
pub(crate) type Include<'l> = Box<dyn FnMut(&str, &str) -> Result<String, String> + 'l>;

/// What becomes of the verdicts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// The rules decide nothing; only the guard holds.
    Open,
    /// All passes, and what would be denied is told.
    Report,
    /// What is denied is refused.
    Enforce,
}

/// Who may go where. Made by a [`crate::Loader`]; never changed.
#[derive(Debug)]
pub struct Rules {
    pub(crate) sources: Sources,
    /// The first is the top of the files.
    pub(crate) rules: Vec<Rule>,
    pub(crate) users: Vec<User>,
    pub(crate) entries: Vec<Listed>,
    pub(crate) names: Names,
    pub(crate) ranges: Ranges,
    /// Exceptions from the guard.
    pub(crate) private: Ranges,
    pub(crate) nat64: Vec<Ipv6Net>,
    pub(crate) clients: Option<Vec<IpNet>>,
    pub(crate) mode: Mode,
    /// An `allow` stands somewhere, so the default is to deny.
    pub(crate) has_allow: bool,
    pub(crate) settings: Vec<Given>,
    pub(crate) tests: Vec<Test>,
}

/// A rule: for whom, and for which requests.
#[derive(Debug)]
pub(crate) struct Rule {
    pub(crate) span: Span,
    pub(crate) name: Option<Box<str>>,
    /// None: everybody.
    pub(crate) who: Option<UserSet>,
    pub(crate) methods: Option<Vec<Box<[u8]>>>,
    pub(crate) paths: Option<Vec<PathPattern>>,
    /// Somebody of `who` can log in.
    pub(crate) has_logins: bool,
    /// Where its `allow` stands.
    pub(crate) allow: Option<Span>,
}

impl Rule {
    /// Whether it is for everybody and every request.
    pub(crate) fn is_for_all(&self) -> bool {
        self.who.is_none() && self.methods.is_none() && self.paths.is_none()
    }
}

/// An entry, whose it is, and where it stands.
#[derive(Debug)]
pub(crate) struct Listed {
    pub(crate) rule: u32,
    pub(crate) list: crate::entry::List,
    pub(crate) entry: Entry,
    pub(crate) span: Span,
}

/// What must be allowed or denied.
#[derive(Debug)]
pub(crate) struct Test {
    pub(crate) who: Who,
    pub(crate) ask: Ask,
    pub(crate) allow: bool,
    pub(crate) span: Span,
}

/// Users as bits.
#[derive(Debug, Default)]
pub(crate) struct UserSet(Vec<u64>);

impl UserSet {
    pub(crate) fn insert(&mut self, user: u32) {
        let word = (user / 64) as usize;
        if self.0.len() <= word {
            self.0.resize(word.saturating_add(1), 0);
        }
        if let Some(bits) = self.0.get_mut(word) {
            *bits |= 1 << (user % 64);
        }
    }

    #[inline]
    pub(crate) fn contains(&self, user: u32) -> bool {
        self.0.get((user / 64) as usize).is_some_and(|bits| (bits >> (user % 64)) & 1 == 1)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = u32> {
        let most = u32::try_from(self.0.len()).unwrap_or(u32::MAX).saturating_mul(64);
        (0..most).filter(|user| self.contains(*user))
    }
}

impl Rules {
    /// What becomes of verdicts.
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// What is doubtful in the files.
    pub fn warnings(&self) -> &[Problem] {
        self.sources.warnings()
    }

    /// Keys that mean nothing here, and are for the program that read the files.
    pub fn settings(&self) -> &[Given] {
        &self.settings
    }

    /// Something wrong with a setting, told as all else is.
    pub fn wrong(&self, setting: &Given, message: impl Into<String>) -> Problem {
        self.sources.error(setting.span, message)
    }

    /// Where a setting stands.
    pub fn place(&self, setting: &Given) -> Place {
        self.sources.place(setting.key)
    }

    /// Who may use the proxy; `None` if the files do not say.
    pub fn clients(&self) -> Option<&[IpNet]> {
        self.clients.as_deref()
    }

    /// All users. Whatever proves that somebody is one of them is compared elsewhere.
    pub fn users(&self) -> impl Iterator<Item = (Who, &User)> {
        (0..).zip(&self.users).map(|(number, user)| (Who(Some(number)), user))
    }

    /// The user of this name.
    pub fn who(&self, name: &str) -> Option<Who> {
        self.users().find(|(_, user)| user.name() == name).map(|(who, _)| who)
    }

    /// The user that is known by its address alone; the longest prefix says which.
    pub fn who_at(&self, address: IpAddr) -> Who {
        let address = address.to_canonical();
        let known = self.users().filter(|(_, user)| user.token.is_none() && user.password.is_none());
        let nets = known.flat_map(|(who, user)| user.from.iter().map(move |net| (net, who)));
        let longest = nets.filter(|(net, _)| net.contains(&address)).max_by_key(|(net, _)| net.prefix_len());
        longest.map_or(Who::NOBODY, |(_, who)| who)
    }

    /// What a user is called; `None` for nobody.
    pub fn name_of(&self, who: Who) -> Option<&str> {
        who.0.and_then(|number| self.users.get(number as usize)).map(User::name)
    }

    pub(crate) fn rule(&self, number: u32) -> Option<&Rule> {
        self.rules.get(number as usize)
    }

    pub(crate) fn listed(&self, number: u32) -> Option<&Listed> {
        self.entries.get(number as usize)
    }

    /// What a rule is called: its name, or `egress.toml:14`. The top of the files has no name.
    pub(crate) fn rule_name(&self, number: u32) -> Option<String> {
        if number == 0 {
            return None;
        }
        let rule = self.rule(number)?;
        Some(rule.name.as_deref().map_or_else(|| self.short_place(rule.span), str::to_owned))
    }

    /// `egress.toml:14`, without the folder.
    pub(crate) fn short_place(&self, span: Span) -> String {
        format!("{}:{}", base_name(self.sources.name(span.file)), self.sources.line(span))
    }
}

pub(crate) fn base_name(path: &str) -> &str {
    path.rsplit(['/', '\\']).next().unwrap_or(path)
}
