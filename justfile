# The recipes people and CI call. `just` alone lists them.

set shell := ["bash", "-euo", "pipefail", "-c"]

harness := "cargo run --quiet --release --locked -p harness --"

_default:
    @just --list --unsorted

# Drill the reference service: every scenario that is not tagged `realtime`, or those named
validate *ARGS:
    cargo run --release --locked -p harness -- validate {{ARGS}}

# Every scenario without its faults: whatever is stated as an effect of one must not hold then (three and a half minutes)
control *ARGS:
    {{harness}} validate --control {{ARGS}}

# All tests of the workspace
test *ARGS:
    cargo test --locked --workspace {{ARGS}}

# The store and the cache against real servers: PostgreSQL and Redis from PATH, else unpacked from Debian's packages
test-servers *ARGS:
    #!/usr/bin/env bash
    set -euo pipefail
    servers=$(inventory-service/tests/get-servers)
    PATH="${servers:+$servers:}$PATH" cargo test --locked -p inventory-service --test service {{ARGS}} -- postgres:: redis::

# A schema-driven fuzz run against the service (schemathesis, in an environment of its own): no server error
fuzz-api EXAMPLES="60":
    inventory-service/tests/fuzz-api {{EXAMPLES}}

# Everything CI checks besides the drills
check: static test

# The part of `check` that runs no test
static: fmt clippy deny doc generated manifests rules lint-scenarios

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
    {{harness}} stack compose > "$fresh/compose.yaml"
    diff -u stack/compose.yaml "$fresh/compose.yaml" || { echo "stale: run 'just compose'" >&2; exit 1; }
    if command -v docker-compose >/dev/null; then
        SECRET_DB=x SECRET_GRAFANA=x SECRET_GRAFANA_KEY=x docker-compose -f stack/compose.yaml --profile optional config --quiet
    else
        echo "SKIPPED: docker-compose is not installed, so stack/compose.yaml was compared but not read" >&2
    fi
    diff -ru stack/kubernetes/generated "$fresh/kubernetes" || { echo "stale: run 'just kubernetes'" >&2; exit 1; }

# Kustomize builds every folder of the Kubernetes manifests; skipped, aloud, without kubectl
manifests:
    #!/usr/bin/env bash
    set -euo pipefail
    if ! command -v kubectl >/dev/null; then
        echo "SKIPPED: kubectl is not installed, so the Kubernetes manifests were not built" >&2
        exit 0
    fi
    for folder in stack/kubernetes/generated/* stack/kubernetes/overlays/*; do
        kubectl kustomize "$folder" > /dev/null || { echo "$folder: kustomize refuses it" >&2; exit 1; }
    done

# Write schemas/ anew from the types
schemas:
    mkdir -p schemas
    {{harness}} schema > schemas/scenario.schema.json

# Write stack/compose.yaml anew from stack/stack.toml
compose:
    {{harness}} stack compose > stack/compose.yaml

# Write the generated part of the Kubernetes manifests anew from the files that run locally
kubernetes:
    stack/kubernetes/generate stack/kubernetes/generated

# Rules and routes: syntax, lint, unit tests (promtool and amtool from PATH, else unpacked from Debian's packages)
rules:
    stack/check-rules

# Every shipped scenario holds water, and so do the rules and routes it runs on
lint-scenarios:
    {{harness}} lint --deny warnings scenarios/*.toml

# Micro-benchmarks and the cost of instrumentation
bench *ARGS:
    cargo bench --locked --workspace {{ARGS}}

# What the service's observability costs, and its p99 on SQLite and on a PostgreSQL of its own: a minute, idle machine
bench-service:
    inventory-service/benches/with-postgres cargo bench --locked -p inventory-service --bench cost

# The load engine beside wrk, oha, hey, goose and k6 (those that are here): speed, pacing, stalls, rates, memory; `--keep` writes docs/benchmarks.md, `--long` adds ten minutes
bench-load *ARGS:
    cargo bench --locked -p harness --bench load_peers -- {{ARGS}}

# What `bench-load` compares with and no package manager has, built once into target/peers: minutes on two cores
bench-peers:
    test -x target/peers/bin/oha || cargo install --quiet --locked oha --version 1.16.0 --root target/peers --target-dir target/peers/build
    test -x target/peers/bin/goose-peer || cargo install --quiet --locked --path harness/benches/goose-peer --root target/peers --target-dir target/peers/build

# Pages against their computed bounds in twenty cycles, the clock of an inbox, what polling costs: five minutes, idle machine
bench-bounds:
    cargo build --release --locked -p harness -p inventory-service
    cargo test --release --locked -p acceptance --test acceptance -- --ignored --nocapture --test-threads=1 bounds:: polling::

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
