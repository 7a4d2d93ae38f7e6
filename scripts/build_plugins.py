"""Build every plugin of the checkout, and lay out what the package carries beside its code.

Owns ``python/fluxhybrid/plugins/ready/`` (built plugins) and ``sdk_source/`` (what new projects
get): neither is kept in git, both go into the wheel. With ``--if-possible`` a missing compiler is a
note, not a failure: the platform runs without its plugins.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "python"))

from fluxhybrid.errors import FluxError, Unavailable  # noqa: E402
from fluxhybrid.plugins.building import build_all  # noqa: E402
from fluxhybrid.plugins.scaffold import copy_sdk  # noqa: E402

__all__ = ["main"]

_PACKAGE: Final = ROOT / "python" / "fluxhybrid" / "plugins"


def main(argv: list[str] | None = None) -> int:
    """Build; 0 if all is there, or nothing could be expected."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--if-possible", action="store_true", help="without a compiler, go on")
    options = parser.parse_args(argv)
    if (_PACKAGE / "ready").is_dir():
        # Only the first build takes long enough to be watched.
        os.environ.setdefault("CARGO_TERM_QUIET", "true")
    try:
        copy_sdk(ROOT / "plugins", _PACKAGE / "sdk_source")
        built = build_all(ROOT / "plugins", _PACKAGE / "ready")
    except Unavailable as error:
        severity = "note" if options.if_possible else "error"
        print(f"{severity}: the plugins are not built: {error.message}", file=sys.stderr)
        print(f"  help: {error.hint}", file=sys.stderr)
        return 0 if options.if_possible else error.exit_code
    except FluxError as error:
        for problem in error.problems:
            where = f" ({problem.where})" if problem.where else ""
            print(f"error: {problem.message}{where}", file=sys.stderr)
        return error.exit_code
    kept = {path for plugin in built for path in (plugin.module, plugin.vectors, plugin.manifest)}
    _remove_others(_PACKAGE / "ready", kept)
    return 0


def _remove_others(ready: Path, kept: set[Path]) -> None:
    """What was built of a plugin that is gone must not be shipped."""
    for file in ready.iterdir():
        if file not in kept:
            file.unlink()


if __name__ == "__main__":
    sys.exit(main())
