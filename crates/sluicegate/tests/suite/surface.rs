//! The public surface of the libraries against `api.txt`: what changes there, changes for their users, and belongs into
//! CHANGELOG.md. `UPDATE_SURFACE=1 cargo test -p sluicegate --test suite surface` writes it anew.
//!
//! It is read from the source: every `pub` item is reachable, because the lint `unreachable_pub` says so where one is not.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// The source without comments, doc attributes and what is compiled for tests only.
fn code(path: &Path) -> String {
    let text = std::fs::read_to_string(path).unwrap();
    let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
    let lines = text.lines().map(|line| line.split("//").next().unwrap().trim_end());
    let kept = lines.filter(|line| !line.trim_start().starts_with("#[doc") && !line.trim().is_empty());
    kept.collect::<Vec<_>>().join("\n")
}

/// From `start` to the brace that closes the first one opened, or to a semicolon before any.
fn item(text: &str, start: usize) -> &str {
    let mut depth = 0;
    for (at, byte) in text.bytes().enumerate().skip(start) {
        match byte {
            b'{' => depth += 1,
            b'}' if depth == 1 => return &text[start..=at],
            b'}' => depth -= 1,
            b';' if depth == 0 => return &text[start..=at],
            _ => {}
        }
    }
    &text[start..]
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// An item as its user sees it: no bodies of functions, no private fields.
fn shown(item: &str) -> String {
    let (head, body) = item.split_once('{').unwrap_or((item, ""));
    let kind = head.trim_start_matches("pub ").trim_start_matches("const ").trim_start_matches("async ");
    let kind = kind.split_whitespace().next().unwrap_or("");
    let body = match kind {
        "struct" => body.lines().filter(|line| line.trim_start().starts_with("pub ")).collect::<Vec<_>>().join("\n"),
        "enum" => body.trim_end_matches('}').to_owned(),
        "trait" => signatures(body),
        "use" => return one_line(item),
        // Of a constant the value, of a function the body.
        _ if item.ends_with(';') => return one_line(item.split(" = ").next().unwrap()),
        _ => return one_line(head),
    };
    format!("{} {{ {} }}", one_line(head), one_line(&body))
}

/// Of a trait's body: each item up to its own body.
fn signatures(body: &str) -> String {
    let (mut out, mut depth) = (String::new(), 0_usize);
    for byte in body.chars() {
        match byte {
            '{' => depth += 1,
            '}' => {
                depth = depth.saturating_sub(1);
                out.push(';');
            }
            _ if depth == 0 => out.push(byte),
            _ => {}
        }
    }
    out
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = Vec::new();
    for path in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        match path.file_stem().unwrap().to_str().unwrap() {
            "tests" | "oracle" | "stage" | "scripted" => {}
            _ if path.is_dir() => found.extend(files(&path)),
            _ => found.push(path),
        }
    }
    found.sort();
    found
}

/// Names of types and traits that are nobody's business: what is implemented for them is not shown.
fn private(texts: &[(PathBuf, String)]) -> BTreeSet<String> {
    let lines = texts.iter().flat_map(|(_, text)| text.lines().map(str::trim_start));
    let names = lines.filter_map(|line| {
        let line = line.strip_prefix("pub(crate) ").or_else(|| line.strip_prefix("pub(super) ")).unwrap_or(line);
        let rest = ["struct ", "enum ", "trait "].iter().find_map(|kind| line.strip_prefix(kind))?;
        rest.split(|c: char| !c.is_alphanumeric()).next().map(str::to_owned)
    });
    names.collect()
}

fn surface(src: &Path) -> String {
    let mut out = String::new();
    let texts: Vec<_> = files(src).into_iter().map(|path| (path.clone(), code(&path))).collect();
    let private = private(&texts);
    for (path, text) in &texts {
        let mut lines = Vec::new();
        for (start, _) in text.match_indices("pub ") {
            let before = text[..start].rsplit('\n').next().unwrap();
            // Fields are shown with their struct.
            let is_item = ["fn ", "const ", "async ", "struct ", "enum ", "trait ", "type ", "use ", "mod "];
            if before.trim().is_empty() && is_item.iter().any(|word| text[start + 4..].starts_with(word)) {
                let attributes =
                    text[..start].rsplit('\n').skip(1).take_while(|line| line.trim_start().starts_with("#["));
                let attributes: Vec<_> =
                    attributes.filter(|line| line.contains("derive") || line.contains("non_exh")).collect();
                lines.extend(attributes.into_iter().rev().map(str::to_owned));
                lines.push(format!("{before}{}", shown(item(text, start))));
            }
        }
        for line in
            text.lines().filter(|line| line.starts_with("impl") && line.contains(" for ") && line.ends_with('{'))
        {
            if line.split(|c: char| !c.is_alphanumeric()).any(|word| private.contains(word)) {
                continue;
            }
            lines.push(line.trim_end_matches('{').trim_end().to_owned());
        }
        if !lines.is_empty() {
            let file = path.strip_prefix(src.parent().unwrap().parent().unwrap()).unwrap();
            out.push_str(&format!("# {}\n{}\n\n", file.display(), lines.join("\n")));
        }
    }
    out
}

/// The surface changes, and nobody has meant it to.
#[test]
fn the_public_surface_is_the_one_that_is_written_down() {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let all = ["http1", "rules", "sluicegate"].map(|name| surface(&crates.join(name).join("src"))).concat();
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("api.txt");
    if std::env::var_os("UPDATE_SURFACE").is_some() {
        std::fs::write(&file, &all).unwrap();
    }
    let known = std::fs::read_to_string(&file).unwrap_or_default();
    let differs = |a: &str, b: &str| {
        a.lines().filter(|line| !b.lines().any(|other| other == *line)).map(str::to_owned).collect::<Vec<_>>()
    };
    let (new, gone) = (differs(&all, &known), differs(&known, &all));
    assert!(
        all == known,
        "the public surface has changed; if that is meant, say it in CHANGELOG.md and run \
         UPDATE_SURFACE=1 cargo test -p sluicegate --test suite surface\nnew: {new:#?}\ngone: {gone:#?}"
    );
}
