#!/usr/bin/env bash
# Build the extension into the checkout with a Cargo profile: `develop.sh quick`.
set -euo pipefail
cd "$(dirname "$0")/.."

profile=${1:?usage: develop.sh PROFILE}
bin=${VENV:-.venv}/bin
# maturin and the tools it calls look for the environment they stand in.
VIRTUAL_ENV=$(cd "$bin/.." && pwd)
export VIRTUAL_ENV PATH="$VIRTUAL_ENV/bin:$PATH"

# Installing is only needed once, and after a change of pyproject.toml; otherwise the library alone
# is replaced.
stamp=$bin/../.installed-stamp
if [ "$stamp" -nt pyproject.toml ]; then
    exec maturin develop --quiet --profile "$profile" --skip-install
fi
# What it needs is there already: naming a small group keeps it from installing the large one.
PIP_QUIET=1 maturin develop --quiet --profile "$profile" --group build
touch "$stamp"
