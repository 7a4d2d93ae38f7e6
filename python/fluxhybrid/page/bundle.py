"""The page's files, ready to be sent.

Owns their names: all stand under one digest of all their contents, so that a browser may keep them
for good and never mixes two versions; the first document alone is asked for anew.
"""

from __future__ import annotations

import functools
import gzip
import hashlib
from dataclasses import dataclass
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Final

__all__ = ["Asset", "Bundle", "bundle"]

_MEDIA_TYPES: Final = {
    "css": "text/css; charset=utf-8",
    "html": "text/html; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
}
_DIGEST_LEN: Final = 16
_BASE: Final = b"{{base}}"
_PRELOADS: Final = b"<!-- {{preloads}} -->"
# Where scripts are run before the document is drawn, or by it: no preload for those.
_NOT_PRELOADED: Final = frozenset(("main.js", "appearance.js"))


@dataclass(frozen=True, slots=True)
class Asset:
    """One file, plain and compressed."""

    media_type: str
    plain: bytes
    gzipped: bytes
    etag: str
    """Of its contents, without quotes."""


@dataclass(frozen=True, slots=True)
class Bundle:
    """The page: its first document, and everything that one refers to."""

    digest: str
    index: Asset
    assets: dict[str, Asset]
    """By path below the digest, such as ``panels/alarms.js``."""


@functools.cache
def bundle() -> Bundle:
    """The page as installed; read and compressed once."""
    return _bundle(files(__package__) / "static")


def _bundle(directory: Traversable) -> Bundle:
    contents = dict(sorted(_contents(directory).items()))
    index = contents.pop("index.html")
    digest = _digest(
        index, *(part for name in contents for part in (name.encode(), contents[name]))
    )
    base = f"page/{digest}".encode()
    # A module names those it needs only once it is there: told of all of them at once, the browser
    # fetches them side by side.
    preloads = b"\n".join(
        b'<link rel="modulepreload" href="%s/%s">' % (base, name.encode())
        for name in contents
        if name.endswith(".js") and name not in _NOT_PRELOADED
    )
    document = index.replace(_PRELOADS, preloads).replace(_BASE, base)
    return Bundle(
        digest,
        _asset("index.html", document),
        {name: _asset(name, content) for name, content in contents.items()},
    )


def _contents(directory: Traversable, prefix: str = "") -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    for entry in directory.iterdir():
        name = f"{prefix}{entry.name}"
        if entry.is_dir():
            found |= _contents(entry, f"{name}/")
        elif name.rpartition(".")[2] in _MEDIA_TYPES:
            found[name] = entry.read_bytes()
    return found


def _asset(name: str, content: bytes) -> Asset:
    return Asset(
        media_type=_MEDIA_TYPES[name.rpartition(".")[2]],
        plain=content,
        # Without a time in it, the same contents give the same bytes.
        gzipped=gzip.compress(content, 9, mtime=0),
        etag=_digest(content),
    )


def _digest(*parts: bytes) -> str:
    whole = hashlib.sha256()
    for part in parts:
        whole.update(len(part).to_bytes(8))
        whole.update(part)
    return whole.hexdigest()[:_DIGEST_LEN]
