//! The house: in each crate a module uses only modules above it in lib.rs, and `http1` is pure.

use std::path::{Path, PathBuf};

fn crates() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// The modules of a crate, top to bottom, as its root names them.
fn modules(root: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(root).unwrap();
    let named = text.lines().filter_map(|line| {
        let line = line.strip_prefix("pub ").unwrap_or(line);
        line.strip_prefix("mod ")?.strip_suffix(';').map(str::to_owned)
    });
    named.collect()
}

/// Each file of `src`, with the module it belongs to.
fn files(src: &Path, module: Option<&str>) -> Vec<(String, PathBuf)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(src).unwrap() {
        let path = entry.unwrap().path();
        let stem = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let module = module.unwrap_or(&stem).to_owned();
        if stem == "tests" {
            continue;
        }
        if path.is_dir() {
            found.extend(files(&path, Some(&module)));
        } else if path.extension().is_some_and(|e| e == "rs") {
            found.push((module, path));
        }
    }
    found
}

/// The modules that `text` names by `crate::module`, in code: doc links and tests may point anywhere.
fn used(text: &str) -> Vec<String> {
    let code = text.split("#[cfg(test)]").next().unwrap_or("");
    let code = code.lines().map(|line| line.split("//").next().unwrap_or(""));
    let mut found = Vec::new();
    for line in code {
        for part in line.split("crate::").skip(1) {
            let name: String = part.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
            found.push(name);
        }
    }
    found
}

fn violations(name: &str, root: &str) -> Vec<String> {
    let src = crates().join(name).join("src");
    let order = modules(&src.join(root));
    assert!(order.len() > 3, "the modules of {name} were not found");
    let place = |module: &str| order.iter().position(|r| r == module);
    let mut found = Vec::new();
    for (module, path) in files(&src, None) {
        let Some(mine) = place(&module) else { continue };
        let text = std::fs::read_to_string(&path).unwrap();
        for other in used(&text) {
            if place(&other).is_some_and(|theirs| theirs > mine) {
                found.push(format!("{}: {module} uses {other}, which is below it", path.display()));
            }
        }
    }
    found
}

#[test]
fn a_module_uses_only_modules_above_it() {
    let mut found = violations("http1", "lib.rs");
    found.extend(violations("sluicegate", "lib.rs"));
    found.extend(violations("cli", "main.rs"));
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn http1_is_pure() {
    for (_, path) in files(&crates().join("http1/src"), None) {
        let text = std::fs::read_to_string(&path).unwrap();
        for impure in
            ["std::net::Tcp", "std::net::Udp", "std::io", "std::time", "std::fs", "std::thread", "tokio", "tracing"]
        {
            assert!(!text.contains(impure), "{} uses {impure}", path.display());
        }
    }
}
