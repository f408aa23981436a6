//! Who somebody is, by what they show in `Proxy-Authorization` (RFC 9110 §11.7, RFC 7617, RFC 6750). A token costs one hash. A
//! password costs what its hash was made to cost, so it is verified on another thread, few at a time, and remembered.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use argon2::{Argon2, PasswordVerifier};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use sha2::{Digest, Sha256};
use sluicegate::Request;
use sluicegate_rules::{PasswordHash, Rules, Scheme, User, Who};
use subtle::ConstantTimeEq;
use tokio::sync::Semaphore;

/// Passwords that are verified at once, each on a thread of its own: argon2 may take 64 MiB and 50 ms for one.
const AT_ONCE: usize = 2;

/// What is remembered of passwords, right and wrong ones; when there are more, all is forgotten.
const REMEMBERED: usize = 4096;

/// Longer ones are not looked at: a token is 100 bytes, and bcrypt reads 72.
const LONGEST: usize = 4096;

/// Finds out who somebody is.
pub(crate) struct Logins {
    /// Of this process alone, so that what is remembered is worth nothing elsewhere.
    key: [u8; 32],
    permits: Arc<Semaphore>,
    remembered: Mutex<Remembered>,
}

/// Which users' passwords were right, by the keyed hash of what was shown. Of one set of rules only.
#[derive(Default)]
struct Remembered {
    rules: Option<Arc<Rules>>,
    known: HashMap<[u8; 32], bool>,
}

/// What was shown.
enum Shown {
    Basic { name: String, secret: Vec<u8> },
    Bearer(Vec<u8>),
}

impl Logins {
    /// # Errors
    /// The kernel gives no random bytes.
    pub(crate) fn new() -> std::io::Result<Self> {
        let mut key = [0; 32];
        let given = rustix::rand::getrandom(&mut key, rustix::rand::GetRandomFlags::empty())?;
        if given < key.len() {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        Ok(Self { key, permits: Arc::new(Semaphore::new(AT_ONCE)), remembered: Mutex::default() })
    }

    /// Who has logged in, from this address; none who shows nothing, or nothing that is right.
    pub(crate) async fn login(&self, rules: &Arc<Rules>, request: &Request<'_>, from: IpAddr) -> Option<Who> {
        let from = from.to_canonical();
        let may = |user: &User| user.from().is_empty() || user.from().iter().any(|net| net.contains(&from));
        match shown(request)? {
            Shown::Bearer(token) => {
                let digest = sha256(&[&token]);
                rules
                    .users()
                    .filter(|(_, user)| may(user))
                    .find(|(_, user)| is_token(user, &digest))
                    .map(|(who, _)| who)
            }
            Shown::Basic { name, secret } => {
                let (who, user) = rules.users().find(|(_, user)| user.name() == name && may(user))?;
                if is_token(user, &sha256(&[&secret])) {
                    return Some(who);
                }
                let hash = user.password()?.clone();
                self.is_password(rules, &name, secret, hash).await.then_some(who)
            }
        }
    }

    /// Whether it is the user's password.
    async fn is_password(&self, rules: &Arc<Rules>, name: &str, secret: Vec<u8>, hash: PasswordHash) -> bool {
        let digest = sha256(&[&self.key, name.as_bytes(), b":", &secret]);
        if let Some(known) = self.known(rules, &digest) {
            return known;
        }
        // Both end only with the process.
        let Ok(permit) = Arc::clone(&self.permits).acquire_owned().await else { return false };
        // Meanwhile somebody may have asked the same.
        if let Some(known) = self.known(rules, &digest) {
            return known;
        }
        let verified = tokio::task::spawn_blocking(move || {
            // Held for as long as it takes, also when nobody waits for it any more.
            let _permit = permit;
            verify(&secret, &hash)
        });
        // What cannot be verified (no memory for it, no thread) is denied, and may be tried again.
        let Ok(Some(is_right)) = verified.await else { return false };
        let remembered = &mut *self.remembered.lock().unwrap_or_else(PoisonError::into_inner);
        if remembered.is_of(rules) {
            if remembered.known.len() >= REMEMBERED {
                remembered.known.clear();
            }
            remembered.known.insert(digest, is_right);
        }
        is_right
    }

    /// What was found out before, under the same rules.
    fn known(&self, rules: &Arc<Rules>, digest: &[u8; 32]) -> Option<bool> {
        let remembered = &mut *self.remembered.lock().unwrap_or_else(PoisonError::into_inner);
        if !remembered.is_of(rules) {
            *remembered = Remembered { rules: Some(Arc::clone(rules)), known: HashMap::new() };
        }
        remembered.known.get(digest).copied()
    }
}

impl Remembered {
    fn is_of(&self, rules: &Arc<Rules>) -> bool {
        self.rules.as_ref().is_some_and(|mine| Arc::ptr_eq(mine, rules))
    }
}

/// Whether anybody can log in.
pub(crate) fn has_logins(rules: &Rules) -> bool {
    rules.users().any(|(_, user)| user.token().is_some() || user.password().is_some())
}

/// The `Proxy-Authenticate` fields of a 407: how somebody could log in.
pub(crate) fn challenges(rules: &Rules) -> impl Iterator<Item = &'static str> {
    let has_token = rules.users().any(|(_, user)| user.token().is_some());
    // A token is taken as Basic's password too.
    let basic = has_logins(rules).then_some("Basic realm=\"sluicegate\", charset=\"UTF-8\"");
    basic.into_iter().chain(has_token.then_some("Bearer realm=\"sluicegate\""))
}

/// What one `Proxy-Authorization` shows; two are none, because programs differ in which they read.
fn shown(request: &Request<'_>) -> Option<Shown> {
    let mut fields = request.fields().filter(|field| field.name.eq_ignore_ascii_case(b"proxy-authorization"));
    let (Some(field), None) = (fields.next(), fields.next()) else { return None };
    let at = field.value.iter().position(|byte| *byte == b' ')?;
    let (scheme, rest) = field.value.split_at_checked(at)?;
    let value = rest.trim_ascii();
    if value.len() > LONGEST {
        return None;
    }
    if scheme.eq_ignore_ascii_case(b"bearer") {
        return Some(Shown::Bearer(value.to_vec()));
    }
    if !scheme.eq_ignore_ascii_case(b"basic") {
        return None;
    }
    let decoded = STANDARD.decode(value).or_else(|_| STANDARD_NO_PAD.decode(value)).ok()?;
    let colon = decoded.iter().position(|byte| *byte == b':')?;
    let (name, secret) = decoded.split_at_checked(colon)?;
    Some(Shown::Basic { name: str::from_utf8(name).ok()?.to_owned(), secret: secret.get(1..)?.to_vec() })
}

fn is_token(user: &User, digest: &[u8; 32]) -> bool {
    user.token().is_some_and(|token| token.0.ct_eq(digest).into())
}

fn sha256(parts: &[&[u8]]) -> [u8; 32] {
    let mut hash = Sha256::new();
    parts.iter().for_each(|part| hash.update(part));
    hash.finalize().into()
}

/// Whether it is the password; None if that cannot be told. Both crates compare in constant time.
fn verify(secret: &[u8], hash: &PasswordHash) -> Option<bool> {
    match hash.scheme() {
        Scheme::Argon2 => {
            let hash = argon2::PasswordHash::new(hash.expose()).ok()?;
            match Argon2::default().verify_password(secret, &hash) {
                Ok(()) => Some(true),
                Err(argon2::password_hash::Error::Password) => Some(false),
                Err(_) => None,
            }
        }
        Scheme::Bcrypt => bcrypt::verify(secret, hash.expose()).ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_of_both_kinds() {
        let rules = Rules::read("t", "[users]\na = { password = \"$2y$04$abcdefghijklmnopqrstuuX\" }");
        assert!(rules.is_err());
        for (made, secret) in [(bcrypt::hash("open", 4).unwrap(), "open"), (argon2_of("open"), "open")] {
            let text = format!("[users]\na = {{ password = \"{made}\" }}");
            let rules = Rules::read("t", &text).unwrap();
            let hash = rules.users().next().unwrap().1.password().unwrap().clone();
            let verified = [secret.as_bytes(), b"closed", b""].map(|secret| verify(secret, &hash));
            assert_eq!(verified, [Some(true), Some(false), Some(false)], "{made}");
        }
    }

    /// It is neither right nor wrong, and nothing to remember.
    #[test]
    fn what_cannot_be_verified_is_not_told() {
        let text = format!("[users]\na = {{ password = \"{}\" }}", argon2_of("open").replace("v=19", "v=18"));
        let rules = Rules::read("t", &text).unwrap();
        let hash = rules.users().next().unwrap().1.password().unwrap().clone();
        assert_eq!(verify(b"open", &hash), None);
    }

    fn argon2_of(secret: &str) -> String {
        use argon2::PasswordHasher;
        let salt = argon2::password_hash::SaltString::encode_b64(b"sixteen bytes...").unwrap();
        let small = argon2::Params::new(64, 1, 1, None).unwrap();
        let argon2 = Argon2::new(argon2::Algorithm::Argon2id, argon2::Version::V0x13, small);
        argon2.hash_password(secret.as_bytes(), &salt).unwrap().to_string()
    }
}
