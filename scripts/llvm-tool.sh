#!/usr/bin/env bash
# Print the path of an LLVM tool that reads this compiler's coverage profiles:
# `llvm-tool.sh llvm-profdata`. The toolchain's own (rustup component llvm-tools) comes first, then
# the version the compiler was built with, then any newer than 18, the last that cannot.
set -euo pipefail
tool=${1:?usage: llvm-tool.sh TOOL}

own="$(rustc --print target-libdir)/../bin/$tool"
major=$(rustc -vV | sed -n 's/^LLVM version: \([0-9]*\).*/\1/p')
for candidate in "$own" "$tool-$major" "$tool-24" "$tool-23" "$tool-22" "$tool-21" "$tool-20" \
    "$tool-19"; do
    if found=$(command -v "$candidate"); then
        printf '%s\n' "$found"
        exit 0
    fi
done
printf 'error: no %s that reads the profiles of this rustc (LLVM %s)\n' "$tool" "$major" >&2
printf '  help: rustup component add llvm-tools, or scripts/install-test-packages.sh\n' >&2
exit 1
