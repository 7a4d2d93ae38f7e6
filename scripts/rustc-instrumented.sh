#!/usr/bin/env bash
# Cargo's RUSTC_WORKSPACE_WRAPPER for coverage: instruments our crates and leaves dependencies, and
# thereby what is already built of them, alone. (Not sh: dash drops variables with a hyphen in their
# name, such as CARGO_BIN_EXE_flux-load.)
rustc=$1
shift
exec "$rustc" "$@" -C instrument-coverage
