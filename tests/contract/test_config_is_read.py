"""No setting is only for show."""

from __future__ import annotations

import re
from pathlib import Path

from fluxhybrid.config.settings import dotted, settings


def test_every_setting_that_is_not_reserved_is_read_somewhere(project_root: Path) -> None:
    package = project_root / "python/fluxhybrid"
    readers = [
        path.read_text(encoding="utf-8")
        for path in package.rglob("*.py")
        if path.relative_to(package).parts[0] not in ("config", "cli")
    ]
    source = "\n".join(readers)
    unread = [
        dotted(path)
        for path, setting in settings().items()
        if not setting.reserved
        and not re.search(rf"\.{path[-1]}\b", source)
        # Some are read through a method of their section.
        and not (path == ("engine", "shards") and ".shard_count(" in source)
        and not (path == ("database", "url") and ".sqlalchemy_url(" in source)
    ]
    assert unread == [], "read them, or mark them RESERVED"
