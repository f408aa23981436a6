//! In each crate a module uses only modules above it in lib.rs, and `http1` and `rules` are pure.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

fn crates() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// The modules that a file declares, top to bottom.
fn declared(file: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(file).unwrap();
    let named = text.lines().filter_map(|line| {
        let line = line.strip_prefix("pub(crate) ").or_else(|| line.strip_prefix("pub ")).unwrap_or(line);
        line.strip_prefix("mod ")?.strip_suffix(';').map(str::to_owned)
    });
    named.filter(|name| name != "tests").collect()
}

/// A file, and the path of its module from the crate's root.
type Found = (Vec<String>, PathBuf);

/// The files of the modules that `file` declares, and of those that these declare; `at` is its own module.
fn files(file: &Path, at: &[String]) -> Vec<Found> {
    let mut found = Vec::new();
    let under = if at.is_empty() { file.parent().unwrap().to_owned() } else { file.with_extension("") };
    for name in declared(file) {
        let path = under.join(format!("{name}.rs"));
        let at: Vec<_> = at.iter().cloned().chain([name]).collect();
        found.extend(files(&path, &at));
        found.push((at, path));
    }
    found
}

/// The paths from the crate's root that `text`, which is the module `at`, names by `crate::` or `super::` in code: doc links
/// and tests may point anywhere.
fn used(text: &str, at: &[String]) -> Vec<Vec<String>> {
    let code = text.split("#[cfg(test)]\nmod tests").next().unwrap_or("");
    let mut found = Vec::new();
    for line in code.lines().map(|line| line.split("//").next().unwrap_or("")) {
        for (start, _) in line.match_indices("crate::").chain(line.match_indices("super::")) {
            if line[..start].ends_with("super::") {
                continue;
            }
            found.extend(paths(&line[start..], at));
        }
    }
    found
}

/// The path or, behind a brace, the paths at the beginning of `line`.
fn paths(line: &str, at: &[String]) -> Vec<Vec<String>> {
    let mut base = if line.starts_with("crate::") { Vec::new() } else { at.to_vec() };
    let mut rest = line.strip_prefix("crate::").unwrap_or(line);
    while let Some(after) = rest.strip_prefix("super::") {
        base.pop();
        rest = after;
    }
    let names: Vec<String> = match rest.strip_prefix('{') {
        Some(list) => list.split('}').next().unwrap_or("").split(',').map(|item| item.trim().to_owned()).collect(),
        None => vec![rest.to_owned()],
    };
    let path = |name: String| {
        let end = name.find(|c: char| !c.is_alphanumeric() && c != '_' && c != ':').unwrap_or(name.len());
        base.iter().cloned().chain(name[..end].split("::").map(str::to_owned)).collect()
    };
    names.into_iter().map(path).collect()
}

/// Who uses whom, each by its path from the crate's root: the siblings at which the ways of two modules part.
fn uses(root: &Path) -> BTreeSet<(Vec<String>, Vec<String>)> {
    let modules = files(root, &[]);
    let known: BTreeSet<Vec<String>> = modules.iter().map(|(at, _)| at.clone()).collect();
    let mut found = BTreeSet::new();
    for (mine, path) in &modules {
        for other in used(&std::fs::read_to_string(path).unwrap(), mine) {
            let fork = mine.iter().zip(&other).take_while(|(a, b)| a == b).count();
            if let (Some(mine), Some(other)) = (mine.get(..=fork), other.get(..=fork))
                && known.contains(other)
            {
                found.insert((mine.to_owned(), other.to_owned()));
            }
        }
    }
    assert!(found.len() > 3, "{} has no modules that use each other", root.display());
    found
}

/// What `from` comes back to itself by, if it does.
fn circle(uses: &BTreeSet<(Vec<String>, Vec<String>)>, from: &Vec<String>) -> Option<Vec<String>> {
    let mut reached: Vec<&Vec<String>> = vec![from];
    let mut next = 0;
    while let Some(user) = reached.get(next).copied() {
        for (_, used) in uses.iter().filter(|(one, _)| one == user) {
            if used == from {
                return Some(user.clone());
            }
            if !reached.contains(&used) {
                reached.push(used);
            }
        }
        next += 1;
    }
    None
}

/// The crates, and their roots.
const ROOTS: [&str; 4] = ["http1/src/lib.rs", "rules/src/lib.rs", "sluicegate/src/lib.rs", "cli/src/main.rs"];

#[test]
fn a_module_uses_only_modules_above_it() {
    for root in ROOTS.map(|root| crates().join(root)) {
        let order = declared(&root);
        let place = |path: &[String]| order.iter().position(|name| name == &path[0]);
        for (user, used) in uses(&root).iter().filter(|(user, _)| user.len() == 1) {
            assert!(place(used) < place(user), "{}: {user:?} uses {used:?}, which is below it", root.display());
        }
    }
}

#[test]
fn inside_a_module_nothing_goes_round_in_a_circle() {
    for root in ROOTS.map(|root| crates().join(root)) {
        let uses = uses(&root);
        for (user, _) in &uses {
            let last = circle(&uses, user);
            assert!(last.is_none(), "{}: {user:?} is used by {last:?}, which it uses", root.display());
        }
    }
}

#[test]
fn http1_and_rules_are_pure() {
    for (_, path) in ["http1", "rules"].iter().flat_map(|name| files(&crates().join(name).join("src/lib.rs"), &[])) {
        let text = std::fs::read_to_string(&path).unwrap();
        for impure in [
            "std::net::Tcp",
            "std::net::Udp",
            "ToSocketAddrs",
            "std::io",
            "std::time",
            "std::fs",
            "std::env",
            "std::thread",
            "tokio",
            "tracing",
        ] {
            assert!(!text.contains(impure), "{} uses {impure}", path.display());
        }
    }
}
