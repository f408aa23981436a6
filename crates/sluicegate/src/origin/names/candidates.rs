//! What is asked for when a name was typed, and in which order: glibc's `res_search`. Pure.

use super::resolv::Conf;

/// RFC 1035 §2.3.4: 255 bytes with the length of each label and the root.
const LONGEST: usize = 253;

/// Names without a dot at their end, in the order in which they are asked for until one has an address.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Candidates {
    /// The name as it was typed, if it has enough dots. Whatever becomes of it, the others follow.
    pub(super) first: Option<String>,
    /// In each domain that is searched. What is no answer (silence, a refusal) ends the search.
    pub(super) searched: Vec<String>,
    /// The name as it was typed, if it was not asked for before.
    pub(super) last: Option<String>,
}

impl Candidates {
    /// Those for `typed`, in lower case.
    pub(super) fn of(typed: &str, conf: &Conf) -> Self {
        let name = typed.to_ascii_lowercase();
        let is_askable = |name: &String| name.len() <= LONGEST && name.split('.').all(|l| (1..=63).contains(&l.len()));
        if let Some(absolute) = name.strip_suffix('.') {
            let first = Some(absolute.to_owned()).filter(is_askable);
            return Self { first, ..Self::default() };
        }
        let dots = name.bytes().filter(|byte| *byte == b'.').count();
        let is_first = dots >= conf.ndots;
        let has_root = conf.search.iter().any(String::is_empty);
        let in_domain = |domain: &String| if domain.is_empty() { name.clone() } else { format!("{name}.{domain}") };
        // glibc asks for the root's twice.
        let domains = conf.search.iter().filter(|domain| !(is_first && domain.is_empty()));
        let searched = domains.map(in_domain).filter(is_askable).collect();
        let is_last = !is_first && !has_root && (dots > 0 || conf.search.is_empty() || !conf.no_tld);
        Self {
            first: is_first.then(|| name.clone()).filter(is_askable),
            searched,
            last: is_last.then(|| name.clone()).filter(is_askable),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(typed: &str, search: &[&str], ndots: usize) -> Vec<String> {
        let search = search.iter().map(|domain| (*domain).to_owned()).collect();
        let conf = Conf { search, ndots, ..Conf::default() };
        let Candidates { first, searched, last } = Candidates::of(typed, &conf);
        first.into_iter().chain(searched).chain(last).collect()
    }

    #[test]
    fn the_order_is_that_of_glibc() {
        for (typed, search, ndots, asked) in [
            ("web", &[][..], 1, &["web"][..]),
            ("Web", &["one.test", "two.test"], 1, &["web.one.test", "web.two.test", "web"]),
            ("a.b", &["one.test"], 1, &["a.b", "a.b.one.test"]),
            ("a.b", &["one.test"], 5, &["a.b.one.test", "a.b"]),
            ("web", &["one.test"], 0, &["web", "web.one.test"]),
            ("a.b.", &["one.test"], 5, &["a.b"]),
            ("web.", &["one.test"], 1, &["web"]),
            ("web", &["one.test", "", "two.test"], 1, &["web.one.test", "web", "web.two.test"]),
            ("a.b", &["", "one.test"], 1, &["a.b", "a.b.one.test"]),
            ("my_svc.a--b.xn--zz-", &[], 1, &["my_svc.a--b.xn--zz-"]),
        ] {
            assert_eq!(of(typed, search, ndots), asked, "{typed} {search:?} {ndots}");
        }
    }

    #[test]
    fn what_is_too_long_is_passed_over() {
        let long = [&*"a".repeat(63); 3].join(".");
        let domain = format!("{}.test", "b".repeat(60));
        assert_eq!(of(&long, &[&domain, "ok.test"], 5), [format!("{long}.ok.test"), long]);
        assert!(of(&"a".repeat(64), &["ok.test"], 1).is_empty());
        assert!(of("a..b", &["ok.test"], 1).is_empty());
    }

    #[test]
    fn a_name_without_a_dot_stays_here_if_it_is_to() {
        let conf = Conf { search: vec!["one.test".to_owned()], no_tld: true, ..Conf::default() };
        assert_eq!(Candidates::of("web", &conf).last, None);
        assert!(Candidates::of("web", &Conf { search: Vec::new(), ..conf }).last.is_some());
    }
}
