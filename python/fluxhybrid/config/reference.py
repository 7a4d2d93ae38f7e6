"""``docs/configuration.md``, written from the models.

Owns the layout of that page. Must never hold a fact about a setting: change the model instead.
"""

from __future__ import annotations

from typing import Final

from fluxhybrid.config.model import Config
from fluxhybrid.config.section import Section
from fluxhybrid.config.settings import KeyPath, Kind, Setting, section_of, settings
from fluxhybrid.config.show import toml_value

__all__ = ["reference"]

_HEAD: Final = """\
<!-- Written by `fluxhybrid config reference`; change the models in python/fluxhybrid/config/. -->
# Configuration

Every key is optional. Values come in four layers, each over the one before: the defaults below,
the configuration file, the environment, flags.

- **File**: TOML. `--config FILE`, else `$FLUXHYBRID_CONFIG`, else `./fluxhybrid.toml` if it is
  there. A key that is none is an error.
- **Environment**: `FLUXHYBRID_` and the key in capitals, section and key parted by *two*
  underscores: `FLUXHYBRID_MQTT__PORT=1884`, `FLUXHYBRID_DATA_DIR=/var/lib/fluxhybrid`. A name in
  `[site.env]` comes out in small letters: `FLUXHYBRID_SITE__ENV__LINE=3` sets `line`.
- **Flags** of `fluxhybrid serve`: see `fluxhybrid serve --help`.

`fluxhybrid config check` reports everything that is wrong at once, each problem with its place
and how to mend it. `fluxhybrid config show --origin` prints every value and where it comes from.

A **duration** is text with a unit (us, ms, s, m, h, d): `"30s"`, `"1h30m"`. A **size** is a
number of bytes, or text with a unit (B, KiB, MiB, GiB, kB, MB, GB): `"64MiB"`. *Reserved* keys are
checked, so that files may have them already, but nothing reads them yet.
"""


def reference() -> str:
    """The page as Markdown."""
    pages = [_HEAD, _table((), "## Top level", None)]
    for name, field in Config.model_fields.items():
        if section := section_of(field):
            pages.append(_table((name,), f"## `[{name}]`", section))
    return "\n".join(pages)


def _table(prefix: KeyPath, heading: str, section: type[Section] | None) -> str:
    rows = [_row(setting) for path, setting in settings().items() if path[:-1] == prefix]
    about = [" ".join((section.__doc__ or "").split()), ""] if section else []
    head = ["| key | default | what |", "|---|---|---|"]
    return "\n".join([heading, "", *about, *head, *rows, ""])


def _row(setting: Setting) -> str:
    default = "" if setting.default is None else toml_value(setting, setting.default)
    if setting.kind is Kind.TABLE:
        default = ""
    words = [setting.description, _range(setting)]
    if setting.reserved:
        words.append("*Reserved.*")
    what = " ".join(word for word in words if word).replace("|", "\\|")
    return f"| `{setting.path[-1]}` | {f'`{default}`' if default else ''} | {what} |"


def _range(setting: Setting) -> str:
    if setting.choices:
        return "One of " + ", ".join(f'`"{choice}"`' for choice in setting.choices) + "."
    if setting.least is None or setting.most is None:
        return ""
    return f"From {setting.text_of(setting.least)} to {setting.text_of(setting.most)}."
