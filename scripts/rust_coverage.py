"""Print the line coverage of the Rust crates and fail when it is too low.

Owns the arithmetic over ``llvm-cov export``. Counts what ships: a crate's ``src``, without its
files of tests.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

__all__ = ["Lines", "by_crate", "main"]

ROOT = Path(__file__).resolve().parent.parent


class Lines(NamedTuple):
    """Lines that can run, and those that did."""

    total: int
    covered: int

    @property
    def percent(self) -> float:
        """The covered part; all of nothing is 100."""
        return 100.0 if self.total == 0 else 100.0 * self.covered / self.total


def by_crate(files: Iterable[Mapping[str, Any]], root: Path) -> dict[str, Lines]:
    """Lines of each crate under ``rust/``, from the files of an ``llvm-cov export``."""
    crates: dict[str, Lines] = {}
    for file in files:
        try:
            parts = Path(file["filename"]).relative_to(root / "rust").parts
        except ValueError:
            continue
        if len(parts) < 3 or parts[1] != "src" or "tests" in parts or parts[-1] == "tests.rs":
            continue
        lines = file["summary"]["lines"]
        before = crates.get(parts[0], Lines(0, 0))
        crates[parts[0]] = Lines(before.total + lines["count"], before.covered + lines["covered"])
    return crates


def main() -> int:
    """Merge the profiles, print a table, compare with the least that will do."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--profiles", type=Path, required=True, help="directory of *.profraw")
    parser.add_argument("--objects", type=Path, required=True, help="file: one binary a line")
    parser.add_argument("--fail-under", type=float, default=0.0, metavar="PERCENT")
    arguments = parser.parse_args()
    crates = by_crate(_exported(arguments.profiles, arguments.objects), ROOT)
    if not crates:
        print("error: no coverage was recorded", file=sys.stderr)
        return 1
    _print(crates)
    total = _sum(crates.values())
    if total.percent < arguments.fail_under:
        print(
            f"error: {total.percent:.1f} % of Rust lines are covered, "
            f"{arguments.fail_under:.0f} % is the least",
            file=sys.stderr,
        )
        return 1
    return 0


def _exported(profiles: Path, objects: Path) -> list[dict[str, Any]]:
    raw = sorted(profiles.glob("*.profraw"))
    binaries = [line for line in objects.read_text(encoding="utf-8").splitlines() if line]
    if not raw or not binaries:
        return []
    listing = profiles / "profraw.list"
    listing.write_text("\n".join(map(str, raw)) + "\n", encoding="utf-8")
    merged = profiles / "merged.profdata"
    # A process that was killed leaves half a profile: it must not take the others with it.
    _tool("llvm-profdata", "merge", "--sparse", "--failure-mode=all", f"--input-files={listing}",
          f"--output={merged}")  # fmt: skip
    output = _tool("llvm-cov", "export", "--summary-only", "--skip-expansions",
                   f"--instr-profile={merged}", binaries[0],
                   *(f"--object={binary}" for binary in binaries[1:]))  # fmt: skip
    files: list[dict[str, Any]] = json.loads(output)["data"][0]["files"]
    return files


def _tool(name: str, *arguments: str) -> bytes:
    find: Sequence[str] = [str(ROOT / "scripts/llvm-tool.sh"), name]
    path = subprocess.run(find, check=True, stdout=subprocess.PIPE, text=True).stdout.strip()
    return subprocess.run([path, *arguments], check=True, stdout=subprocess.PIPE).stdout


def _print(crates: Mapping[str, Lines]) -> None:
    print(f"{'Rust coverage':<20} {'lines':>8} {'missed':>8} {'covered':>8}")
    for name in sorted(crates):
        _row(name, crates[name])
    _row("TOTAL", _sum(crates.values()))


def _row(name: str, lines: Lines) -> None:
    missed = lines.total - lines.covered
    print(f"{name:<20} {lines.total:>8} {missed:>8} {lines.percent:>7.1f}%")


def _sum(lines: Iterable[Lines]) -> Lines:
    every = list(lines)
    return Lines(sum(entry.total for entry in every), sum(entry.covered for entry in every))


if __name__ == "__main__":
    sys.exit(main())
