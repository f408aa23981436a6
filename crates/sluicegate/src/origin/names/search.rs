//! A whole look-up: candidate after candidate, server after server, as glibc's `res_search` and `res_send` do it, but
//! that one server's refusal is not the end, and that a family that is slow is not waited for.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hickory_proto::rr::RecordType;

use super::ask::{Heard, Inquiry};
use super::candidates::Candidates;
use super::message::{Question, Reply};
use super::resolv::Conf;
use crate::origin::dial::is_exhausted;

/// For so many seconds addresses are remembered without the other family, if its absence has no term of its own.
const HALF: u32 = 5;
/// RFC 2308 §5 asks for one to three hours at most; a name that has just been made should be there soon.
const MOST_NEGATIVE: u32 = 30;

/// Who is asked, and in which order.
#[derive(Debug)]
pub(super) struct Search {
    pub(super) conf: Arc<Conf>,
    /// The server that is asked first.
    pub(super) first: usize,
    pub(super) journal: Option<Journal>,
}

/// Where what was asked is written down, for who wants to see it.
pub(super) type Journal = Arc<Mutex<Vec<Step>>>;

/// One question, and what came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Step {
    pub(super) name: String,
    pub(super) family: RecordType,
    pub(super) server: SocketAddr,
    pub(super) said: String,
    pub(super) took: Duration,
}

/// Addresses, of the one candidate that has any.
#[derive(Debug)]
pub(super) struct Addresses {
    pub(super) addresses: Vec<IpAddr>,
    /// Seconds.
    pub(super) ttl: u32,
    /// The other family may still answer.
    pub(super) rest: Option<Inquiry>,
}

/// Why there are no addresses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Failure {
    /// Nobody listens at any server, or there is no way; which one was the last, and why.
    Unreachable(String),
    /// No answer in time.
    Silent,
    /// The last server that answered cannot or will not say. `may_go_on`: it failed (SERVFAIL), and another name may do better.
    Rejected { said: String, may_go_on: bool },
    /// There is no such name, or it has no address; for so many seconds. `ends`: no other candidate is asked for.
    Nothing { negative: Option<u32>, exists: bool, ends: bool },
    /// No more descriptors.
    Exhausted,
}

impl Search {
    /// Looks `typed` up.
    ///
    /// # Errors
    /// glibc's verdict: on the name as it was typed if that was asked for first, else the most telling one.
    pub(super) async fn run(&self, typed: &str) -> Result<Addresses, Failure> {
        let candidates = Candidates::of(typed, &self.conf);
        let mut verdict = Verdict::default();
        if let Some(name) = &candidates.first {
            match self.candidate(name).await {
                Err(Failure::Exhausted) => return Err(Failure::Exhausted),
                Err(failure) if !failure.ends() => verdict.add_first(failure),
                decided => return decided,
            }
        }
        for name in &candidates.searched {
            match self.candidate(name).await {
                Err(failure @ (Failure::Exhausted | Failure::Unreachable(_))) => return Err(failure),
                Err(failure) if failure.ends() => return Err(failure),
                Err(failure) => {
                    let goes_on =
                        matches!(failure, Failure::Nothing { .. } | Failure::Rejected { may_go_on: true, .. });
                    verdict.add(failure);
                    if !goes_on {
                        break;
                    }
                }
                found => return found,
            }
        }
        if let Some(name) = &candidates.last {
            match self.candidate(name).await {
                Err(failure) if !failure.ends() => verdict.add(failure),
                decided => return decided,
            }
        }
        Err(verdict.end())
    }

    /// The same, with the family that is late. All addresses that are known then.
    ///
    /// # Errors
    /// As [`Search::run`].
    pub(super) async fn run_out(&self, typed: &str) -> Result<Vec<IpAddr>, Failure> {
        let Addresses { addresses, rest, .. } = self.run(typed).await?;
        let Some(mut asked) = rest else { return Ok(addresses) };
        let open = asked.answers().filter(|(_, answer)| answer.is_none()).map(|(family, _)| family).next();
        asked.hear_out().await;
        let late = asked.answers().find(|(family, answer)| Some(*family) == open && answer.is_some());
        let name = self
            .journal
            .as_ref()
            .and_then(|journal| Some(journal.lock().unwrap_or_else(PoisonError::into_inner).last()?.name.clone()));
        if let (Some((family, Some(answer))), Some(name)) = (late, name) {
            let (server, said, took) = (asked.server, format!("{answer}, later"), asked.elapsed());
            self.note(Step { name, family, server, said, took });
        }
        let all = judge(asked.server, asked.answers().filter_map(|(_, answer)| answer));
        Ok(all.map_or(addresses, |all| all.addresses))
    }

    /// Asks for one candidate, server after server, until one has an answer.
    async fn candidate(&self, name: &str) -> Result<Addresses, Failure> {
        let Conf { servers, attempts, tcp, .. } = &*self.conf;
        let rounds = if *tcp { 1 } else { *attempts };
        let mut failure: Option<Failure> = None;
        for _ in 0..rounds {
            let order = servers.iter().cycle().skip(self.first).take(servers.len());
            for (turn, server) in order.enumerate() {
                match self.server(*server, name, patience(&self.conf, turn)).await {
                    Err(next @ (Failure::Unreachable(_) | Failure::Silent | Failure::Rejected { .. })) => {
                        let is_worse = failure.as_ref().is_some_and(|failure| failure.rank() > next.rank());
                        failure = if is_worse { failure } else { Some(next) };
                    }
                    decided => return decided,
                }
            }
        }
        Err(failure.unwrap_or(Failure::Silent))
    }

    async fn server(&self, server: SocketAddr, name: &str, patience: Duration) -> Result<Addresses, Failure> {
        let question = |family| Question::new(name, family, self.conf.edns);
        let Some(questions) = self.families().map(question).collect() else {
            return Err(Failure::Nothing { negative: None, exists: false, ends: false });
        };
        let asked = Inquiry::ask(server, questions, patience, self.conf.tcp).await;
        let mut asked = asked.map_err(|error| self.unreachable(server, name, &error))?;
        let heard = asked.hear().await.map_err(|error| self.unreachable(server, name, &error))?;
        for (family, answer) in asked.answers() {
            let said = answer.map_or_else(|| "no answer".to_owned(), ToString::to_string);
            self.note(Step { name: name.to_owned(), family, server, said, took: asked.elapsed() });
        }
        match heard {
            Heard::Silence => Err(Failure::Silent),
            Heard::All => judge(server, asked.answers().filter_map(|(_, answer)| answer)),
            Heard::Some => {
                let so_far = judge(server, asked.answers().filter_map(|(_, answer)| answer))?;
                Ok(Addresses { rest: Some(asked), ttl: so_far.ttl.min(HALF), ..so_far })
            }
        }
    }

    fn families(&self) -> impl Iterator<Item = RecordType> {
        std::iter::once(RecordType::A).chain((!self.conf.no_aaaa).then_some(RecordType::AAAA))
    }

    fn unreachable(&self, server: SocketAddr, name: &str, error: &std::io::Error) -> Failure {
        if is_exhausted(error) {
            return Failure::Exhausted;
        }
        let said = error.to_string();
        for family in self.families() {
            self.note(Step { name: name.to_owned(), family, server, said: said.clone(), took: Duration::ZERO });
        }
        Failure::Unreachable(format!("the name server {server} cannot be reached: {said}"))
    }

    fn note(&self, step: Step) {
        let Step { name, family, server, said, took } = &step;
        tracing::debug!("asked {server} for {name} {family}: {said} ({} ms)", took.as_millis());
        if let Some(journal) = &self.journal {
            journal.lock().unwrap_or_else(PoisonError::into_inner).push(step);
        }
    }
}

/// Waits for the other family too. All addresses that are known then.
pub(super) async fn wait_for_rest(mut asked: Inquiry) -> (Vec<IpAddr>, u32) {
    asked.hear_out().await;
    let all = judge(asked.server, asked.answers().filter_map(|(_, answer)| answer));
    all.map(|all| (all.addresses, all.ttl)).unwrap_or_default()
}

/// As glibc: the later servers of several get more time.
fn patience(conf: &Conf, turn: usize) -> Duration {
    if turn == 0 {
        return conf.timeout;
    }
    let doubled = conf.timeout.saturating_mul(1_u32.checked_shl(u32::try_from(turn).unwrap_or(3)).unwrap_or(8));
    let servers = u32::try_from(conf.servers.len()).unwrap_or(1);
    doubled.checked_div(servers).unwrap_or(conf.timeout).max(Duration::from_secs(1).min(conf.timeout))
}

/// What the answers of one server mean together.
fn judge<'a>(server: SocketAddr, answers: impl Iterator<Item = &'a Reply>) -> Result<Addresses, Failure> {
    let (mut addresses, mut ttl, mut rejected) = (Vec::new(), u32::MAX, None);
    let (mut negative, mut exists, mut is_alias, mut is_named, mut is_half) =
        (Some(MOST_NEGATIVE), false, false, true, false);
    for answer in answers {
        is_half |= !matches!(answer, Reply::Addresses(..));
        match answer {
            Reply::Addresses(some, seconds) => {
                addresses.extend(some);
                ttl = ttl.min(*seconds);
            }
            Reply::NoData { is_alias: also, negative: term } => {
                (exists, is_alias) = (true, is_alias || *also);
                negative = shorter(negative, *term);
            }
            Reply::NoName { negative: term } => {
                is_named = false;
                negative = shorter(negative, *term);
            }
            Reply::Rejected(said) => (rejected, negative) = (Some(*said), None),
            Reply::Truncated => negative = None,
        }
    }
    if !addresses.is_empty() {
        let ttl = if is_half { ttl.min(negative.unwrap_or(HALF)) } else { ttl };
        return Ok(Addresses { addresses, ttl, rest: None });
    }
    match rejected {
        Some(said) if is_named => {
            let may_go_on = said == "SERVFAIL";
            Err(Failure::Rejected { said: format!("the name server {server} answers {said}"), may_go_on })
        }
        _ => Err(Failure::Nothing { negative, exists, ends: is_alias && is_named }),
    }
}

/// The shorter of two terms; none if one of them has none.
fn shorter(one: Option<u32>, other: Option<u32>) -> Option<u32> {
    one.zip(other).map(|(one, other)| one.min(other))
}

impl Failure {
    /// No other candidate is asked for.
    fn ends(&self) -> bool {
        matches!(self, Self::Exhausted | Self::Nothing { ends: true, .. })
    }

    /// Of several servers' failures the one that says most counts.
    fn rank(&self) -> u8 {
        match self {
            Self::Unreachable(_) => 0,
            Self::Silent => 1,
            _ => 2,
        }
    }
}

/// What is said of a name when no candidate has an address.
#[derive(Debug, Default)]
struct Verdict {
    first: Option<Failure>,
    /// One that exists goes before the others.
    other: Option<Failure>,
    /// The shortest term of all that do not exist; None inside if one may.
    negative: Option<Option<u32>>,
}

impl Verdict {
    fn add_first(&mut self, failure: Failure) {
        self.count(&failure);
        self.first = Some(failure);
    }

    fn add(&mut self, failure: Failure) {
        self.count(&failure);
        if !matches!(self.other, Some(Failure::Nothing { exists: true, .. })) {
            self.other = Some(failure);
        }
    }

    fn count(&mut self, failure: &Failure) {
        let term = match failure {
            Failure::Nothing { negative, .. } => *negative,
            _ => None,
        };
        self.negative = Some(self.negative.map_or(term, |known| shorter(known, term)));
    }

    fn end(self) -> Failure {
        match self.first.or(self.other) {
            Some(Failure::Nothing { exists, ends, .. }) => {
                Failure::Nothing { negative: self.negative.flatten(), exists, ends }
            }
            Some(failure) => failure,
            None => Failure::Nothing { negative: None, exists: false, ends: false },
        }
    }
}
