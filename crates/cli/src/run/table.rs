//! The table of live connections, for the standard error.

use std::fmt::{Display, Write};

use crate::policies::Proxy;

/// More lines than this nobody reads, and the room for messages is bounded.
const MOST: usize = 1000;

/// What each connection of these workers is doing, a line each. A worker is held up only while
/// the states of its connections are copied, not while they are put into words.
pub(super) fn of(proxies: &[Proxy]) -> String {
    let states: Vec<_> = proxies.iter().flat_map(Proxy::connections).collect();
    let all = |count: fn(&Proxy) -> u64| proxies.iter().map(count).fold(0, u64::saturating_add);
    let (reset, turned_away) = (all(Proxy::aborted), all(Proxy::turned_away));
    format!("{}\nclient connections reset so far: {reset}, turned away: {turned_away}", lines(&states))
}

fn lines(states: &[impl Display]) -> String {
    let mut text = format!("connections: {}", states.len());
    for state in states.iter().take(MOST) {
        // Writing to memory does not fail.
        let _ = write!(text, "\n{state}");
    }
    match states.len().saturating_sub(MOST) {
        0 => {}
        more => drop(write!(text, "\nand {more} more")),
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_each_but_not_without_end() {
        assert_eq!(lines(&[0; 0]), "connections: 0");
        assert_eq!(lines(&["a", "b"]), "connections: 2\na\nb");
        let full: Vec<usize> = (0..1000).collect();
        assert!(lines(&full).ends_with("\n998\n999"));
        let more: Vec<usize> = (0..1003).collect();
        let text = lines(&more);
        assert!(text.starts_with("connections: 1003\n0\n") && text.ends_with("\n999\nand 3 more"));
        assert_eq!(text.lines().count(), 1002);
    }
}
