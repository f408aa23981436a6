# Short names for the commands of CONTRIBUTING.md; each is what stands behind it.

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
