# Short names for the commands of CONTRIBUTING.md; each is what stands behind it.

# the library's tests, all or those whose name contains this: `just test tunnels::`
test *filter:
    cargo test -p sluicegate --lib --test suite {{filter}}

# all tests that need nothing but Rust
test-all:
    cargo test --workspace

# the vectors of the parser: `just vectors chunks::`
vectors *filter:
    cargo test -p sluicegate-http1 {{filter}}

# one planted bug, which a test must catch: `just planted early-end`
planted name:
    python3 tests/planted/planted.py --only {{name}}

# real programs through the binary, all or some: `just real --only 'curl-*'`
real *args:
    cargo build --release
    python3 tests/real/run.py -v --proxy-binary target/release/sluicegate {{args}}

# what clippy and rustfmt say, and whether pages and planted bugs are in order
lint:
    cargo fmt --all --check
    cargo clippy --workspace --all-targets -- -D warnings
    python3 tests/sentences.py
    python3 tests/planted/planted.py --check

# one sentence per line in every page
sentences:
    python3 tests/sentences.py --write

# sluicegate beside HAProxy, nginx and others: `just bench --quick`
bench *args:
    python3 bench/run.py {{args}}

# fills docs/performance.md from results: `just bench-report target/bench.json`
bench-report file="target/bench.json":
    python3 bench/report.py {{file}}

# user instructions per request against the committed baseline
instructions *args:
    cargo build --release
    python3 bench/instructions.py {{args}}

# all that CI checks
ci:
    bash .ci/run
