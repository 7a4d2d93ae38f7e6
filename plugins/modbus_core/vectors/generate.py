"""Make the vectors of ``modbus_rtu`` and ``modbus_tcp``.

Owns what is tried; bytes come from the specification's printed examples and from pymodbus, a Modbus
implementation of other people: its PDU classes encode requests and replies, its framers put them
into frames, its client's conversions lay values out in registers. Must never ask our own encoder.

Run it where pymodbus 3.16.1 is installed (``pip install pymodbus==3.16.1``)::

    python plugins/modbus_core/vectors/generate.py

It writes ``plugins/modbus_*/vectors/*.json``, the same bytes each time.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

import commands
import replies
import specification
import unasked
import values
from book import Book, Transport

PLUGINS: Final = Path(__file__).resolve().parent.parent.parent


def main() -> None:
    """Write every file."""
    for transport in Transport:
        directory = PLUGINS / f"modbus_{transport.value}" / "vectors"
        for name, fill in (
            ("specification", specification.fill),
            ("values", values.fill),
            ("replies", replies.fill),
            ("unasked", unasked.fill),
            ("commands", commands.fill),
        ):
            book = Book(transport)
            fill(book)
            text = ",\n".join(json.dumps(vector, ensure_ascii=False) for vector in book.vectors)
            (directory / f"{name}.json").write_text(f"[\n{text}\n]\n", "utf-8")


if __name__ == "__main__":
    main()
