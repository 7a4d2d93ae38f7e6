#!/usr/bin/env bash
# Run the Rust tests with coverage, and leave profiles and the list of binaries for
# rust_coverage.py. Without LLVM's tools the tests still run; only the report will be missing.
set -euo pipefail
cd "$(dirname "$0")/.."

coverage=${CARGO_TARGET_DIR:?}/coverage
rm -rf "$coverage"
mkdir -p "$coverage"
export RUSTC_WORKSPACE_WRAPPER=$PWD/scripts/rustc-instrumented.sh
export LLVM_PROFILE_FILE=$coverage/rust-%p-%m.profraw

# Build scripts and the like must not leave profiles behind where they happen to run.
cargo test --workspace --no-run --message-format=json-render-diagnostics |
    "${PYTHON_BIN:-python3}" -c '
import json, sys
for line in sys.stdin:
    message = json.loads(line)
    if message["reason"] == "compiler-artifact" and message.get("executable"):
        if message["profile"]["test"]:
            print(message["executable"])
' >"$coverage/objects"
rm -f "$coverage"/*.profraw
cargo test --workspace --no-fail-fast
