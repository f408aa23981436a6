//! A policy that panics takes its own connection with it, and nothing else.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use crate::support::{End, Origin, Serving, eventually, get, ok};
use sluicegate::{Client, Ended, Fault, OriginResponse, Policy, Proxy, Record, Request, Route, Verdict};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(usize)]
enum At {
    Nowhere,
    Accept,
    Admit,
    LateInAdmit,
    Address,
    Respond,
    Ended,
    Twice,
}

#[derive(Default)]
struct Panicking {
    at: AtomicUsize,
    admitted: AtomicUsize,
    ended: AtomicUsize,
    failed: AtomicUsize,
}

impl Panicking {
    fn here(&self, at: At) {
        assert!(self.at.load(SeqCst) != at as usize, "planned: {at:?}");
    }
}

struct Shared(Arc<Panicking>);

impl Policy for Shared {
    fn accept(&self, _: &Client) -> bool {
        self.0.here(At::Accept);
        true
    }

    async fn admit(&self, _: &mut Request<'_>, _: &Client) -> Verdict {
        self.0.admitted.fetch_add(1, SeqCst);
        self.0.here(At::Admit);
        tokio::task::yield_now().await;
        self.0.here(At::LateInAdmit);
        self.0.here(At::Twice);
        Verdict::Forward(Route::target())
    }

    fn address(&self, _: &Client, _: SocketAddr) -> Result<(), Fault> {
        self.0.here(At::Address);
        Ok(())
    }

    fn respond(&self, _: &mut OriginResponse<'_>, _: &Client) {
        self.0.here(At::Respond);
    }

    fn ended(&self, record: &Record<'_>) {
        self.0.ended.fetch_add(1, SeqCst);
        if record.ended == Ended::PolicyFailed {
            self.0.failed.fetch_add(1, SeqCst);
        }
        self.0.here(At::Ended);
        self.0.here(At::Twice);
    }
}

/// One such policy takes down a worker, leaks its permit, poisons a lock, or is not told the end.
#[test]
fn a_panic_ends_its_own_connection_only() {
    let origin = Origin::answering(|_| ok("served"));
    let policy = Arc::new(Panicking::default());
    let mut limits = sluicegate::Limits::default();
    // Who leaks a permit lets nobody in any more.
    limits.max_connections = 2;
    let serving = Serving::start(Proxy::builder().limits(limits).policy(Shared(Arc::clone(&policy))));
    let mut bystander = serving.client();
    let mut expected = (0, 0);
    for at in [At::Accept, At::Admit, At::LateInAdmit, At::Address, At::Respond, At::Ended, At::Twice] {
        // The connection that it leaves behind is one for `address` to be asked about, under the lock of all that are kept.
        let mut before = serving.client();
        before.send(get(&origin.url("/")));
        assert_eq!(before.response("GET").text(), "served", "before {at:?}");
        before.fin();
        before.end();
        eventually("it is gone", || serving.proxy.connection_count() == 1);
        policy.at.store(at as usize, SeqCst);
        let mut client = serving.client();
        // It may be reset before it can be written to.
        let _ = client.try_send(&get(&origin.url("/")));
        let (said, end) = client.rest();
        assert_eq!(end, End::Reset, "{at:?}");
        assert_eq!(said.is_empty(), at != At::Ended, "{at:?}: {}", String::from_utf8_lossy(&said));
        eventually("its place is free", || serving.proxy.connection_count() == 1);
        policy.at.store(At::Nowhere as usize, SeqCst);
        bystander.send(get(&origin.url("/")));
        assert_eq!(bystander.response("GET").text(), "served", "after {at:?}");
        expected.0 += if at == At::Twice { 2 } else { 1 };
        expected.1 += usize::from(!matches!(at, At::Accept | At::Ended));
        eventually("it is counted", || serving.proxy.panicked() == expected.0);
        eventually("all are told", || {
            let [admitted, ended, failed] = [&policy.admitted, &policy.ended, &policy.failed].map(|n| n.load(SeqCst));
            (admitted, failed) == (ended, expected.1)
        });
    }
}
