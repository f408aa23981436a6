//! A file as it stands: TOML to values with their places. What the values mean is looked at later, when all files are there.

mod read;

use crate::keys::{self, Key, Table};
use crate::source::{Problem, Sources, Span};

/// A string of the file, and where.
pub(crate) type Text = (String, Span);

/// All files of one load, put together as sets.
#[derive(Debug, Default)]
pub(crate) struct Draft {
    /// One of them is not TOML.
    pub(crate) is_broken: bool,
    /// The rule that the top of the files is.
    pub(crate) top: RuleDraft,
    pub(crate) rules: Vec<RuleDraft>,
    pub(crate) users: Vec<UserDraft>,
    /// `users = "@file"`.
    pub(crate) user_files: Vec<Text>,
    pub(crate) clients: Option<Vec<Text>>,
    pub(crate) private: Vec<Text>,
    pub(crate) nat64: Vec<Text>,
    pub(crate) mode: Option<Text>,
    pub(crate) tests: Vec<TestDraft>,
    pub(crate) settings: Vec<Given>,
}

/// A rule, or the top of the files.
#[derive(Debug, Default)]
pub(crate) struct RuleDraft {
    /// Its first line.
    pub(crate) span: Span,
    pub(crate) name: Option<Text>,
    pub(crate) who: Option<(Vec<Text>, Span)>,
    pub(crate) allow: Option<(Vec<Text>, Span)>,
    pub(crate) deny: Option<(Vec<Text>, Span)>,
    pub(crate) methods: Option<(Vec<Text>, Span)>,
    pub(crate) paths: Option<(Vec<Text>, Span)>,
    pub(crate) allow_suffix: Option<(bool, Span)>,
}

#[derive(Debug, Default)]
pub(crate) struct UserDraft {
    pub(crate) name: Text,
    pub(crate) token: Option<Text>,
    pub(crate) password: Option<Text>,
    pub(crate) from: Option<(Vec<Text>, Span)>,
}

#[derive(Debug, Default)]
pub(crate) struct TestDraft {
    pub(crate) user: Option<Text>,
    pub(crate) allow: Vec<Text>,
    pub(crate) deny: Vec<Text>,
}

/// A setting of the program that reads the file: a key with its flag's name, which means nothing here.
#[derive(Debug, Clone)]
pub struct Given {
    pub(crate) name: String,
    pub(crate) value: Value,
    pub(crate) key: Span,
    pub(crate) span: Span,
}

/// The value of a setting.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Value {
    /// A string, as a flag takes it.
    Text(String),
    /// A number.
    Number(i64),
    /// `true` or `false`, for a flag that takes no value.
    Switch(bool),
    /// For a flag that may be repeated.
    List(Vec<String>),
}

impl Given {
    /// The flag's name, without dashes at its front.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it is set to.
    pub fn value(&self) -> &Value {
        &self.value
    }

    /// As flags on a command line: `--name value`, once for each element of a list; a switch that is off is not there.
    pub fn flags(&self) -> Vec<String> {
        let flag = |value: &dyn std::fmt::Display| format!("--{}={value}", self.name);
        match &self.value {
            Value::Text(text) => vec![flag(text)],
            Value::Number(number) => vec![flag(number)],
            Value::Switch(true) => vec![format!("--{}", self.name)],
            Value::Switch(false) => Vec::new(),
            Value::List(list) => list.iter().map(|text| flag(text)).collect(),
        }
    }
}

impl Draft {
    /// Takes one more file in. `settings` are the keys of the program that reads it.
    pub(crate) fn read(&mut self, sources: &mut Sources, name: &str, text: &str, settings: &[&str]) {
        // Editors of other systems put it there.
        let file = sources.add(name, text.strip_prefix('\u{feff}').unwrap_or(text));
        read::Reader { sources, file, settings }.file(self);
    }
}

impl Draft {
    /// Adds `other`, whose settings win.
    pub(crate) fn overrule(&mut self, other: Self) {
        self.is_broken |= other.is_broken;
        self.top.join(other.top);
        self.rules.extend(other.rules);
        self.users.extend(other.users);
        self.user_files.extend(other.user_files);
        if let Some(clients) = other.clients {
            self.clients.get_or_insert_default().extend(clients);
        }
        self.private.extend(other.private);
        self.nat64.extend(other.nat64);
        self.mode = other.mode.or(self.mode.take());
        self.tests.extend(other.tests);
        self.settings.retain(|setting| other.settings.iter().all(|given| given.name != setting.name));
        self.settings.extend(other.settings);
    }
}

impl RuleDraft {
    /// The same for the top of the files, which has lists only.
    fn join(&mut self, other: Self) {
        for (mine, theirs) in [(&mut self.allow, other.allow), (&mut self.deny, other.deny)] {
            match (mine, theirs) {
                (Some((list, _)), Some((more, _))) => list.extend(more),
                (mine @ None, theirs) => *mine = theirs,
                (_, None) => {}
            }
        }
        self.allow_suffix = other.allow_suffix.or(self.allow_suffix);
    }
}

/// That a key is not known: with the nearest one that is.
fn unknown(sources: &Sources, table: Table, name: &str, span: Span, settings: &[&str]) -> Problem {
    let problem = sources.error(span, format!("`{name}` is not a key {}", table.place()));
    let names = || keys::of(table).map(|key| key.name).chain(settings.iter().copied());
    if let Some((_, key)) = OTHERS.iter().find(|(other, _)| *other == name.replace('_', "-")) {
        return problem.meant(key);
    }
    match keys::nearest(name, names()) {
        Some(near) => problem.meant(near),
        None => {
            let list: Vec<_> = keys::of(table).map(|key| key.name).collect();
            problem.help(format!("the keys here are {}", list.join(", ")))
        }
    }
}

/// What other programs call it, or the flag.
const OTHERS: &[(&str, &str)] = &[
    ("allow-client", "clients"),
    ("allow-range", "private"),
    ("allow-destination", "private"),
    ("deny-destination", "deny"),
    ("allowed-domains", "allow"),
    ("allowedDomains", "allow"),
    ("deny-range", "deny"),
    ("denied-domains", "deny"),
    ("block", "deny"),
    ("rules", "rule"),
    ("tests", "test"),
    ("user", "as"),
];

/// That the value of a key is of another kind.
fn wrong_kind(sources: &Sources, key: &Key, is: &str, span: Span) -> Problem {
    sources
        .error(span, format!("`{}` takes {}, and this is {is}", key.name, key.takes.describe()))
        .help(format!("for example: {} = {}", key.name, key.example))
}

impl Table {
    fn place(self) -> &'static str {
        match self {
            Self::Top => "of the file",
            Self::User => "of a user",
            Self::Rule => "of a rule",
            Self::Test => "of a test",
        }
    }
}
