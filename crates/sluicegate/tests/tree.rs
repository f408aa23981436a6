//! What somebody takes on who depends on this crate.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test stops at the first surprise")]

use std::collections::BTreeSet;
use std::process::Command;

/// The crates that are built with these features, this one apart.
fn crates(features: &[&str]) -> BTreeSet<String> {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["tree", "--package", "sluicegate", "--edges", "normal", "--prefix", "none", "--offline"]);
    let output = cargo.args(features).current_dir(env!("CARGO_MANIFEST_DIR")).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    let names = text.lines().filter_map(|line| line.split(' ').next().map(str::to_owned));
    names.filter(|name| !name.is_empty() && name != "sluicegate").collect()
}

/// A small proxy brings a large tree.
#[test]
fn without_default_features_the_tree_is_small() {
    let small = crates(&["--no-default-features"]);
    println!("{} crates: {small:?}", small.len());
    assert!(small.contains("tokio") && small.len() < 40, "{} crates: {small:?}", small.len());
    let default = crates(&[]);
    println!("{} with default features", default.len());
    assert!(default.contains("hickory-proto") && !default.contains("http"), "{default:?}");
}
