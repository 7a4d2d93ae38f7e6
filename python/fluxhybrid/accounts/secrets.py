"""Secrets: made here, shown once, kept as hashes."""

from __future__ import annotations

import hashlib
import secrets
from typing import Final

__all__ = ["SECRET_BYTES", "new_secret", "sha256_hex"]

SECRET_BYTES: Final = 32


def new_secret(prefix: str) -> str:
    """A new secret of 256 random bits, after a prefix that lets scanners recognise it."""
    return f"{prefix}_{secrets.token_urlsafe(SECRET_BYTES)}"


def sha256_hex(secret: str) -> str:
    """How a secret is kept."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()
