//! A connection that was dialled for one client is no way around the rules for another.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

use crate::support::gate::Setup;
use crate::support::{Origin, get, ok};

/// Through a connection that a privileged client left behind, anyone would reach what is forbidden.
#[test]
fn a_kept_connection_is_asked_for_again() {
    let origin = Origin::answering(|_| ok("inside"));
    let forbidden = Arc::new(AtomicBool::new(false));
    let now = Arc::clone(&forbidden);
    let rule = move |_: &_, _| if now.load(SeqCst) { Err("not for you".to_owned()) } else { Ok(()) };
    let gate = Setup::new().address(rule).start();
    assert_eq!(gate.ask(get(&origin.url("/1"))).text(), "inside");
    forbidden.store(true, SeqCst);
    let refused = gate.ask(get(&origin.url("/2")));
    assert_eq!(refused.status(), 403);
    assert!(refused.text().contains("not for you"), "{}", refused.text());
    assert_eq!(origin.connections(), 1);
    // It was not the connection's fault: whoever may use it still does.
    forbidden.store(false, SeqCst);
    assert_eq!(gate.ask(get(&origin.url("/3"))).text(), "inside");
    assert_eq!(origin.connections(), 1);
}
