"""Storage: the metadata database, where configuration lives.

Owns tables, connections, migrations and the meaning of the database's errors. Must never know
HTTP, the engine or a feature: what leaves it are records. Telemetry, firings, alarms and commands
are data; they live in the engine's log, never here.
"""

from __future__ import annotations

from fluxhybrid.storage.database import Database
from fluxhybrid.storage.records import (
    ApiToken,
    Device,
    Principal,
    Product,
    Rule,
    RuleVersion,
    Tenant,
)
from fluxhybrid.storage.transaction import Transaction

__all__ = [
    "ApiToken",
    "Database",
    "Device",
    "Principal",
    "Product",
    "Rule",
    "RuleVersion",
    "Tenant",
    "Transaction",
]
