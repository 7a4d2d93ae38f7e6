#!/usr/bin/env bash
# Make the virtual environment and install what the checkout needs: `bootstrap.sh run` for the
# platform and the demo, `bootstrap.sh dev` for the tests and tools as well.
set -euo pipefail
cd "$(dirname "$0")/.."

want=${1:?usage: bootstrap.sh run|dev}
venv=${VENV:-.venv}

die() {
    printf 'error: %s\n' "$1" >&2
    printf '  help: %s\n' "$2" >&2
    exit 1
}

version_of() { "$1" -c 'import sys; print("%d%02d" % sys.version_info[:2])' 2>/dev/null || echo 0; }

find_python() {
    local candidate
    for candidate in "${PYTHON:-python3}" python3.14 python3.13 python3.12 python3.11; do
        if [ "$(version_of "$candidate")" -ge 311 ]; then
            command -v "$candidate"
            return
        fi
    done
    die "no Python 3.11 or newer on PATH" "install one (Debian: apt-get install python3 python3-venv)"
}

check_rust() {
    local found
    found=$(rustc --version 2>/dev/null | cut -d' ' -f2) ||
        die "no Rust compiler on PATH" "install the stable toolchain: https://rustup.rs"
    if [ "$(printf '%s\n1.95.0\n' "${found%%-*}" | sort -V | head -n1)" != 1.95.0 ]; then
        die "rustc $found is older than 1.95" "rustup update stable"
    fi
    command -v cc >/dev/null || die "no C linker on PATH" "Debian: apt-get install build-essential"
}

make_venv() {
    local python
    python=$(find_python)
    # A half-made environment from an earlier try is of no use.
    if [ -x "$venv/bin/python" ] && "$venv/bin/python" -m pip --version >/dev/null 2>&1 &&
        [ "$(version_of "$venv/bin/python")" -ge 311 ]; then
        return
    fi
    rm -rf "$venv"
    if "$python" -c 'import ensurepip' 2>/dev/null; then
        "$python" -m venv "$venv"
    elif command -v uv >/dev/null; then
        uv venv --quiet --seed --python "$python" "$venv"
    else
        die "$python cannot make virtual environments" \
            "install python3-venv (Debian: apt-get install python3-venv) or uv"
    fi
}

install_requirements() {
    local requirements
    requirements=$("$venv/bin/python" scripts/requirements.py "$want")
    # maturin hands dependency groups to pip, which knows them since 25.1.
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check 'pip>=25.1'
    if command -v uv >/dev/null; then
        uv pip install --quiet --python "$venv/bin/python" -r - <<<"$requirements"
    else
        "$venv/bin/python" -m pip install --quiet --disable-pip-version-check -r /dev/stdin \
            <<<"$requirements"
    fi
}

check_rust
make_venv
install_requirements
