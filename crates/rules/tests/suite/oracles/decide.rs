//! Any list and any host: decided as a slow reader of the same list decides.

use sluicegate_rules::{Host, LONGEST_PHRASE, Reason, Request, Rules, Who};

/// The first line is a host and a port, perhaps with a method before it and a path behind it; the others are entries, each with
/// `+` or `-` before it.
pub fn decide(input: &[u8]) {
    let Ok(text) = str::from_utf8(input) else { return };
    let mut lines = text.lines();
    let (Some(first), entries) = (lines.next(), lines.take(64).collect::<Vec<_>>()) else { return };
    let (host, port) = first.rsplit_once(' ').unwrap_or((first, "443"));
    let (Ok(read), Ok(port)) = (Host::read(host), port.parse::<u16>()) else { return };
    let good = |list: char| -> Vec<&str> {
        let of_list = entries.iter().filter_map(move |line| line.strip_prefix(list));
        of_list.filter(|entry| rules_of(&[entry], &[]).is_some() && !entry.starts_with('@')).collect()
    };
    let (allow, deny) = (good('+'), good('-'));
    let Some(rules) = rules_of(&allow, &deny) else { return };
    let request = Request::connect(read, port);
    let decision = rules.decide(Who::NOBODY, &request);
    if let Host::Name(name) = read {
        let denied = deny.iter().any(|entry| slow(entry, name, port, true));
        let allowed = allow.iter().any(|entry| slow(entry, name, port, false));
        assert_eq!(decision.passes(), !denied && allowed, "{name}:{port} {allow:?} {deny:?}");
    } else {
        assert!(matches!(decision.reason(), Reason::Allowed | Reason::Denied | Reason::Literal));
    }
    if let Some(denial) = decision.denial() {
        assert!(
            denial.phrase.len() <= LONGEST_PHRASE && denial.phrase.bytes().all(|byte| (0x20..0x7f).contains(&byte))
        );
    }
}

fn rules_of(allow: &[&str], deny: &[&str]) -> Option<Rules> {
    let quote = |list: &[&str]| list.iter().map(|entry| format!("{entry:?}")).collect::<Vec<_>>().join(", ");
    Rules::read("f", &format!("allow_suffix = true\nallow = [{}]\ndeny = [{}]", quote(allow), quote(deny))).ok()
}

/// Whether an entry means a name, read label by label.
fn slow(entry: &str, name: &str, port: u16, denies: bool) -> bool {
    let is_address = |text: &str| text.split('/').next().is_some_and(|text| text.parse::<std::net::IpAddr>().is_ok());
    let (pattern, ports) = match entry.rsplit_once(':') {
        _ if entry.starts_with('[') || is_address(entry) => return false,
        Some((pattern, ports)) => (pattern, Some(ports)),
        None => (entry, None),
    };
    let port_fits = match ports {
        None => denies || port == 80 || port == 443,
        Some("*") => true,
        Some(ports) => ports.parse() == Ok(port),
    };
    if !port_fits || is_address(pattern) {
        return false;
    }
    let labels = |text: &str| -> Vec<String> {
        let folded = idna::domain_to_ascii(text).unwrap();
        let text = folded.strip_suffix('.').unwrap_or(&folded);
        text.split('.').filter(|label| !label.is_empty()).rev().map(str::to_owned).collect()
    };
    let (below, exact, parent) = match (pattern.strip_prefix("*."), pattern.strip_prefix('.')) {
        _ if pattern == "*" => (true, false, ""),
        (Some(parent), _) => (true, false, parent),
        (_, Some(parent)) => (true, true, parent),
        _ => (false, true, pattern),
    };
    let lower = name.to_ascii_lowercase();
    let name: Vec<String> = lower.trim_end_matches('.').split('.').rev().map(str::to_owned).collect();
    let parent = labels(parent);
    (exact && name == parent) || (below && name.len() > parent.len() && name.starts_with(&parent))
}
