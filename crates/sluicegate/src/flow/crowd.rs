//! When there are as many connections as there may be: those that want nothing give way to new ones, the longest quiet
//! first. And how many one client may have.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Instant;

use super::notice::OncePerSecond;
use super::registry::Candidate;
use super::{Flows, TICK};

/// So many are found at a look: it goes through all connections, 10,000 in 0.1 ms, and a flood is to pay for that once
/// in so many clients.
const AT_A_LOOK: usize = 64;

/// The connections of all workers, for whoever finds no place.
#[derive(Debug, Default)]
pub(crate) struct Crowd {
    workers: Mutex<Vec<Weak<Flows>>>,
    quiet: Mutex<Quiet>,
}

#[derive(Debug, Default)]
struct Quiet {
    /// The next to go is the last.
    next: Vec<Candidate>,
    /// When a look had found all there are: soon after that there are no others.
    looked: Option<Instant>,
    warning: OncePerSecond,
}

impl Crowd {
    /// A worker more.
    pub(crate) fn join(&self, flows: &Arc<Flows>) {
        let mut workers = lock(&self.workers);
        workers.retain(|worker| worker.strong_count() > 0);
        workers.push(Arc::downgrade(flows));
    }

    /// Has one connection give way, if one is quiet; its place is free when its task has ended.
    pub(crate) fn make_room(&self) {
        let quiet = &mut *lock(&self.quiet);
        let mut found = quiet.ask();
        if !found && quiet.looked.is_none_or(|at| at.elapsed() >= TICK) {
            quiet.next = self.look();
            quiet.looked = (quiet.next.len() < AT_A_LOOK).then(Instant::now);
            found = quiet.ask();
        }
        if let Some(gave_way) = quiet.warning.due(found.into()) {
            tracing::warn!(
                gave_way,
                "the limit of connections is reached: quiet clients give way to new ones, which wait while none is quiet; raise max_connections if that is too low"
            );
        }
    }

    fn look(&self) -> Vec<Candidate> {
        let workers: Vec<_> = lock(&self.workers).iter().filter_map(Weak::upgrade).collect();
        let mut all: Vec<_> = workers.iter().flat_map(|worker| worker.quiet()).collect();
        all.sort_unstable_by_key(|one| one.turn);
        all.truncate(AT_A_LOOK);
        all.reverse();
        all
    }
}

impl Quiet {
    fn ask(&mut self) -> bool {
        let mut next = std::iter::from_fn(|| self.next.pop());
        next.any(|one| one.flow.upgrade().is_some_and(|flow| flow.give_way(one.since)))
    }
}

/// How many connections each client has, if that is limited.
#[derive(Debug)]
pub(crate) struct Guests {
    most: Option<usize>,
    /// Never more than there are connections.
    here: Mutex<HashMap<IpAddr, usize>>,
}

impl Guests {
    pub(crate) fn new(most: Option<usize>) -> Self {
        Self { most, here: Mutex::default() }
    }

    /// Counts one more of this client, unless that would be too many.
    pub(crate) fn enter(&self, client: IpAddr) -> bool {
        let Some(most) = self.most else { return true };
        let mut here = lock(&self.here);
        let count = here.entry(one(client)).or_default();
        let may = *count < most;
        *count = count.saturating_add(may.into());
        may
    }

    /// One that was counted has gone.
    pub(crate) fn leave(&self, client: IpAddr) {
        if self.most.is_none() {
            return;
        }
        let mut here = lock(&self.here);
        if let Some(count) = here.get_mut(&one(client)) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                here.remove(&one(client));
            }
        }
    }
}

/// What counts as one client: an IPv4 address, or the 64 bits of a network of IPv6, of which each subscriber has at
/// least one, with as many addresses as it likes (RFC 6177 §2).
fn one(client: IpAddr) -> IpAddr {
    match client.to_canonical() {
        IpAddr::V6(v6) => {
            let [a, b, c, d, ..] = v6.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
        }
        v4 => v4,
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::super::{Flow, Phase};
    use std::time::Duration;

    use super::*;

    fn going(flow: &Flow) -> bool {
        flow.has_to_go()
    }

    #[test]
    fn the_longest_quiet_goes_first_and_nobody_who_works() {
        let (crowd, flows) = (Crowd::default(), Arc::new(Flows::new(Arc::default())));
        crowd.join(&flows);
        let enter = || flows.enter("127.0.0.1:1".parse().unwrap());
        let (busy, head, silent) = (enter(), enter(), enter());
        busy.count_request();
        busy.wait(Phase::Waiting, None);
        head.wait(Phase::Head, None);
        flows.sweep(Duration::from_millis(5000));
        let served = enter();
        served.count_request();
        served.wait(Phase::Head, None);
        served.wait(Phase::Idle, None);
        let newcomer = enter();
        let all = [&busy, &head, &silent, &served, &newcomer];
        let mut gone = Vec::new();
        for _ in 0..4 {
            crowd.quiet.lock().unwrap().looked = None;
            crowd.make_room();
            gone.extend((0..all.len()).filter(|n| going(all[*n]) && !gone.contains(n)).collect::<Vec<_>>());
        }
        assert_eq!(gone, [2, 3, 1], "silent, served, head; not who works, nor who has just come");
        served.count_request();
        assert!(!going(&served), "it has asked for something meanwhile");
    }

    #[test]
    fn a_client_is_an_address_or_a_network_of_ipv6() {
        let guests = Guests::new(Some(2));
        let [a, b, mapped, six, same, other] =
            ["192.0.2.1", "192.0.2.2", "::ffff:192.0.2.1", "2001:db8::1", "2001:db8::ffff:2", "2001:db8:0:1::1"]
                .map(|text| text.parse::<IpAddr>().unwrap());
        assert!(guests.enter(a) && guests.enter(mapped) && !guests.enter(a) && guests.enter(b));
        assert!(guests.enter(six) && guests.enter(same) && !guests.enter(six) && guests.enter(other));
        guests.leave(a);
        assert!(guests.enter(a) && !guests.enter(mapped));
        for gone in [a, a, b, six, six, other] {
            guests.leave(gone);
        }
        assert!(lock(&guests.here).is_empty());
        assert!((0..100).all(|_| Guests::new(None).enter(a)));
    }
}
