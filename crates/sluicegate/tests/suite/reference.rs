//! docs/reference.md against the tests that it names, and ARCHITECTURE.md against the modules that there are.

use crate::support::named;

/// The page claims what nobody tests.
#[test]
fn every_test_that_is_named_exists() {
    let defined = named::defined();
    assert!(defined.len() > 100, "{defined:?}");
    for document in ["reference.md", "close.md"] {
        let named = named::named(&named::document(document));
        assert!(named.len() > 15, "{document}: {named:?}");
        let missing: Vec<_> = named.difference(&defined).collect();
        assert!(missing.is_empty(), "{document} names what there is not: {missing:?}");
    }
}

/// A word of the description is left out.
#[test]
fn every_attribute_of_the_reference_has_its_rows() {
    let text = named::document("reference.md");
    for word in [
        "HTTPFactory",
        "f.protocol = Proxy",
        "_requestProducer",
        "IPushProducer",
        "_requestProducerStreaming",
        "_waitingForTransport",
        "_abortingCall",
        "_optimisticEagerReadSize",
        "NOT_DONE_YET",
        "notifyFinish",
        "connectionLost",
        "_dataBuffer",
        "17.9.0",
    ] {
        assert!(text.lines().any(|line| line.starts_with('|') && line.contains(word)), "{word}");
    }
    for row in text.lines().filter(|line| line.starts_with("| `")) {
        assert_eq!(row.split('|').count(), 7, "{row}");
    }
}
