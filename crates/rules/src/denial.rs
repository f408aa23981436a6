//! A denial as its reader gets it: in the status line, because that is what clients show of a CONNECT, and as a body.

use std::fmt::Write as _;

use serde::Serialize;

use crate::decision::{Decision, Reason};
use crate::entry::Entry;
use crate::host::Host;

/// The longest reason phrase, in bytes.
pub const LONGEST_PHRASE: usize = 120;

/// All that is told of a denial. Every part is printable ASCII and holds nothing of the request but its host, folded, its port
/// and its method if it is one of letters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Denial {
    /// The reason phrase of the 403, 120 bytes at most: `sluicegate: no rule for agent allows evil.example:443 (egress.toml:14)`.
    pub phrase: String,
    /// The value of `X-Proxy-Error`.
    pub word: &'static str,
    /// The whole sentence.
    pub sentence: String,
    /// A line of the file that would let it pass, if one would.
    pub missing: Option<Missing>,
    /// A body for people.
    pub text: String,
    /// A body for programs.
    pub json: String,
}

/// What the file lacks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Missing {
    /// The key: `allow`, `private`, `methods`, `paths`.
    pub key: &'static str,
    /// The entry to add to its list.
    pub entry: String,
    /// Where that list stands, as `egress.toml:14`.
    #[serde(rename = "in", skip_serializing_if = "Option::is_none")]
    pub place: Option<String>,
}

#[derive(Serialize)]
struct Json<'a> {
    error: &'static str,
    reason: &'static str,
    message: &'a str,
    host: String,
    port: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    address: Option<String>,
    who: Option<&'a str>,
    rule: Option<String>,
    rule_missing: Option<&'a Missing>,
    file: Option<String>,
    next_steps: Vec<String>,
}

impl Decision<'_> {
    /// What to tell of it; none if the rules allow it.
    pub fn denial(&self) -> Option<Denial> {
        let word = self.reason().header_word()?;
        let missing = self.missing();
        let sentence = self.sentence(&self.target(usize::MAX));
        let steps = next_steps(missing.as_ref());
        let json = Json {
            error: "policy_denied",
            reason: word,
            message: &sentence,
            host: clean(&self.request.host.to_string()),
            port: self.request.port,
            address: self.address.map(|address| address.to_string()),
            who: self.who(),
            rule: self.rule(),
            rule_missing: missing.as_ref(),
            file: self.short_place().map(|place| clean(&place)),
            next_steps: steps.clone(),
        };
        // A struct of strings and numbers always is JSON.
        let json = serde_json::to_string(&json).unwrap_or_default();
        let mut text = sentence.clone();
        if let Some(place) = self.short_place() {
            let _ = write!(text, " ({})", clean(&place));
        }
        text.push_str(".\n");
        for step in &steps {
            let _ = writeln!(text, "{step}");
        }
        Some(Denial { phrase: self.phrase(), word, sentence, missing, text, json })
    }

    /// Short enough: of a long host its end is kept, which says whose it is, then the place is left out.
    fn phrase(&self) -> String {
        let place = self.short_place().map(|place| format!(" ({})", clean(&place))).unwrap_or_default();
        for (host, place) in [(usize::MAX, &*place), (48, &*place), (48, ""), (24, "")] {
            let phrase = format!("sluicegate: {}{place}", self.sentence(&self.target(host)));
            if phrase.len() <= LONGEST_PHRASE {
                return phrase;
            }
        }
        let mut phrase = format!("sluicegate: {}", self.sentence(&self.target(24)));
        phrase.truncate(LONGEST_PHRASE);
        phrase
    }

    /// Without a full stop. `target` is where the request was to go.
    fn sentence(&self, target: &str) -> String {
        let rule = self.rule();
        let by = |verb: &str| {
            rule.as_ref().map_or_else(|| format!("the rules {verb}"), |rule| format!("{} {verb}s", clean(rule)))
        };
        let denies = || by("deny").replace("denys", "denies");
        match self.reason() {
            Reason::Open | Reason::Allowed | Reason::Passes => format!("{target} is allowed"),
            Reason::NotAllowed => match self.who() {
                Some(who) => format!("no rule for {who} allows {target}"),
                None => format!("no rule allows {target}"),
            },
            Reason::Literal => match self.who() {
                Some(who) => format!("no rule for {who} allows the address {target}"),
                None => format!("no rule allows the address {target}"),
            },
            Reason::BadHost => format!("{target} is not a host that all programs read alike"),
            Reason::Denied => format!("{} {target}", denies()),
            Reason::Method => format!("{} {target}, but not the method {}", by("allow"), self.method()),
            Reason::Path => format!("{} {target}, but not this path", by("allow")),
            Reason::Hidden if self.request.path.is_none() => format!("{} {target} outside tunnels only", by("allow")),
            Reason::Hidden => format!("{} {target}, but this path can be read in two ways", by("allow")),
            Reason::Guarded(class, meaning) if Some(meaning) == self.address => format!("{target} is {class}"),
            Reason::Guarded(class, meaning) => format!("{target} leads to {meaning}, {class}"),
        }
    }

    /// Host and port; of a host longer than `longest` only its end.
    fn target(&self, longest: usize) -> String {
        let host = clean(&self.subject().to_string());
        let cut = host.len().checked_sub(longest).and_then(|from| host.get(from..));
        match cut {
            Some(end) => format!("...{end}:{}", self.request.port),
            None => format!("{host}:{}", self.request.port),
        }
    }

    /// The method, if it is one of letters and short.
    fn method(&self) -> String {
        let method = self.request.method;
        let plain = method.len() <= 16 && method.iter().all(u8::is_ascii_uppercase);
        if plain { String::from_utf8_lossy(method).into_owned() } else { "that was used".to_owned() }
    }

    fn missing(&self) -> Option<Missing> {
        let place = self.short_place().map(|place| clean(&place));
        let port = self.request.port;
        match self.reason() {
            Reason::NotAllowed | Reason::Literal => {
                Some(Missing { key: "allow", entry: clean(&Entry::for_host(&self.request.host, port)), place })
            }
            Reason::Guarded(..) => {
                let address = self.address?;
                Some(Missing { key: "private", entry: Entry::for_host(&Host::Address(address), port), place: None })
            }
            Reason::Method => Some(Missing { key: "methods", entry: self.method(), place }),
            Reason::Hidden if self.request.path.is_none() => {
                Some(Missing { key: "allow", entry: clean(&Entry::for_host(&self.request.host, port)), place: None })
            }
            _ => None,
        }
    }
}

fn next_steps(missing: Option<&Missing>) -> Vec<String> {
    let mut steps = Vec::new();
    if let Some(missing) = missing {
        let place = missing.place.as_ref().map(|place| format!(" at {place}")).unwrap_or_default();
        steps.push(format!(
            "To permit it, whoever runs this proxy adds \"{}\" to `{}`{place}.",
            missing.entry, missing.key
        ));
    }
    steps.push("`sluicegate explain` shows what would be decided, and why.".to_owned());
    steps
}

/// Printable ASCII: whatever else stands in names of files and the like becomes `?`.
fn clean(text: &str) -> String {
    text.chars().map(|c| if c.is_ascii_graphic() || c == ' ' { c } else { '?' }).collect()
}
