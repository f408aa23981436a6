//! Every rule has an answer.

use std::collections::HashSet;

use sluicegate_http1::Malformed;

#[test]
fn every_rule_has_a_status_a_source_a_name_and_a_sentence() {
    let mut names = HashSet::new();
    for rule in Malformed::ALL.iter().copied() {
        assert!([400, 414, 431, 501, 505].contains(&rule.status()), "{rule:?}");
        assert!(rule.rfc().starts_with("RFC ") && rule.rfc().contains('§'), "{rule:?}");
        let name = rule.name();
        let kebab = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '.';
        assert!(!name.is_empty() && name.chars().all(kebab), "{name}");
        assert!(names.insert(name), "{name} twice");
        let sentence = rule.to_string();
        assert!(sentence.len() > 20 && !sentence.ends_with('.'), "{sentence}");
        assert!(!sentence.contains(['\r', '\n']), "it goes into a log");
    }
}

#[test]
fn the_statuses_that_are_not_400() {
    use Malformed::*;
    for (rule, status) in [
        (RequestLineTooLong, 414),
        (HeadTooLarge, 431),
        (TooManyFields, 431),
        (TooManyNominations, 431),
        (TrailersTooLarge, 431),
        (UnknownCoding, 501),
        (UnsupportedVersion, 505),
    ] {
        assert_eq!(rule.status(), status);
    }
    let others = Malformed::ALL.iter().filter(|rule| rule.status() != 400);
    assert_eq!(others.count(), 7);
}
