//! What a request asks for, and where it goes: pure.

use sluicegate_http1::{Authority, Framing, Malformed, RequestHead, Target, target};

use super::front::Front;
use crate::message::forward::{self, MaxForwards};
use crate::policy::{Route, host_field};

/// A request that has passed every check that needs nothing but its head.
pub(super) struct Understood<'h> {
    pub(super) head: &'h RequestHead,
    pub(super) target: Target<'h>,
    pub(super) framing: Framing,
    pub(super) max_forwards: MaxForwards,
}

/// Where a request goes, and what is shown there.
pub(super) struct Destination<'d> {
    /// Absolute, with the authority that becomes `Host`, and the path; or the authority of a CONNECT.
    pub(super) target: Target<'d>,
    pub(super) dial: Authority<'d>,
    /// By the operator: no address rule is asked.
    pub(super) is_named: bool,
    /// For whom its connection is.
    pub(super) pool: Option<&'d str>,
    /// What else is wanted.
    pub(super) route: &'d Route,
}

impl<'h> Understood<'h> {
    /// # Errors
    /// The rule that it breaks.
    pub(super) fn of(head: &'h RequestHead, front: &dyn Front) -> Result<Self, Malformed> {
        let target = target::parse(head.method(), head.target())?;
        target::host_field(head, &target)?;
        let framing = front.framing(head)?;
        let max_forwards = forward::max_forwards(head);
        if max_forwards == MaxForwards::Invalid {
            return Err(Malformed::BadMaxForwards);
        }
        Ok(Self { head, target, framing, max_forwards })
    }

    /// The host that is asked for, with its port; empty if none is.
    pub(super) fn host(&self) -> &'h str {
        match self.target {
            Target::Absolute { authority, .. } | Target::Authority(authority) => authority.text,
            Target::Origin(_) | Target::Asterisk => host_field(self.head).map_or("", |host| host.text),
        }
    }

    /// Where it goes by this route. None for a request that is meant for the proxy itself, and is not routed elsewhere.
    pub(super) fn destination<'d>(&self, route: &'d Route) -> Option<Destination<'d>>
    where
        'h: 'd,
    {
        let pool = route.pool_key();
        let Some(elsewhere) = route.elsewhere() else {
            let (Target::Absolute { authority: dial, .. } | Target::Authority(dial)) = self.target else { return None };
            return Some(Destination { target: self.target, dial, is_named: false, pool, route });
        };
        let (dial, is_named) = (elsewhere.origin.authority(), elsewhere.is_named);
        let (asked, path) = match self.target {
            Target::Authority(_) => return Some(Destination { target: self.target, dial, is_named, pool, route }),
            Target::Absolute { authority, path_and_query } => (Some(authority), path_and_query),
            Target::Origin(path_and_query) => (host_field(self.head), path_and_query),
            Target::Asterisk => (host_field(self.head), &b""[..]),
        };
        let authority = asked.filter(|_| elsewhere.keeps_host).unwrap_or(dial);
        let path_and_query = elsewhere.path.as_deref().unwrap_or(path);
        Some(Destination { target: Target::Absolute { authority, path_and_query }, dial, is_named, pool, route })
    }
}
