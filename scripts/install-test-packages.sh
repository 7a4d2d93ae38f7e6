#!/usr/bin/env bash
# Install the programs the tests drive (Debian): an MQTT peer, PostgreSQL, strace, a browser with its
# driver, LLVM's coverage tools, and compilers that make WebAssembly.
# Does nothing when they are there. A test that misses one fails and says so.
set -euo pipefail
PATH=$PATH:/usr/sbin:/sbin
cd "$(dirname "$0")/.."

missing=()
need() { # program package
    command -v "$1" >/dev/null || missing+=("$2")
}
need mosquitto mosquitto
need mosquitto_pub mosquitto-clients
need strace strace
# Plugins in C; and plugins in Rust, where rustup has no WebAssembly target.
need clang clang
need wasm-ld lld
if ! compgen -G "$(rustc --print sysroot)/lib/rustlib/wasm32-unknown-unknown/lib/libstd-*" >/dev/null &&
    [ ! -d /usr/lib/rustlib/src/rust/library/std ]; then
    missing+=(rustc-web cargo-web rust-web-src rust-web-llvm)
fi
need chromium chromium
need chromedriver chromium-driver
# Debian keeps the server's programs out of PATH.
compgen -G "/usr/lib/postgresql/*/bin/initdb" >/dev/null || need initdb postgresql
if ! scripts/llvm-tool.sh llvm-profdata >/dev/null 2>&1; then
    llvm=$(rustc -vV | sed -n 's/^LLVM version: \([0-9]*\).*/\1/p')
    missing+=("llvm-$llvm")
fi
[ ${#missing[@]} -eq 0 ] && exit 0

as_root() {
    if [ "$(id -u)" -eq 0 ]; then "$@"; else sudo -n "$@"; fi
}
if ! command -v apt-get >/dev/null || ! as_root true 2>/dev/null; then
    printf 'error: the tests need packages that are not installed: %s\n' "${missing[*]}" >&2
    printf '  help: install them, or run this script as root on Debian\n' >&2
    exit 1
fi

as_root apt-get update -qq
packages=()
for package in "${missing[@]}"; do
    # Where the compiler's own LLVM is not packaged, the oldest that reads its profiles will do.
    case $package in
    llvm-*) apt-cache show "$package" >/dev/null 2>&1 || package=llvm-19 ;;
    esac
    packages+=("$package")
done
as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
    "${packages[@]}" >/dev/null

# The broker's package starts it on port 1883, where ours wants to be.
case " ${packages[*]} " in
*" mosquitto "*)
    if [ -d /run/systemd/system ]; then
        as_root systemctl disable --now mosquitto >/dev/null 2>&1 || true
    elif [ -x /etc/init.d/mosquitto ]; then
        as_root /etc/init.d/mosquitto stop >/dev/null 2>&1 || true
    fi
    ;;
esac
