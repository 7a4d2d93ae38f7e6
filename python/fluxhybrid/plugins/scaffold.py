"""A new plugin's directory, from a template.

Owns the templates' filling in, and where the SDK's sources come from. Must never overwrite a file.

A Rust project gets copies of the SDK and of the ABI it speaks, in ``vendor/``. No registry has them
yet; and a plugin that carries them builds the same on another machine, in another year, and without
a network, which a path into this installation would not.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Final

from fluxhybrid.errors import Conflict, Invalid, Unavailable
from fluxhybrid.plugins.project import ID, Language

__all__ = ["copy_sdk", "new_project", "sdk_sources"]

_HERE: Final = Path(__file__).resolve().parent
_TEMPLATES: Final = _HERE / "templates"
_ENDING: Final = ".in"
"""Of files with ``{{name}}`` and ``{{title}}`` to fill in."""
_CRATES: Final = ("abi", "sdk")
_LEFT_OUT: Final = shutil.ignore_patterns("target", "tests", ".*")
_RUST_WORDS: Final = frozenset(
    """abstract alloc as async await become box break const continue core crate do dyn else enum
    extern false final fn for gen if impl in let loop macro match mod move mut override priv proc
    pub ref return self static std struct super test trait true try type typeof unsafe unsized use
    virtual where while yield""".split()  # noqa: SIM905
)
"""What cargo refuses as the name of a crate, or had better."""


def new_project(name: str, language: Language, parent: Path) -> Path:
    """Make the directory of a new plugin; gives it back.

    Args:
        name: its id, and the name of the directory.
        language: which template.
        parent: where the directory goes.

    Raises:
        Invalid: ``plugin.name``, it cannot be called that.
        Conflict: ``plugin.name``, there is something of that name.
    """
    if not ID.fullmatch(name) or name in _RUST_WORDS:
        raise Invalid(
            "plugin.name",
            f'a plugin cannot be called "{name}"',
            hint=_hint(name),
        )
    directory = parent / name
    try:
        directory.mkdir(parents=True)
    except FileExistsError:
        raise Conflict(
            "plugin.name", f"there is a {directory} already", hint="choose another name"
        ) from None
    words = {"name": name, "title": name.replace("_", " ").capitalize()}
    _fill(_TEMPLATES / language, directory, words)
    vectors = directory / "vectors" / "frames.json"
    vectors.parent.mkdir()
    vectors.write_text(_filled(_TEMPLATES / f"vectors.json{_ENDING}", words), "utf-8")
    if language == "rust":
        copy_sdk(sdk_sources(), directory / "vendor")
    return directory


def copy_sdk(sources: Path, destination: Path) -> None:
    """Copy what a plugin in Rust is compiled with, in place of what is there."""
    for crate in _CRATES:
        target = destination / crate
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(sources / crate, target, ignore=_LEFT_OUT)


def sdk_sources() -> Path:
    """The directory with the crates ``abi`` and ``sdk``: the checkout's, or those of the wheel.

    Raises:
        Unavailable: ``plugin.toolchain``, this installation has none.
    """
    for place in (_HERE.parents[2] / "plugins", _HERE / "sdk_source"):
        if all((place / crate / "Cargo.toml").is_file() for crate in _CRATES):
            return place
    raise Unavailable(
        "plugin.toolchain",
        "this installation has no SDK sources",
        hint="run make plugins in the checkout, or install a wheel",
    )


def _hint(name: str) -> str:
    meant = re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")
    if ID.fullmatch(meant) and meant not in _RUST_WORDS:
        return f'did you mean "{meant}"?'
    return "small letters, digits and _, a letter first, no word of the language, 63 at most"


def _fill(template: Path, directory: Path, words: dict[str, str]) -> None:
    for source in sorted(template.rglob("*")):
        if source.is_dir():
            continue
        relative = source.relative_to(template)
        name = relative.name.removesuffix(_ENDING)
        target = directory / relative.with_name(".gitignore" if name == "gitignore" else name)
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.name.endswith(_ENDING):
            target.write_text(_filled(source, words), "utf-8")
        else:
            shutil.copyfile(source, target)


def _filled(template: Path, words: dict[str, str]) -> str:
    text = template.read_text("utf-8")
    for word, value in words.items():
        text = text.replace(f"{{{{{word}}}}}", value)
    return text
