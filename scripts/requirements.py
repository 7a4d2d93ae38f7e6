"""Print what the virtual environment of a checkout needs, as pyproject.toml says it.

Owns nothing but the selection: ``run`` is the platform with the demo and the tool that builds the
extension, ``dev`` adds tests and tools.
"""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path


def main() -> int:
    """Print one requirement a line for the selection given as the only argument."""
    selection = sys.argv[1:]
    if selection not in (["run"], ["dev"]):
        print("usage: requirements.py run|dev", file=sys.stderr)
        return 2
    root = Path(__file__).resolve().parent.parent
    settings = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))
    project, groups = settings["project"], settings["dependency-groups"]
    needed = [*project["dependencies"], *project["optional-dependencies"]["demo"]]
    # Groups may include groups (PEP 735); ours do so one level deep.
    for entry in groups["build" if selection == ["run"] else "dev"]:
        needed += [entry] if isinstance(entry, str) else groups[entry["include-group"]]
    print("\n".join(sorted(set(needed))))
    return 0


if __name__ == "__main__":
    sys.exit(main())
