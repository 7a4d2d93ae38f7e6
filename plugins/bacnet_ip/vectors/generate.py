"""Writes the vectors: frames made by bacpypes3's encoder, and the examples of the standard.

    pip install bacpypes3==0.0.110
    python generate.py

What is expected of a frame is what was put into the encoder. What is expected of a command is the
frame that bacpypes3 makes of the same request.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any as Anything

import asked
import notified
import read
from frames import (
    values,
)
from notified import FLAGS

HERE = Path(__file__).parent

STANDARD = [
    # ASHRAE 135, annex F, behind headers of annex J and clause 6.
    (
        "F.3.5: a property is read",
        "ASHRAE 135-2016, F.3.5, ReadProperty",
        "81 0a 0017 01 00 30 01 0c 0c 00000005 19 55 3e 44 4290999a 3f",
        values(analog_input_5=72.3),
    ),
    (
        "F.1.3: a change is notified",
        "ASHRAE 135-2016, F.1.3, UnconfirmedCOVNotification",
        (
            "81 0b 0028 01 00 10 02 09 12 1c 02000004 2c 0000000a 39 00"
            " 4e 09 55 2e 44 42820000 2f 09 6f 2e 82 04 00 2f 4f"
        ),
        values(
            analog_input_10=65,
            **{f"analog_input_10_{flag}": value for flag, value in FLAGS.items()},
        ),
    ),
    (
        "F.4: a device says who it is",
        "ASHRAE 135-2016, F.4, I-Am",
        "81 0b 0014 01 00 10 00 c4 02000003 22 0400 91 03 21 63",
        values(
            device_instance=3, max_apdu_length=1024, segmentation="no-segmentation", vendor_id=99
        ),
    ),
]


def standard() -> list[Anything]:
    return [{"name": n, "source": s, "input": {"hex": h}, "expect": e} for n, s, h, e in STANDARD]


def write(name: str, vectors: list[Anything]) -> None:
    lines = ",\n".join("  " + json.dumps(one, ensure_ascii=False) for one in vectors)
    (HERE / name).write_text(f"[\n{lines}\n]\n")


if __name__ == "__main__":
    write("types.json", read.types())
    write("mapped.json", read.mapped())
    write("notifications.json", notified.notifications())
    write("failures.json", read.failures())
    write("commands.json", asked.commands())
    write("standard.json", standard())
