//! Tests by the name that the documents give them.

#![allow(dead_code, unreachable_pub, reason = "each test crate uses its own part of the harness")]
#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::collections::BTreeSet;
use std::path::Path;

/// A document of `docs`.
pub fn document(name: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs").join(name)).unwrap()
}

/// Every test of this crate as `file.rs::name`; the file as seen from `tests/suite`, `tests`, or `src`.
pub fn defined() -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for folder in ["tests", "src"] {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
        walk(&folder, &folder, &mut found);
    }
    found
}

fn walk(top: &Path, folder: &Path, found: &mut BTreeSet<String>) {
    for path in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        if path.is_dir() {
            walk(top, &path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = std::fs::read_to_string(&path).unwrap();
            let file = path.strip_prefix(top).unwrap().to_str().unwrap();
            let file = file.strip_prefix("suite/").unwrap_or(file);
            for after in text.split("test]\n").skip(1) {
                let Some((_, function)) = after.split_once("fn ") else { continue };
                found.insert(format!("{file}::{}", function.split('(').next().unwrap()));
            }
        }
    }
}

/// What a text names as `file.rs::name`.
pub fn named(text: &str) -> BTreeSet<String> {
    text.split('`').filter(|word| word.contains(".rs::") && !word.contains(' ')).map(str::to_owned).collect()
}
