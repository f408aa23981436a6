//! Every key of the file, once: the parser's messages, docs/config.md and the JSON Schema are made of this table.

/// The table of the file that a key stands in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Table {
    /// The top of the file.
    Top,
    /// `[users]`: one user.
    User,
    /// `[[rule]]`.
    Rule,
    /// `[[test]]`.
    Test,
}

/// What a key takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Takes {
    /// A list of hosts, addresses and `@files`.
    Entries,
    /// A list of strings of another kind.
    Strings,
    /// A string.
    Text,
    /// One of these words.
    OneOf(&'static [&'static str]),
    /// `true` or `false`.
    Switch,
    /// Users by name, or the `@file` that lists them.
    Users,
    /// Any number of tables `[[name]]`.
    Tables,
}

/// A key of the file.
#[derive(Debug, Clone, Copy)]
pub struct Key {
    /// Where it stands.
    pub table: Table,
    /// How it is written.
    pub name: &'static str,
    /// What it takes.
    pub takes: Takes,
    /// A value that is right, as TOML.
    pub example: &'static str,
    /// What it does, as sentences, one a line.
    pub says: &'static str,
}

impl Takes {
    /// As the end of "it takes …".
    pub fn describe(self) -> String {
        match self {
            Self::Entries | Self::Strings => "a list of strings".to_owned(),
            Self::Text => "a string".to_owned(),
            Self::OneOf(words) => {
                let quoted: Vec<_> = words.iter().map(|word| format!("\"{word}\"")).collect();
                format!("one of {}", quoted.join(", "))
            }
            Self::Switch => "true or false".to_owned(),
            Self::Users => "a table of users, or one file as \"@users.htpasswd\"".to_owned(),
            Self::Tables => "tables, each under a line with its name in double brackets".to_owned(),
        }
    }
}

/// The key of this name in this table.
pub fn find(table: Table, name: &str) -> Option<&'static Key> {
    of(table).find(|key| key.name == name)
}

/// The keys of a table, in the order in which they are explained.
pub fn of(table: Table) -> impl Iterator<Item = &'static Key> {
    KEYS.iter().filter(move |key| key.table == table)
}

/// Of `names`, the one that `typed` was probably to be.
pub(crate) fn nearest<'n>(typed: &str, names: impl Iterator<Item = &'n str>) -> Option<&'n str> {
    let typed = fold(typed);
    let near = names.map(|name| (distance(&typed, &fold(name)), name)).min()?;
    // A third of it wrong is another word.
    (near.0 <= typed.len().div_ceil(3)).then_some(near.1)
}

fn fold(name: &str) -> String {
    name.to_ascii_lowercase().replace('_', "-")
}

/// How many letters must be changed, added or left out (Levenshtein's distance). Names are short: what is beyond 64
/// bytes is not compared.
fn distance(a: &str, b: &str) -> usize {
    let (a, b) = (a.bytes().take(64), b.bytes().take(64));
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.enumerate() {
        let mut diagonal = i;
        let mut left = i.saturating_add(1);
        for (to, cell) in b.clone().zip(row.iter_mut().skip(1)) {
            let changed = diagonal.saturating_add(usize::from(from != to));
            diagonal = *cell;
            left = changed.min(left.saturating_add(1)).min(diagonal.saturating_add(1));
            *cell = left;
        }
        if let Some(first) = row.first_mut() {
            *first = i.saturating_add(1);
        }
    }
    row.last().copied().unwrap_or_default()
}

const fn key(table: Table, name: &'static str, takes: Takes, example: &'static str, says: &'static str) -> Key {
    Key { table, name, takes, example, says }
}

/// All of them.
pub const KEYS: &[Key] = &[
    key(
        Table::Top,
        "allow",
        Takes::Entries,
        r#"[".github.com", "pypi.org", "registry.corp:8443", "203.0.113.0/24", "@hosts.txt"]"#,
        "Where every client may go.\n\
         As soon as an `allow` stands anywhere in the files, all that no `allow` names is denied.\n\
         An empty list counts: nothing is allowed by it.",
    ),
    key(
        Table::Top,
        "deny",
        Takes::Entries,
        r#"["@blocked.txt", ".pastebin.com"]"#,
        "Where no client may go, whatever any `allow` says.\n\
         Without a port an entry of `deny` means every port.",
    ),
    key(
        Table::Top,
        "mode",
        Takes::OneOf(&["open", "report", "enforce"]),
        r#""enforce""#,
        "What becomes of the verdicts.\n\
         `open`: the rules decide nothing.\n\
         `report`: what would be denied passes, and is logged and counted.\n\
         `enforce`: what is denied is refused.\n\
         The guard of private addresses holds under `enforce`, and in every mode for clients of a listener that other machines can reach.\n\
         Default: `enforce` if an `allow` or `deny` stands anywhere, else `open`.",
    ),
    key(
        Table::Top,
        "private",
        Takes::Entries,
        r#"["10.4.0.7:5432", "10.20.0.0/16"]"#,
        "Exceptions from the guard: addresses of private networks and of this machine that may be dialled.\n\
         The longest prefix wins, so `0.0.0.0/0` opens nothing; `10.0.0.0/8` opens all of it, and `10.4.0.7` one address.\n\
         A cloud's metadata service is opened by its own address only.\n\
         An exception allows nothing by itself: the name, or the address as a literal, still needs its `allow`.",
    ),
    key(
        Table::Top,
        "nat64",
        Takes::Strings,
        r#"["2001:db8:64::/96"]"#,
        "The NAT64 prefixes of your own network (RFC 6052), so that the guard sees the IPv4 addresses behind them.\n\
         Their lengths are 32, 40, 48, 56, 64 or 96. 64:ff9b::/96 and 64:ff9b:1::/48 are known without this.",
    ),
    key(
        Table::Top,
        "clients",
        Takes::Strings,
        r#"["10.0.0.0/8"]"#,
        "Who may use the proxy, by address; the flag is --allow-client.\n\
         Default: this machine only.",
    ),
    key(
        Table::Top,
        "allow_suffix",
        Takes::Switch,
        "true",
        "Lets `allow` name all below a public suffix, as `*.com` or `*.github.io`, in every rule. Default: false.",
    ),
    key(
        Table::Top,
        "users",
        Takes::Users,
        "{ ci = { token = \"sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08\" } }",
        "Who there is, each with what proves it; or `\"@users.htpasswd\"`, a file with `name:hash` on each line.",
    ),
    key(Table::Top, "rule", Takes::Tables, "[]", "Rules for some users, methods or paths."),
    key(
        Table::Top,
        "test",
        Takes::Tables,
        "[]",
        "What must be allowed and denied; a file whose tests fail is refused.",
    ),
    key(
        Table::User,
        "token",
        Takes::Text,
        "\"sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08\"",
        "The SHA-256 of the user's bearer token, in hexadecimal: `printf %s \"$TOKEN\" | sha256sum`.\n\
         The token itself must be random; write a password as `password`.",
    ),
    key(
        Table::User,
        "password",
        Takes::Text,
        r#""$2y$10$abcdefghijklmnopqrstuuOX3Wq6rCQ4vYd3v1xJ9s2m5b8c7e6fG""#,
        "The hash of the user's password: argon2 (`$argon2id$`) or bcrypt (`$2y$`), as `htpasswd -nB NAME` makes it.",
    ),
    key(
        Table::User,
        "from",
        Takes::Strings,
        r#"["10.9.0.0/16"]"#,
        "The addresses that the user comes from.\n\
         With a token or password both are required; alone it suffices, and the longest prefix says who it is.",
    ),
    key(
        Table::Rule,
        "name",
        Takes::Text,
        r#""registries""#,
        "What the rule is called in denials, log and metrics: letters, digits, `-`, `_` and `.`, 64 at most.\n\
         Default: the place of the rule, as `egress.toml:14`.",
    ),
    key(
        Table::Rule,
        "who",
        Takes::Strings,
        r#"["ci"]"#,
        "The users that the rule is for. Default: everybody, including those without a name.",
    ),
    key(Table::Rule, "allow", Takes::Entries, r#"["pypi.org", ".crates.io"]"#, "Where they may go."),
    key(
        Table::Rule,
        "deny",
        Takes::Entries,
        r#"["*.internal.example"]"#,
        "Where they may not go, whatever any `allow` says.",
    ),
    key(
        Table::Rule,
        "methods",
        Takes::Strings,
        r#"["GET", "HEAD"]"#,
        "The methods that the rule is for. Default: all.\n\
         A proxy sees the methods of http:// requests; inside a tunnel it sees none, and its own method is CONNECT.\n\
         So `allow` with `methods` allows no tunnel unless CONNECT is among them, and `deny` with `methods` denies each.",
    ),
    key(
        Table::Rule,
        "paths",
        Takes::Strings,
        r#"["/repos/corp/*"]"#,
        "The paths that the rule is for, without their query. `*` may stand at the end. Default: all.\n\
         They are seen in http:// only, as methods are.\n\
         A path that servers read in different ways (`..`, `%2f`, `//`, `\\`) is never allowed by it, and always denied.",
    ),
    key(
        Table::Rule,
        "allow_suffix",
        Takes::Switch,
        "true",
        "Lets `allow` of this rule name all below a public suffix. Default: false.",
    ),
    key(Table::Test, "as", Takes::Text, r#""agent""#, "The user who asks. Default: somebody without a name."),
    key(
        Table::Test,
        "allow",
        Takes::Strings,
        r#"["http://api.github.com/repos/corp/x", "POST http://hooks.example/in", "db.corp:5432"]"#,
        "What must be allowed: URLs, perhaps with a method before them; `https://` and `host:port` mean a tunnel.\n\
         A test asks what `enforce` would say, also in the other modes. Names are not resolved.",
    ),
    key(
        Table::Test,
        "deny",
        Takes::Strings,
        r#"["https://evil.example", "http://169.254.169.254/"]"#,
        "What must be denied, written in the same way.",
    ),
];
