//! What people write that is not an entry, and what they probably meant.

use crate::host::{self, BadHost};

/// Why a text is not what it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mistake {
    pub(crate) why: String,
    /// What was probably meant, in place of the whole text.
    pub(crate) meant: Option<String>,
    pub(crate) help: Option<String>,
}

impl Mistake {
    pub(crate) fn new(why: impl Into<String>) -> Self {
        Self { why: why.into(), meant: None, help: None }
    }

    pub(crate) fn meant(mut self, text: &str) -> Self {
        self.meant = Some(text.to_owned());
        self
    }

    pub(crate) fn help(mut self, text: impl Into<String>) -> Self {
        self.help = Some(text.into());
        self
    }
}

impl From<BadHost> for Mistake {
    fn from(why: BadHost) -> Self {
        Self::new(why.to_string())
    }
}

/// What can be told from the text alone, before it is read.
pub(super) fn look(text: &str) -> Result<(), Mistake> {
    if text.is_empty() {
        return Err(Mistake::new("the entry is empty"));
    }
    // Most entries are plain names.
    if text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte)) {
        return Ok(());
    }
    if text.contains(|c: char| c.is_whitespace() || c == ',' || c == ';') {
        return Err(several(text));
    }
    if let Some((scheme, rest)) = text.split_once("://") {
        return Err(url(scheme, rest));
    }
    if text.starts_with('@') {
        return Err(Mistake::new("a file of entries cannot name another file"));
    }
    if let Some((_, rest)) = text.split_once('@') {
        return Err(Mistake::new("an entry has no user or password").meant(rest));
    }
    if let Some((host, path)) = text.split_once('/')
        && !path.bytes().all(|byte| byte.is_ascii_digit() || b"]:*".contains(&byte))
    {
        return Err(Mistake::new("an entry has no path")
            .meant(host)
            .help(format!("for the path, write paths = [\"/{path}\"] in a rule of its own")));
    }
    if let Some(rest) = text.strip_prefix("**.") {
        return Err(Mistake::new("`**.` means different things to different programs")
            .meant(&format!("*.{rest}"))
            .help(format!("\"*.{rest}\" is all below it; \".{rest}\" is that and itself")));
    }
    star(text)
}

/// A `*` that is not the first label, nor the port.
fn star(text: &str) -> Result<(), Mistake> {
    let name = text.strip_suffix(":*").unwrap_or(text);
    let rest = name.strip_prefix("*.").unwrap_or(name);
    if !rest.contains('*') || name == "*" || name.strip_prefix("*:").is_some_and(|port| !port.contains('*')) {
        return Ok(());
    }
    // All that is before the last star, and its label, is given up.
    let after = rest.rsplit_once('*').map_or("", |(_, after)| after);
    let parent = after.split_once('.').map_or("", |(_, parent)| parent);
    let port = if name.len() < text.len() { ":*" } else { "" };
    let mistake = Mistake::new("`*` stands only for whole labels at the front, as in \"*.example.com\"");
    let own = after.trim_start_matches(['-', '.']);
    Err(match parent {
        // `*x.org`: a glob that was to catch x.org too.
        parent if is_public(parent) && own.contains('.') => mistake.meant(&format!(".{own}{port}")),
        "" => mistake,
        parent => mistake.meant(&format!("*.{parent}{port}")),
    })
}

fn several(text: &str) -> Mistake {
    let parts: Vec<_> =
        text.split(|c: char| c.is_whitespace() || c == ',' || c == ';').filter(|part| !part.is_empty()).collect();
    match parts.as_slice() {
        [one] => Mistake::new("an entry has no spaces").meant(one),
        [] => Mistake::new("the entry is empty"),
        // In a file each stands on a line, in a list in quotes of its own: there is no one text for both.
        _ => Mistake::new("there is more than one entry in it").help("write each by itself"),
    }
}

/// What of a URL an entry can say.
fn url(scheme: &str, rest: &str) -> Mistake {
    let authority = rest.split(['/', '?', '#', '\\']).next().unwrap_or_default();
    let host = authority.rsplit('@').next().unwrap_or_default();
    let known = ["http", "https", "ws", "wss"].iter().any(|known| scheme.eq_ignore_ascii_case(known));
    let has_port = host.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok() || port == "*");
    let meant = match host {
        "" => return Mistake::new("an entry is a host, not a URL"),
        host if known || has_port => host.to_owned(),
        host => format!("{host}:*"),
    };
    let path = rest.get(authority.len()..).unwrap_or_default();
    let mistake = Mistake::new("an entry is a host, not a URL").meant(&meant);
    if path.len() > 1 { mistake.help("a path is written as `paths` in a rule") } else { mistake }
}

/// What is wrong with a host, and what it may have been.
pub(super) fn host(name: &str, why: BadHost) -> Mistake {
    let mistake = Mistake::from(why);
    match (why, number(name)) {
        (BadHost::UnusualAddress, Some(address)) => mistake.help(format!("{address} is how some programs read it")),
        (BadHost::Label, _) => {
            let labels: Vec<_> = name.split('.').filter(|label| !label.is_empty()).collect();
            let joined = labels.join(".");
            if host::fold(&joined).is_ok() { mistake.meant(&joined) } else { mistake }
        }
        _ => mistake,
    }
}

/// What is wrong with an IPv6 address: often that it has a port and no brackets.
pub(super) fn ipv6(text: &str) -> Mistake {
    let bare = text.rsplit_once(':').filter(|(front, _)| {
        let address = front.split('/').next().unwrap_or_default();
        address.parse::<std::net::Ipv6Addr>().is_ok()
    });
    match bare {
        Some((front, port)) if !text.starts_with('[') => {
            Mistake::new("an IPv6 address with a port stands in brackets").meant(&format!("[{front}]:{port}"))
        }
        _ => BadHost::BadIpv6.into(),
    }
}

/// An IPv4 address as `inet_aton` reads it: one to four numbers, decimal, octal or hexadecimal.
fn number(name: &str) -> Option<std::net::Ipv4Addr> {
    let parts: Vec<&str> = name.split('.').collect();
    let numbers: Option<Vec<u32>> = parts
        .iter()
        .map(|part| match part.as_bytes() {
            [b'0', b'x' | b'X', ..] => u32::from_str_radix(part.get(2..)?, 16).ok(),
            [b'0', _, ..] => u32::from_str_radix(part, 8).ok(),
            _ => part.parse().ok(),
        })
        .collect();
    let numbers = numbers?;
    let (last, front) = numbers.split_last()?;
    if front.len() > 3 || front.iter().any(|part| *part > 255) {
        return None;
    }
    let room = 32_usize.checked_sub(front.len().checked_mul(8)?)?;
    if u64::from(*last) >> room != 0 {
        return None;
    }
    let shifted = front.iter().zip([24, 16, 8]).fold(0_u32, |sum, (part, shift)| sum | (part << shift));
    Some(std::net::Ipv4Addr::from_bits(shifted | last))
}

/// A suffix under which everybody can have a name is not a place to allow.
pub(super) fn suffix(name: &str) -> Result<(), Mistake> {
    if !name.is_empty() && !is_public(name) {
        return Ok(());
    }
    let (what, example) = match name {
        "" => ("`*` is every name there is".to_owned(), "example.com".to_owned()),
        name => (format!("anybody can have a name below {name}, which is a public suffix"), format!("example.{name}")),
    };
    Err(Mistake::new(what).meant(&format!(".{example}")).help("or write allow_suffix = true to insist"))
}

/// Whether the list of public suffixes has this very name. Names that it does not know, as `internal`, are somebody's own.
fn is_public(name: &str) -> bool {
    psl::suffix(name.as_bytes()).is_some_and(|suffix| suffix.is_known() && suffix.as_bytes() == name.as_bytes())
}
