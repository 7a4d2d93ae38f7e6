"""What this process takes of the machine.

Must never fail where the machine does not tell: ``None`` is an answer.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Final

__all__ = ["free_bytes", "resident_bytes"]

_STATM: Final = Path("/proc/self/statm")


def resident_bytes() -> int | None:
    """Memory of the process that is in RAM; ``None`` where there is no ``/proc``."""
    try:
        # proc(5): total, resident, shared, ..., in pages.
        return int(_STATM.read_text().split()[1]) * os.sysconf("SC_PAGESIZE")
    except (OSError, ValueError, IndexError):
        return None


def free_bytes(directory: Path) -> int | None:
    """What this user may still write to the disk the directory is on."""
    try:
        return shutil.disk_usage(directory).free
    except OSError:
        return None
