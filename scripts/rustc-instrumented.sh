#!/bin/sh
# Cargo's RUSTC_WORKSPACE_WRAPPER for coverage: instruments our crates and leaves dependencies, and
# thereby what is already built of them, alone.
rustc=$1
shift
exec "$rustc" "$@" -C instrument-coverage
