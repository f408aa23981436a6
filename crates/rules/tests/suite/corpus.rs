//! The inputs that the fuzzer and we found worth keeping (`fuzz/corpus`), without the fuzzer.

use std::path::Path;

use crate::oracles;

fn replay(target: &str, oracle: fn(&[u8])) {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(target);
    let mut count = 0;
    for entry in std::fs::read_dir(&directory).unwrap() {
        let path = entry.unwrap().path();
        let input = std::fs::read(&path).unwrap();
        // A panic names what it was about.
        let shown = std::panic::catch_unwind(|| oracle(&input));
        assert!(shown.is_ok(), "{} fails", path.display());
        count += 1;
    }
    assert!(count > 3, "the corpus of {target} was not found");
}

#[test]
fn files() {
    replay("rules_file", oracles::file);
}

#[test]
fn decisions() {
    replay("rules_decide", oracles::decide);
}
