#!/usr/bin/env bash
# Make git run the hooks in .githooks/.
set -euo pipefail
cd "$(dirname "$0")/.."
git config core.hooksPath .githooks
echo "git runs .githooks/ now; take it back with: git config --unset core.hooksPath"
