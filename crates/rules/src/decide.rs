//! The one decision: on the name before it is looked up, and on each address before it is dialled.
//!
//! | | name | address |
//! |---|---|---|
//! | which entries | all that mean it | of the longest prefix |
//! | `deny` and `allow` both | denied | denied at the same length |
//! | neither | denied if an `allow` stands anywhere | passes; a literal was judged as a name is, and needs its `allow` |
//! | besides | | guarded addresses need an entry of `private` at least as long as the guard's prefix |

use std::net::IpAddr;

use crate::carried::{Carried, Carries};
use crate::decision::{Decision, Reason, Verdict};
use crate::entry::{List, full};
use crate::guard::{self, Class, Guarded};
use crate::host::{BadHost, Host};
use crate::paths::{self, Fits};
use crate::request::{Request, Who};
use crate::rules::{Mode, Rule, Rules};
use crate::tables::Item;

/// What the rules cannot know about an address that is to be dialled.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Surroundings {
    /// The client came by a listener that other machines can reach, so the guard holds in every mode.
    pub exposed: bool,
    /// It is an address of this machine, or of a listener; also if nobody can tell.
    pub own: bool,
}

/// What the entries say, and which of them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Found {
    pub(crate) reason: Reason,
    pub(crate) entry: Option<u32>,
}

/// Whether a rule is for a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Meets {
    Yes,
    /// It is for others.
    Who,
    Method,
    Path,
    /// It cannot be seen: inside a tunnel, or a path that can be read in two ways.
    Hidden,
}

/// What has been found so far.
#[derive(Debug, Clone, Copy, Default)]
struct Tally {
    denied: Option<u32>,
    allowed: Option<u32>,
    /// An `allow` that would have allowed another method or path.
    almost: Option<(u32, Meets)>,
}

/// For whom it is asked.
#[derive(Debug, Clone, Copy)]
enum Whom {
    One(Who),
    /// Whoever may log in: an `allow` for anybody counts, a `deny` only if it is for everybody.
    Best,
}

impl Rules {
    /// Whether `who` may ask for this, before the name is looked up. What is denied must cause no DNS query.
    ///
    /// A literal address is judged on the entries that are addresses, and under `enforce` needs one that allows it; then
    /// [`Rules::decide_address`] still has its say. Nothing is allocated.
    #[inline]
    pub fn decide<'a>(&'a self, who: Who, request: &Request<'a>) -> Decision<'a> {
        self.decide_under(self.mode, who, request)
    }

    #[inline]
    pub(crate) fn decide_under<'a>(&'a self, mode: Mode, who: Who, request: &Request<'a>) -> Decision<'a> {
        if mode == Mode::Open {
            return Decision::new(self, who, request, None, Verdict::Allowed, Reason::Open, None);
        }
        let found = self.judge(who, request);
        Decision::new(self, who, request, None, verdict(mode, found.reason), found.reason, found.entry)
    }

    /// Whether this address may be dialled for a request that was allowed. To be asked of each address, at the dial, also of
    /// one that stood in the request itself. Nothing is allocated.
    pub fn decide_address<'a>(
        &'a self,
        who: Who,
        request: &Request<'a>,
        address: IpAddr,
        around: Surroundings,
    ) -> Decision<'a> {
        self.decide_address_under(self.mode, who, request, address, around)
    }

    pub(crate) fn decide_address_under<'a>(
        &'a self,
        mode: Mode,
        who: Who,
        request: &Request<'a>,
        address: IpAddr,
        around: Surroundings,
    ) -> Decision<'a> {
        let address = address.to_canonical();
        let decision =
            |verdict, reason, entry| Decision::new(self, who, request, Some(address), verdict, reason, entry);
        if let Some((class, meaning)) = self.guards(address, request.port, around.own) {
            let reason = Reason::Guarded(class, meaning);
            match mode {
                Mode::Open if !around.exposed => {}
                Mode::Report if !around.exposed => return decision(Verdict::Reported, reason, None),
                _ => return decision(Verdict::Denied, reason, None),
            }
        }
        if mode == Mode::Open {
            return decision(Verdict::Allowed, Reason::Open, None);
        }
        let tally = self.weigh_address(Whom::One(who), request, address);
        match tally.denied {
            Some(entry) => decision(verdict(mode, Reason::Denied), Reason::Denied, Some(entry)),
            None => decision(Verdict::Allowed, Reason::Passes, tally.allowed),
        }
    }

    /// Whether somebody who logs in could be allowed what nobody is: only then is it worth asking for a login.
    pub fn login_helps(&self, request: &Request<'_>) -> bool {
        if self.mode == Mode::Open || self.users.is_empty() || self.judge(Who::NOBODY, request).reason.allows() {
            return false;
        }
        self.weigh_host(Whom::Best, request).is_ok_and(|tally| tally.denied.is_none() && tally.allowed.is_some())
    }

    /// What the entries say, whatever the mode is.
    pub(crate) fn judge(&self, who: Who, request: &Request<'_>) -> Found {
        let Ok(tally) = self.weigh_host(Whom::One(who), request) else {
            return Found { reason: Reason::BadHost, entry: None };
        };
        let found = |reason, entry| Found { reason, entry: Some(entry) };
        match tally {
            Tally { denied: Some(entry), .. } => found(Reason::Denied, entry),
            Tally { allowed: Some(entry), .. } => found(Reason::Allowed, entry),
            Tally { almost: Some((entry, Meets::Method)), .. } => found(Reason::Method, entry),
            Tally { almost: Some((entry, Meets::Path)), .. } => found(Reason::Path, entry),
            Tally { almost: Some((entry, _)), .. } => found(Reason::Hidden, entry),
            _ if matches!(request.host, Host::Address(_)) => Found { reason: Reason::Literal, entry: None },
            _ if self.has_allow => Found { reason: Reason::NotAllowed, entry: None },
            _ => Found { reason: Reason::Passes, entry: None },
        }
    }

    /// Why an address is guarded although no entry of `private` opens it, and which meaning of it is.
    pub(crate) fn guards(&self, address: IpAddr, port: u16, own: bool) -> Option<(Class, IpAddr)> {
        let carries = Carries::of(address, &self.nat64);
        if let Some(guarded) = guarded(address, own)
            && !self.opens(address, guarded.prefix, port)
        {
            return Some((guarded.class, address));
        }
        carries.iter().find_map(|carried| {
            let v4 = IpAddr::V4(carried.v4);
            let guarded = guarded(v4, false)?;
            let open = self.opens(v4, guarded.prefix, port) || self.opens(address, outer(carried, guarded), port);
            (!open).then_some((guarded.class, v4))
        })
    }

    /// Whether `private` has an entry for it whose prefix is as long as the guard's.
    fn opens(&self, address: IpAddr, prefix: u8, port: u16) -> bool {
        let mut open = false;
        self.private.visit(address, |length, items| {
            open |= length >= prefix && items.iter().any(|item| item.ports.contain(port));
        });
        open
    }

    /// A name is read once more, so that one that was not made by [`Host::read`] cannot be an address in disguise.
    #[inline]
    fn weigh_host(&self, whom: Whom, request: &Request<'_>) -> Result<Tally, BadHost> {
        match request.host {
            Host::Address(address) => Ok(self.weigh_address(whom, request, address.to_canonical())),
            Host::Name(name) => match Host::read(name)? {
                Host::Address(_) => Err(BadHost::UnusualAddress),
                Host::Name(name) => {
                    let mut tally = Tally::default();
                    self.names.visit(name, |item| self.weigh(whom, request, item, &mut tally));
                    Ok(tally)
                }
            },
        }
    }

    /// The longest prefix with an entry that counts decides. What an address carries can only be denied by it: a translator
    /// that nobody was told of must not make an address allowed.
    fn weigh_address(&self, whom: Whom, request: &Request<'_>, address: IpAddr) -> Tally {
        let mut tally = self.longest(whom, request, address);
        for carried in Carries::of(address, &self.nat64).iter() {
            let denied = self.longest(whom, request, IpAddr::V4(carried.v4)).denied;
            tally.denied = tally.denied.or(denied);
        }
        tally
    }

    fn longest(&self, whom: Whom, request: &Request<'_>, address: IpAddr) -> Tally {
        let mut best = Tally::default();
        self.ranges.visit(address, |_, items| {
            let mut tally = Tally::default();
            items.iter().for_each(|item| self.weigh(whom, request, item, &mut tally));
            let almost = tally.almost.or(best.almost);
            if tally.denied.is_some() || tally.allowed.is_some() {
                best = tally;
            }
            best.almost = almost;
        });
        if best.denied.is_some() {
            best.allowed = None;
        }
        best
    }

    #[inline]
    fn weigh(&self, whom: Whom, request: &Request<'_>, item: &Item, tally: &mut Tally) {
        if !item.ports.contain(request.port) {
            return;
        }
        let Some(rule) = self.rule(item.rule) else { return };
        let first = |slot: &mut Option<u32>| *slot = Some(slot.map_or(item.entry, |entry| entry.min(item.entry)));
        match (item.list, rule.meets(whom, item.list, request)) {
            (_, Meets::Who) => {}
            (List::Deny, Meets::Yes | Meets::Hidden) => first(&mut tally.denied),
            (List::Allow, Meets::Yes) => first(&mut tally.allowed),
            (List::Allow, meets) if tally.almost.is_none_or(|(entry, _)| item.entry < entry) => {
                tally.almost = Some((item.entry, meets));
            }
            _ => {}
        }
    }
}

impl Rule {
    /// Whether the rule is for this one, as far as can be seen.
    pub(crate) fn sees(&self, who: Who, request: &Request<'_>) -> Meets {
        self.meets(Whom::One(who), List::Allow, request)
    }

    #[inline]
    fn meets(&self, whom: Whom, list: List, request: &Request<'_>) -> Meets {
        let for_whom = match (&self.who, whom) {
            (None, _) => true,
            (Some(_), Whom::One(Who::ANYBODY)) => list == List::Deny,
            (Some(set), Whom::One(Who(user))) => user.is_some_and(|user| set.contains(user)),
            (Some(_), Whom::Best) => list == List::Allow && self.has_logins,
        };
        if !for_whom {
            return Meets::Who;
        }
        let method = match &self.methods {
            Some(list) if !list.iter().any(|method| **method == *request.method) => {
                if request.path.is_none() {
                    Meets::Hidden
                } else {
                    Meets::Method
                }
            }
            _ => Meets::Yes,
        };
        if method != Meets::Yes {
            return method;
        }
        match (&self.paths, request.path) {
            (None, _) => Meets::Yes,
            (Some(_), None) => Meets::Hidden,
            (Some(paths), Some(path)) => match paths::fits(paths, path) {
                Fits::Yes => Meets::Yes,
                Fits::No => Meets::Path,
                Fits::Unsure => Meets::Hidden,
            },
        }
    }
}

fn verdict(mode: Mode, reason: Reason) -> Verdict {
    match mode {
        _ if reason.allows() => Verdict::Allowed,
        Mode::Enforce => Verdict::Denied,
        Mode::Report => Verdict::Reported,
        Mode::Open => Verdict::Allowed,
    }
}

/// Why an address is guarded. Those of this machine are so one by one, except for the loopback range.
fn guarded(address: IpAddr, own: bool) -> Option<Guarded> {
    match guard::guarded(address) {
        Some(guarded) if guarded.class == Class::Loopback => Some(guarded),
        _ if own => Some(Guarded { class: Class::Own, prefix: full(address) }),
        other => other,
    }
}

/// How long a range of the outer address must be to be as narrow as the guard's is inside: bits 64 to 71 of NAT64's shorter
/// layouts count too.
fn outer(carried: Carried, guarded: Guarded) -> u8 {
    let end = carried.offset.saturating_add(guarded.prefix);
    let passes_over = carried.offset >= 32 && carried.offset <= 64 && end > 64;
    end.saturating_add(if passes_over { 8 } else { 0 }).min(128)
}
