//! Pages against the tests and files that they name.

use crate::support::named;

/// The page claims what nobody tests.
#[test]
fn every_test_that_is_named_exists() {
    let defined = named::defined();
    assert!(defined.len() > 100, "{defined:?}");
    for document in ["reference.md", "close.md", "../ARCHITECTURE.md"] {
        let named = named::named(&named::document(document));
        assert!(named.len() > 7, "{document}: {named:?}");
        let missing: Vec<_> = named.difference(&defined).collect();
        assert!(missing.is_empty(), "{document} names what there is not: {missing:?}");
    }
}

/// The words of `text` that are files of source.
fn files(text: &str) -> Vec<&str> {
    let words = text.split('`').map(|word| word.split("::").next().unwrap_or(word));
    words.filter(|word| word.ends_with(".rs") && !word.contains(' ')).collect()
}

/// The page leads to a file that was moved.
#[test]
fn every_file_of_the_walk_exists() {
    let text = named::document("../ARCHITECTURE.md");
    let here = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let exists = |file: &str| {
        let in_suite = file.strip_prefix("tests/").map(|file| here.join("tests/suite").join(file));
        [Some(here.join("src").join(file)), Some(here.join(file)), in_suite, Some(here.join("../..").join(file))]
            .into_iter()
            .flatten()
            .any(|path| path.is_file())
    };
    // Crates, and what is only mentioned.
    let loose = ["lib.rs", "main.rs", "reference.rs"];
    for file in files(&text).into_iter().filter(|file| !loose.contains(file)) {
        assert!(exists(file), "{file} is not there");
    }
}

/// A request visits more files than a reader can keep in mind, or one of them twice.
#[test]
fn the_walk_is_short_and_comes_by_nowhere_twice() {
    let text = named::document("../ARCHITECTURE.md");
    let (_, walk) = text.split_once("## One request, from accept to close").unwrap();
    let (walk, _) = walk.split_once("\n## ").unwrap();
    let steps: Vec<_> = walk.lines().filter_map(|line| line.split_once(". **`")?.1.split_once('`')).collect();
    let visited: std::collections::BTreeSet<_> = steps.iter().map(|(file, _)| file).collect();
    assert!((10..=15).contains(&steps.len()) && visited.len() == steps.len(), "{steps:?}");
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
