"""Writes the vectors: frames made by others' encoders, and published examples of real sensors.

    pip install construct==2.10.70 crccheck==1.3.1
    python generate.py

Bytes come from Python's ``struct`` and ``ctypes``, from construct and from crccheck; what is
expected is what was put into them. Examples of sensors are named with their document, and expect
what it says.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import around
import fields
import sensors
import written

HERE = Path(__file__).parent


def write(name: str, vectors: list[Any]) -> None:
    lines = ",\n".join("  " + json.dumps(one, ensure_ascii=False) for one in vectors)
    (HERE / name).write_text(f"[\n{lines}\n]\n")


if __name__ == "__main__":
    for name, make in {
        "numbers": fields.numbers,
        "bits": fields.bits,
        "checksums": around.checksums,
        "around": around.around,
        "shapes": fields.shapes,
        "sensors": sensors.sensors,
        "commands": written.commands,
    }.items():
        write(f"{name}.json", make())
