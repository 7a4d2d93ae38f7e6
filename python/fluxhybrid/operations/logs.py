"""The process's log.

Owns the format and the levels of what Python writes; the engine writes its own, by the same
setting. Must never block on a slow reader longer than a write takes, and never log a secret.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import time
from typing import Any, Final, TextIO

from fluxhybrid.config import LoggingConfig

__all__ = ["TRACE", "set_up_logs"]

TRACE: Final = 5
_LEVELS: Final = {
    "trace": TRACE,
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warn": logging.WARNING,
    "error": logging.ERROR,
    "off": logging.CRITICAL + 1,
}
_NAMES: Final = {
    TRACE: "TRACE",
    logging.DEBUG: "DEBUG",
    logging.INFO: "INFO",
    logging.WARNING: "WARN",
    logging.ERROR: "ERROR",
    logging.CRITICAL: "ERROR",
}
# Libraries that speak of every request at a level of their own liking.
_QUIET: Final = ("httpx", "httpcore", "uvicorn", "aiosqlite", "alembic", "sqlalchemy", "asyncio")
_STANDARD_FIELDS: Final = frozenset(
    vars(logging.LogRecord("", 0, "", 0, "", (), None)) | {"message": None, "taskName": None}
)


def set_up_logs(config: LoggingConfig, stream: TextIO | None = None) -> None:
    """Write the log as ``[logging]`` says, to standard error unless told otherwise."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(_JsonFormatter() if config.format == "json" else _TextFormatter())
    logging.addLevelName(TRACE, "TRACE")
    root = logging.getLogger()
    root.handlers[:] = [handler]
    base, targets = _read(os.environ.get("RUST_LOG") or config.level)
    root.setLevel(base)
    for name in _QUIET:
        logging.getLogger(name).setLevel(max(base, logging.WARNING))
    for target, level in targets.items():
        # Targets are written as in Rust; modules of Python have dots.
        logging.getLogger(target.replace("::", ".")).setLevel(level)
    logging.captureWarnings(True)


def _read(directives: str) -> tuple[int, dict[str, int]]:
    base = logging.INFO
    targets: dict[str, int] = {}
    for directive in directives.split(","):
        target, equals, name = directive.strip().rpartition("=")
        # RUST_LOG is read by the engine too, which knows more words: skip what is not ours.
        level = _LEVELS.get(name.lower())
        if level is None:
            continue
        if equals:
            targets[target] = level
        else:
            base = level
    return base, targets


def _extra(record: logging.LogRecord) -> dict[str, Any]:
    return {k: v for k, v in vars(record).items() if k not in _STANDARD_FIELDS}


def _timestamp(record: logging.LogRecord) -> str:
    whole = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
    return f"{whole}.{int(record.msecs):03d}Z"


class _JsonFormatter(logging.Formatter):
    """An object a line."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as JSON: ``ts``, ``level``, ``target``, ``message`` and what was added."""
        entry: dict[str, Any] = {
            "ts": _timestamp(record),
            "level": _NAMES.get(record.levelno, record.levelname).lower(),
            "target": record.name,
            "message": record.getMessage(),
        }
        entry |= _extra(record)
        if record.exc_info:
            entry["exception"] = self.formatException(record.exc_info)
        return json.dumps(entry, default=str, ensure_ascii=False)


class _TextFormatter(logging.Formatter):
    """A line for people."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as text; control characters in it cannot forge another line."""
        level = _NAMES.get(record.levelno, record.levelname)
        text = record.getMessage().replace("\r", "\\r").replace("\n", "\\n")
        line = f"{_timestamp(record)} {level:>5} {record.name}: {text}"
        for name, value in _extra(record).items():
            line += f" {name}={value}"
        if record.exc_info:
            line += "\n" + self.formatException(record.exc_info)
        return line
