//! Who is to blame when nothing has moved for too long: one table of how things stood. The first row that fits counts, and
//! `-` is anything.
//!
//! | phase | the request | held back by: the request | the response | it was the turn of |
//! |---|---|---|---|---|
//! | deciding | - | - | - | the policy |
//! | handshake, idle, head | - | - | - | the client, to send |
//! | admitting, connecting | - | - | - | ourselves: what is waited for has its own deadline |
//! | - | - | - | us | ourselves |
//! | - | - | - | its sink | the client, to read |
//! | closing | - | - | - | the client |
//! | responding | for no origin | - | - | whoever makes the answer's body |
//! | - | refused in part | - | - | the origin, to read |
//! | - | sent in part | us | - | ourselves |
//! | - | sent in part | its sink | - | the origin, to read |
//! | - | sent whole | - | - | the origin: to answer, or to go on |
//! | - | sent in part | - | - | the client, to send |
//!
//! 'Us' is a pause that this proxy makes itself (a limit, its memory): nobody else is late then.

use crate::flow::{Flow, PauseCause, Phase};
use crate::record::Fault;

/// What of a request its origin has been given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Sent {
    /// There is no origin, or none yet.
    Nowhere,
    /// Not all of it.
    Part,
    /// Not all of it, and the origin takes no more.
    Refused,
    /// All of it.
    Whole,
}

/// How things stood when a deadline passed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Standing {
    pub(crate) phase: Phase,
    pub(crate) sent: Sent,
    /// What holds the request back, and the response.
    pub(crate) up: Option<PauseCause>,
    pub(crate) down: Option<PauseCause>,
}

impl Standing {
    /// That of a connection now, whose request has got so far.
    pub(crate) fn of(flow: &Flow, sent: Sent) -> Self {
        Self { phase: flow.phase(), sent, up: flow.upward().held_by(), down: flow.downward().held_by() }
    }

    /// What has failed, if nothing moves any more: the table.
    pub(crate) fn fault(self) -> Fault {
        use PauseCause::{Budget, Client, Limit, Origin, Window};
        use Phase::{Admitting, Closing, Connecting, Deciding, Handshake, Head, Idle, Responding};
        match (self.phase, self.sent, self.up, self.down) {
            (Deciding, ..) => Fault::Undecided,
            (Handshake | Idle | Head, ..) => Fault::RequestTimeout,
            (Admitting | Connecting, ..) => Fault::Capacity,
            (_, _, _, Some(Limit | Budget)) => Fault::Capacity,
            (_, _, _, Some(Client | Window)) | (Closing, ..) => Fault::ClientNotReading,
            (Responding, Sent::Nowhere, ..) => Fault::Answer("its body made no progress".to_owned()),
            (_, Sent::Refused, ..) => Fault::OriginNotReading,
            (_, Sent::Part, Some(Limit | Budget), _) => Fault::Capacity,
            (_, Sent::Part, Some(Origin | Window), _) => Fault::OriginNotReading,
            (Responding, Sent::Whole, ..) => Fault::OriginStalled,
            (_, Sent::Whole, ..) => Fault::ResponseTimeout,
            (_, Sent::Part | Sent::Nowhere, ..) => Fault::RequestTimeout,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Option<PauseCause>; 7] = [
        None,
        Some(PauseCause::Client),
        Some(PauseCause::Origin),
        Some(PauseCause::Order),
        Some(PauseCause::Limit),
        Some(PauseCause::Budget),
        Some(PauseCause::Window),
    ];
    fn fault(phase: Phase, sent: Sent, up: Option<PauseCause>, down: Option<PauseCause>) -> Fault {
        Standing { phase, sent, up, down }.fault()
    }

    /// All joint states with what may hold each direction back.
    fn each(phases: &[Phase], sent: &[Sent], mut check: impl FnMut(Fault, Option<PauseCause>, Option<PauseCause>)) {
        for (phase, sent) in phases.iter().flat_map(|phase| sent.iter().map(move |sent| (*phase, *sent))) {
            for (up, down) in ALL.into_iter().flat_map(|up| ALL.map(|down| (up, down))) {
                check(fault(phase, sent, up, down), up, down);
            }
        }
    }

    const ANY: [Sent; 4] = [Sent::Nowhere, Sent::Part, Sent::Refused, Sent::Whole];
    const MOVING: [Phase; 2] = [Phase::Waiting, Phase::Responding];

    #[test]
    fn before_an_origin_is_there_the_phase_decides() {
        for (phase, late) in [
            (Phase::Deciding, Fault::Undecided),
            (Phase::Handshake, Fault::RequestTimeout),
            (Phase::Idle, Fault::RequestTimeout),
            (Phase::Head, Fault::RequestTimeout),
            (Phase::Admitting, Fault::Capacity),
            (Phase::Connecting, Fault::Capacity),
        ] {
            each(&[phase], &ANY, |found, up, down| assert_eq!(found, late, "{phase:?} {up:?} {down:?}"));
        }
    }

    /// A pause of our own is never a peer's fault, whatever else there is: not of the client whose response it stops, nor of
    /// the origin whose request.
    #[test]
    fn a_pause_of_our_own_is_nobody_elses_fault() {
        each(&MOVING, &ANY, |found, _, down| {
            if down.is_some_and(PauseCause::is_ours) {
                assert_eq!(found, Fault::Capacity);
            }
        });
        each(&MOVING, &[Sent::Part], |found, up, down| {
            if up.is_some_and(PauseCause::is_ours) && !matches!(down, Some(PauseCause::Client | PauseCause::Window)) {
                assert_eq!(found, Fault::Capacity, "{down:?}");
            }
        });
        // What is pipelined behind a request that has been sent has no say in its response.
        let limit = Some(PauseCause::Limit);
        assert_eq!(fault(Phase::Waiting, Sent::Whole, limit, None), Fault::ResponseTimeout);
    }

    #[test]
    fn a_client_that_does_not_read_is_late_whatever_the_origin_does() {
        for phase in [Phase::Waiting, Phase::Responding, Phase::Closing] {
            for cause in [PauseCause::Client, PauseCause::Window] {
                for (sent, up) in ANY.into_iter().flat_map(|sent| ALL.map(|up| (sent, up))) {
                    assert_eq!(
                        fault(phase, sent, up, Some(cause)),
                        Fault::ClientNotReading,
                        "{phase:?} {sent:?} {up:?}"
                    );
                }
            }
        }
        assert_eq!(fault(Phase::Closing, Sent::Whole, None, None), Fault::ClientNotReading);
    }

    #[test]
    fn whose_turn_it_was_is_in_the_table() {
        use PauseCause::{Order, Origin};
        use Phase::{Responding, Waiting};
        for (phase, sent, up, late) in [
            // An answer that no origin gives.
            (Responding, Sent::Nowhere, None, Fault::Answer("its body made no progress".to_owned())),
            (Responding, Sent::Nowhere, Some(Order), Fault::Answer("its body made no progress".to_owned())),
            // The origin does not read.
            (Waiting, Sent::Refused, None, Fault::OriginNotReading),
            (Responding, Sent::Refused, Some(Order), Fault::OriginNotReading),
            (Waiting, Sent::Part, Some(Origin), Fault::OriginNotReading),
            (Responding, Sent::Part, Some(PauseCause::Window), Fault::OriginNotReading),
            // It has all of the request.
            (Waiting, Sent::Whole, None, Fault::ResponseTimeout),
            (Waiting, Sent::Whole, Some(Order), Fault::ResponseTimeout),
            (Responding, Sent::Whole, None, Fault::OriginStalled),
            (Responding, Sent::Whole, Some(Order), Fault::OriginStalled),
            // It would read, and there is nothing to read.
            (Waiting, Sent::Part, None, Fault::RequestTimeout),
            (Responding, Sent::Part, None, Fault::RequestTimeout),
        ] {
            assert_eq!(fault(phase, sent, up, None), late, "{phase:?} {sent:?} {up:?}");
        }
    }
}
