# The recipes people and CI call. `just` alone lists them.

set shell := ["bash", "-euo", "pipefail", "-c"]

harness := "cargo run --quiet --release --locked -p harness --"

_default:
    @just --list --unsorted

# Drill the reference service: every scenario that is not tagged `realtime`, or those named
validate *ARGS:
    cargo run --release --locked -p harness -- validate {{ARGS}}

# All tests of the workspace
test *ARGS:
    cargo test --locked --workspace {{ARGS}}

# Everything CI checks besides the drills
check: static test

# The part of `check` that runs no test
static: fmt clippy deny doc generated rules lint-scenarios

# Source is formatted
fmt:
    cargo fmt --all -- --check

# No warning anywhere
clippy:
    cargo clippy --locked --workspace --all-targets -- -D warnings

# Licences, sources and bans of dependencies (`advisories` has the known vulnerabilities); skipped, aloud, without cargo-deny
deny:
    #!/usr/bin/env bash
    set -euo pipefail
    if command -v cargo-deny >/dev/null; then
        cargo deny --locked check bans licenses sources
    else
        echo "SKIPPED: cargo-deny is not installed, so licences, bans and sources were not checked; run 'just tools'" >&2
    fi

# Known vulnerabilities in dependencies (fetches the RustSec database)
advisories: tools
    cargo deny --locked check advisories

# What the checks use beyond the toolchain, built once: minutes on two cores
tools:
    @command -v cargo-deny >/dev/null || cargo install --quiet --locked cargo-deny --version 0.20.2

# The documentation builds without a warning
doc:
    RUSTDOCFLAGS="-D warnings" cargo doc --locked --workspace --no-deps --quiet

# Generated files are what the code generates today
generated:
    #!/usr/bin/env bash
    set -euo pipefail
    fresh=$(mktemp -d)
    trap 'rm -rf "$fresh"' EXIT
    {{harness}} schema > "$fresh/scenario.schema.json"
    stack/kubernetes/generate "$fresh/kubernetes"
    diff -u schemas/scenario.schema.json "$fresh/scenario.schema.json" || { echo "stale: run 'just schemas'" >&2; exit 1; }
    diff -ru stack/kubernetes/generated "$fresh/kubernetes" || { echo "stale: run 'just kubernetes'" >&2; exit 1; }

# Write schemas/ anew from the types
schemas:
    mkdir -p schemas
    {{harness}} schema > schemas/scenario.schema.json

# Write the generated part of the Kubernetes manifests anew from the files that run locally
kubernetes:
    stack/kubernetes/generate stack/kubernetes/generated

# Rules and routes: syntax, lint, unit tests (promtool and amtool from PATH, else unpacked from Debian's packages)
rules:
    stack/check-rules

# Every shipped scenario holds water
lint-scenarios:
    {{harness}} lint scenarios/*.toml

# Micro-benchmarks and the cost of instrumentation
bench *ARGS:
    cargo bench --locked --workspace {{ARGS}}

# The load engine beside wrk, hey and oha (those on PATH): speed, pacing, stalls
bench-load *ARGS:
    cargo bench --locked -p harness --bench load_peers -- {{ARGS}}

# Start the stack and leave it running
up *ARGS:
    {{harness}} stack up {{ARGS}}

# Stop what `up` started
down *ARGS:
    {{harness}} stack down {{ARGS}}

# Remove what a killed run has left behind
sweep:
    {{harness}} sweep

# Render a recorded run again: just report latest html
report RUN="latest" FORMAT="html":
    {{harness}} report {{RUN}} --format {{FORMAT}}

# What runs every night: all scenarios, one after the other, reports kept
nightly:
    {{harness}} validate --jobs 1

# Production time, rules unscaled: about 20 minutes
realtime:
    {{harness}} validate --tag realtime --time-scale 1
