//! Users as the file has them: a name, what proves it, and where it comes from. Nothing is verified here.

use std::fmt;

use ipnet::IpNet;

use crate::entry::Mistake;
use crate::source::Span;

/// A user of the file.
#[derive(Debug, Clone)]
pub struct User {
    pub(crate) name: Box<str>,
    pub(crate) token: Option<TokenHash>,
    pub(crate) password: Option<PasswordHash>,
    pub(crate) from: Vec<IpNet>,
    pub(crate) span: Span,
}

/// The SHA-256 of a bearer token.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct TokenHash(pub [u8; 32]);

/// The hash of a password, with its parameters and salt.
#[derive(Clone, PartialEq, Eq)]
pub struct PasswordHash {
    scheme: Scheme,
    text: Box<str>,
}

/// How a password was hashed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Scheme {
    /// `$argon2id$`, `$argon2i$`, `$argon2d$` (RFC 9106).
    Argon2,
    /// `$2a$`, `$2b$`, `$2y$`.
    Bcrypt,
}

impl User {
    /// What it is called: printable ASCII without colons, 64 bytes at most.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What its bearer token hashes to.
    pub fn token(&self) -> Option<TokenHash> {
        self.token
    }

    /// What its password hashes to.
    pub fn password(&self) -> Option<&PasswordHash> {
        self.password.as_ref()
    }

    /// Where it comes from: required as well if there is a token or password, enough alone if there is not. Empty: anywhere.
    pub fn from(&self) -> &[IpNet] {
        &self.from
    }
}

impl PasswordHash {
    /// Which function made it.
    pub fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// All of it, as crates that verify it take it. It is a secret: nothing here writes it.
    pub fn expose(&self) -> &str {
        &self.text
    }
}

impl fmt::Debug for TokenHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenHash(…)")
    }
}

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PasswordHash").field("scheme", &self.scheme).finish_non_exhaustive()
    }
}

/// A name of a user: it stands in headers and logs, and before the colon of Basic credentials.
pub(crate) fn user_name(text: &str) -> Result<(), Mistake> {
    let clean = text.bytes().all(|byte| byte.is_ascii_graphic() && !b":\"\\".contains(&byte));
    if clean && (1..=64).contains(&text.len()) {
        return Ok(());
    }
    Err(Mistake::new(
        "a user's name is 1 to 64 characters of printable ASCII, without spaces, colons, quotes and backslashes",
    ))
}

/// A name of a rule: it stands in headers, logs and metrics.
pub(crate) fn rule_name(text: &str) -> Result<(), Mistake> {
    let clean = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    if text.chars().all(clean) && (1..=64).contains(&text.len()) {
        return Ok(());
    }
    let mistake = Mistake::new("a rule's name is 1 to 64 letters, digits, `-`, `_` and `.`");
    let meant: String = text.chars().map(|c| if clean(c) { c } else { '-' }).take(64).collect();
    Err(if meant.is_empty() { mistake } else { mistake.meant(&meant) })
}

pub(crate) fn token(text: &str) -> Result<TokenHash, Mistake> {
    let how = "write its hash, as `printf %s \"$TOKEN\" | sha256sum` prints it, behind sha256:";
    let Some(digits) = text.strip_prefix("sha256:") else {
        // What was meant is not told: it may be the token itself.
        return Err(Mistake::new("a token is written as sha256: and 64 hexadecimal digits, never itself").help(how));
    };
    let mut bytes = [0; 32];
    let pairs = digits.as_bytes().chunks_exact(2).map(|pair| {
        let pair = pair.iter().all(u8::is_ascii_hexdigit).then_some(pair)?;
        u8::from_str_radix(str::from_utf8(pair).ok()?, 16).ok()
    });
    let mut count = 0_usize;
    for (byte, pair) in bytes.iter_mut().zip(pairs) {
        *byte = pair.ok_or_else(|| Mistake::new("a SHA-256 is written in hexadecimal digits").help(how))?;
        count = count.saturating_add(1);
    }
    if count == 32 && digits.len() == 64 {
        return Ok(TokenHash(bytes));
    }
    Err(Mistake::new(format!("a SHA-256 has 64 hexadecimal digits, and this one has {}", digits.len())).help(how))
}

pub(crate) fn password(text: &str) -> Result<PasswordHash, Mistake> {
    let schemes =
        [("$argon2", Scheme::Argon2), ("$2a$", Scheme::Bcrypt), ("$2b$", Scheme::Bcrypt), ("$2y$", Scheme::Bcrypt)];
    let how = "make one with `htpasswd -nB NAME` (bcrypt) or `argon2`";
    let known = schemes.iter().find(|(prefix, _)| text.starts_with(prefix)).map(|(_, scheme)| *scheme);
    let Some(scheme) = known else {
        let weak = text.starts_with("$apr1$") || text.starts_with("$1$") || text.starts_with("{SHA}");
        let why = if weak {
            "this kind of hash is too weak to protect a password"
        } else {
            "a password is written as its hash (argon2 or bcrypt), never itself"
        };
        return Err(Mistake::new(why).help(how));
    };
    let whole = match scheme {
        Scheme::Bcrypt => text.len() == 60,
        Scheme::Argon2 => text.split('$').count() == 6,
    };
    if whole && text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Ok(PasswordHash { scheme, text: text.into() });
    }
    Err(Mistake::new("the hash is not whole").help(how))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_only() {
        let sha = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";
        assert_eq!(token(&format!("sha256:{sha}")).map(|hash| hash.0.map(usize::from)[0]), Ok(0x9f));
        assert_eq!(token(sha).unwrap_err().meant, None);
        for text in
            ["", "secret", "sha256:", "sha256:9f", "sha256:zz", &format!("sha256:{sha}00"), &sha.replace('9', "+")]
        {
            assert!(token(text).is_err(), "{text}");
        }
        let bcrypt = "$2y$10$abcdefghijklmnopqrstuuOX3Wq6rCQ4vYd3v1xJ9s2m5b8c7e6fG";
        assert_eq!(password(bcrypt).unwrap().scheme(), Scheme::Bcrypt);
        assert_eq!(password("$argon2id$v=19$m=19456,t=2,p=1$c2FsdA$aGFzaA").unwrap().scheme(), Scheme::Argon2);
        for text in ["", "secret", "$6$salt$hash", "$apr1$x$y", "{SHA}x", "$2y$10$short", "$argon2id$", "$1$a$b"] {
            assert!(password(text).is_err(), "{text}");
        }
        let debug = format!("{:?} {:?}", password(bcrypt), token(&format!("sha256:{sha}")));
        assert!(!debug.contains("abc") && !debug.contains("9f") && !debug.contains("159"), "{debug}");
    }

    #[test]
    fn names() {
        for (text, good) in [("ci", true), ("a b", false), ("a:b", false), ("", false), ("ä", false)] {
            assert_eq!(user_name(text).is_ok(), good, "{text}");
        }
        assert_eq!(rule_name("github read").unwrap_err().meant.as_deref(), Some("github-read"));
    }
}
