"""Defaults, then the file, then the environment, then flags: each goes over the one before.

Owns reading, layering and the origin of every value. Must never know what a setting means.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final, NamedTuple

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from fluxhybrid.config.model import Config
from fluxhybrid.config.problems import Origin, from_validation, redacted, unknown_key
from fluxhybrid.config.section import Section
from fluxhybrid.config.settings import KeyPath, Kind, dotted, section_of, setting_at, settings
from fluxhybrid.config.toml_positions import KeyPlace, TomlPath, key_positions
from fluxhybrid.errors import Denied, Invalid, NotFound, Problem, Unavailable

__all__ = ["CONFIG_VARIABLE", "DEFAULT_FILE", "Flag", "Loaded", "find_file", "load"]

DEFAULT_FILE: Final = "fluxhybrid.toml"
CONFIG_VARIABLE: Final = "FLUXHYBRID_CONFIG"
_PREFIX: Final = "FLUXHYBRID_"
_FILE_BYTES_MAX: Final = 2**20
_SYNTAX_PLACE: Final = re.compile(r" \(at (?:line (\d+), column (\d+)|end of document)\)$")


class Flag(NamedTuple):
    """A setting given on the command line."""

    path: KeyPath
    value: Any
    name: str
    """The flag as it was written: ``--mqtt-port``."""


class Given(NamedTuple):
    """A value and where it comes from."""

    value: Any
    origin: Origin


@dataclass(frozen=True, slots=True)
class Loaded:
    """A valid configuration and how it came about."""

    config: Config
    origins: Mapping[KeyPath, Origin]
    """Of every value that is not the default."""
    warnings: tuple[Problem, ...]
    file: Path | None

    def origin(self, path: KeyPath) -> Origin:
        """Where the value at ``path`` comes from."""
        return self.origins.get(path, Origin("default"))


def find_file(explicit: Path | None, environ: Mapping[str, str]) -> Path | None:
    """The file to read: the given one, ``$FLUXHYBRID_CONFIG``, or ``./fluxhybrid.toml``."""
    if explicit is not None:
        return explicit
    if named := environ.get(CONFIG_VARIABLE):
        return Path(named)
    default = Path(DEFAULT_FILE)
    return default if default.exists() else None


def load(
    file: Path | None = None,
    *,
    environ: Mapping[str, str] | None = None,
    flags: Sequence[Flag] = (),
) -> Loaded:
    """Read, layer and check the configuration.

    Args:
        file: the configuration file; left out, it is looked for (see ``find_file``).
        environ: the environment; left out, the process's.
        flags: what the command line sets.

    Raises:
        Invalid: with all problems at once, each with its place.
        NotFound: ``config.not_found``: the named file does not exist.
        Denied: ``config.unreadable``: the file may not be read.
        Unavailable: ``config.unreadable``: the disk does not give it.
    """
    environ = os.environ if environ is None else environ
    found = find_file(file, environ)
    problems: list[Problem] = []
    given: dict[KeyPath, Given] = {}
    if found is not None:
        given |= _from_file(found, problems)
    in_environment, warnings = _from_environment(environ, problems)
    given |= in_environment
    given |= {flag.path: Given(flag.value, Origin("flag", flag.name)) for flag in flags}
    origins = {path: entry.origin for path, entry in given.items()}
    config = _validated(given, origins, problems)
    if config is None or problems:
        raise _all_at_once(problems)
    return Loaded(config, origins, tuple(warnings), found)


def _validated(
    given: Mapping[KeyPath, Given], origins: Mapping[KeyPath, Origin], problems: list[Problem]
) -> Config | None:
    """The configuration, or none and all that is wrong added to ``problems``.

    Contradictions between settings only show once each setting is right by itself, so what was
    found wrong is taken out and the rest looked at again, until nothing new turns up.
    """
    wrong: set[KeyPath] = set()
    while True:
        rest = {path: entry for path, entry in given.items() if path not in wrong}
        outcome = _validate_once(rest)
        if isinstance(outcome, Config):
            return None if wrong else outcome
        before = len(wrong)
        for details in outcome:
            found = from_validation(details, origins)
            if not found.paths & wrong:
                problems.append(found.problem)
            # A union complains once for each of its members: the first is enough.
            wrong |= found.paths
        if len(wrong) == before:
            return None


def _validate_once(given: Mapping[KeyPath, Given]) -> Config | list[ErrorDetails]:
    tree: dict[str, Any] = {}
    for path, entry in given.items():
        table = tree
        for part in path[:-1]:
            table = table.setdefault(part, {})
        table[path[-1]] = entry.value
    try:
        return Config.model_validate(tree)
    except ValidationError as error:
        return error.errors(include_url=False)


def _all_at_once(problems: Sequence[Problem]) -> Invalid:
    ordered = sorted(
        problems, key=lambda p: (p.line is None, p.source or "", p.line or 0, p.column or 0)
    )
    if len(ordered) == 1:
        only = ordered[0]
        return Invalid(
            only.code,
            only.message,
            hint=only.hint,
            pointer=only.pointer,
            source=only.source,
            line=only.line,
            column=only.column,
            excerpt=only.excerpt,
        )
    return Invalid(
        "config.invalid", f"{len(ordered)} problems in the configuration", problems=ordered
    )


# --- the file ---------------------------------------------------------------------------------


def _from_file(file: Path, problems: list[Problem]) -> dict[KeyPath, Given]:
    text = _read(file)
    try:
        document = tomllib.loads(text)
        places = key_positions(text)
    except tomllib.TOMLDecodeError as error:
        problems.append(_syntax_problem(file, text, str(error)))
        return {}
    except RecursionError:
        problems.append(
            Problem(
                "config.syntax",
                "the configuration file is nested too deeply",
                "use plain tables",
                source=str(file),
            )
        )
        return {}
    lines = text.replace("\r\n", "\n").split("\n")

    def origin(path: KeyPath) -> Origin:
        place = _nearest(places, path)
        return Origin(
            "file", str(file), place.line, place.column, redacted(lines[place.line - 1])[:200]
        )

    return dict(_leaves(Config, document, (), origin, problems))


def _nearest(places: Mapping[TomlPath, KeyPlace], path: KeyPath) -> KeyPlace:
    for end in range(len(path), 0, -1):
        if place := places.get(path[:end]):
            return place
    return KeyPlace(1, 1)


def _leaves(
    model: type[Section],
    table: Mapping[str, Any],
    prefix: KeyPath,
    origin: Any,
    problems: list[Problem],
) -> Iterator[tuple[KeyPath, Given]]:
    """Every setting a table holds; what is none becomes a problem."""
    for key, value in table.items():
        path = (*prefix, key)
        field = model.model_fields.get(key)
        if field is None:
            problems.append(unknown_key(path, model.model_fields, origin(path)))
            continue
        section = section_of(field)
        is_table = setting_at(path) is None or settings()[path].kind is Kind.TABLE
        if not is_table:
            yield path, Given(value, origin(path))
        elif not isinstance(value, dict):
            problems.append(_not_a_table(path, origin(path)))
        elif section is not None:
            yield from _leaves(section, value, path, origin, problems)
        else:
            for name, entry in value.items():
                yield (*path, name), Given(entry, origin((*path, name)))


def _not_a_table(path: KeyPath, origin: Origin) -> Problem:
    return origin.problem(
        "config.invalid_value",
        f"{dotted(path)} must be a table",
        path,
        f"write [{dotted(path)}] on a line of its own and its keys below",
    )


def _read(file: Path) -> str:
    try:
        with file.open("rb") as stream:
            raw = stream.read(_FILE_BYTES_MAX + 1)
    except FileNotFoundError:
        raise NotFound(
            "config.not_found",
            "there is no such configuration file",
            source=str(file),
            hint="check the path, or leave it out: every key has a default",
        ) from None
    except IsADirectoryError:
        raise Invalid(
            "config.not_a_file",
            "the configuration file is a directory",
            source=str(file),
            hint="name the file inside it",
        ) from None
    except PermissionError:
        raise Denied(
            "config.unreadable",
            "the configuration file may not be read",
            source=str(file),
            hint="let the user who runs fluxhybrid read it",
        ) from None
    except OSError as error:
        raise Unavailable(
            "config.unreadable",
            f"the configuration file cannot be read: {error.strerror}",
            source=str(file),
            hint="check the disk it is on",
        ) from None
    if len(raw) > _FILE_BYTES_MAX:
        raise Invalid(
            "config.too_long",
            f"the configuration file is longer than {_FILE_BYTES_MAX} bytes",
            source=str(file),
            hint="this is probably not a configuration file",
        )
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise Invalid(
            "config.encoding",
            "the configuration file is not UTF-8",
            source=str(file),
            line=line,
            column=error.start - (raw.rfind(b"\n", 0, error.start) + 1) + 1,
            hint="save the file as UTF-8",
        ) from None


def _syntax_problem(file: Path, text: str, message: str) -> Problem:
    lines = text.replace("\r\n", "\n").split("\n")
    match = _SYNTAX_PLACE.search(message)
    if match and match[1]:
        line, column = int(match[1]), int(match[2])
    else:
        line, column = len(lines), len(lines[-1]) + 1
    what = _SYNTAX_PLACE.sub("", message)
    return Problem(
        "config.syntax",
        f"the configuration file is not TOML: {what[:1].lower()}{what[1:]}",
        'write key = value, with text in quotes: level = "info" (https://toml.io)',
        source=str(file),
        line=line,
        column=column,
        excerpt=redacted(lines[line - 1])[:200],
    )


# --- the environment --------------------------------------------------------------------------


def _from_environment(
    environ: Mapping[str, str], problems: list[Problem]
) -> tuple[dict[KeyPath, Given], list[Problem]]:
    """Settings from ``FLUXHYBRID_SECTION__KEY``.

    Two underscores make a variable a setting, and a wrong one an error. With one, only a
    top-level key is: Kubernetes puts FLUXHYBRID_PORT and the like into every container beside a
    service called fluxhybrid, which must stop nothing.
    """
    given: dict[KeyPath, Given] = {}
    warnings: list[Problem] = []
    for name in sorted(environ):
        if not name.startswith(_PREFIX) or name == CONFIG_VARIABLE:
            continue
        path = _path_of(name)
        origin = Origin("environment", name)
        if setting_at(path) is not None and _is_leaf(path):
            given[path] = Given(_from_text(path, environ[name]), origin)
        elif len(path) > 1:
            problems.append(_unknown_variable(path, origin))
        elif meant := _probably_meant(name):
            warnings.append(
                origin.problem(
                    "config.variable_ignored",
                    f"{name} sets nothing",
                    path,
                    f"did you mean {meant}? Section and key are parted by two underscores",
                )
            )
    return given, warnings


def _path_of(name: str) -> KeyPath:
    parts = name.removeprefix(_PREFIX).split("__")
    # Names in [site.env] are the user's own, but a variable's capitals carry nothing: they are
    # lower-cased like everything else.
    return tuple(part.lower() for part in parts)


def _is_leaf(path: KeyPath) -> bool:
    setting = setting_at(path)
    if setting is None:
        return False
    if setting.kind is Kind.TABLE:
        return len(path) == len(setting.path) + 1
    return path == setting.path


def _unknown_variable(path: KeyPath, origin: Origin) -> Problem:
    model: type[Section] = Config
    for depth, part in enumerate(path):
        field = model.model_fields.get(part)
        if field is None:
            return unknown_key(path[: depth + 1], model.model_fields, origin)
        section = section_of(field)
        if section is None:
            if path in settings():
                break
            return unknown_key(path, [part], origin)
        model = section
    return _not_a_table(path, origin)


def _probably_meant(name: str) -> str | None:
    flat = {
        setting.env_name.replace("__", "_"): setting.env_name for setting in settings().values()
    }
    if name in flat:
        return flat[name]
    top_level = [setting.env_name for path, setting in settings().items() if len(path) == 1]
    close = get_close_matches(name, top_level, n=1, cutoff=0.8)
    return close[0] if close else None


def _from_text(path: KeyPath, text: str) -> Any:
    """A variable's text as the value TOML would have held; text it stays where that fails."""
    setting = setting_at(path)
    kind = Kind.TEXT if setting is None else setting.kind
    scalar = _scalar(text)
    wanted: dict[Kind, tuple[type, ...]] = {
        Kind.INTEGER: (int,),
        Kind.BYTES: (int,),
        Kind.FLOAT: (int, float),
        Kind.BOOLEAN: (bool,),
        Kind.TABLE: (int, float, bool),
    }
    if kind not in wanted or (isinstance(scalar, bool) and bool not in wanted[kind]):
        return text
    return scalar if isinstance(scalar, wanted[kind]) else text


def _scalar(text: str) -> Any:
    if not re.fullmatch(r"[0-9A-Za-z_.+-]{1,64}", text):
        return text
    try:
        value = tomllib.loads(f"v = {text}")["v"]
    except tomllib.TOMLDecodeError:
        return text
    return value if isinstance(value, bool | int | float) else text
