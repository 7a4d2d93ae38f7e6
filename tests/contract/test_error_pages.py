"""Every code of an error has its page, and every page has its code and says what is so.

Owns what is asked of ``docs/errors``: a page for each code the sources of both languages hold, its
form, the table of all pages, and that the settings, metrics and calls the pages name exist.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Final

import pytest

from fluxhybrid.api.application import routes
from fluxhybrid.api.schema import describe
from fluxhybrid.errors import EXIT_CODES, HTTP_STATUSES, ErrorKind, error_of_kind
from tests.contract.error_codes import (
    Found,
    python_codes,
    python_kinds,
    python_sources,
    rust_codes,
    rust_sources,
)

ROOT: Final = Path(__file__).resolve().parents[2]
PAGES: Final = ROOT / "docs" / "errors"
TABLE: Final = PAGES / "README.md"

NOT_CODES: Final = {
    "current.json": "a file of the configuration",
    "current.json.new": "the same while it is written",
    "previous.json": "the one before it",
    "fluxhybrid.errors": "a module of Python",
    "vectors.json": "how the names of files with a plugin's vectors end",
    "query.points_max": "an option of the time-series store",
    "query.scan_points_max": "an option of the time-series store",
    "query.series_max": "an option of the time-series store",
}
"""What else is written like a code in the Rust sources, and what it is."""
MADE_UP: Final = frozenset({"request"})
"""Codes ``<family>.<word>`` whose words a library makes up: they share a page."""
TOGETHER: Final = frozenset({"gateway", "http"})
"""Codes ``<family>.<word>`` that are all met in one place: they share a page that names each."""
FAMILIES: Final = MADE_UP | TOGETHER
KINDS: Final = {
    **{kind.value.replace("_", " ").capitalize(): kind for kind in ErrorKind},
    "Warning": None,
}
"""The kinds as the pages call them; a warning refuses nothing and has none."""
SECTIONS: Final = ("What happened", "Why", "What to do", "Example")
LINES_MAX: Final = 60


@cache
def python() -> Found:
    return python_codes(_texts(python_sources(ROOT)))


@cache
def rust() -> frozenset[str]:
    found = (rust_codes(text) for text in _texts(rust_sources(ROOT)).values())
    return frozenset().union(*found)


def _texts(paths: Iterator[Path]) -> dict[Path, str]:
    return {path.relative_to(ROOT): path.read_text(encoding="utf-8") for path in paths}


def _pages() -> dict[str, str]:
    """The text of each page, by its code."""
    every = {page.stem: page.read_text(encoding="utf-8") for page in PAGES.glob("*.md")}
    del every["README"]
    return every


def _shared() -> set[str]:
    """The codes that the page of a family names."""
    pages = _pages()
    return {
        code
        for family in TOGETHER & set(pages)
        for code in re.findall(rf"^\| `({family}\.[a-z0-9_]+)` \|", pages[family], re.MULTILINE)
    }


# --- codes and pages --------------------------------------------------------------------------


def test_every_code_has_a_page() -> None:
    codes = set(python().codes) | (rust() - set(NOT_CODES))
    missing = sorted(codes - set(_pages()) - _shared())
    assert not missing, f"write docs/errors/<code>.md for {', '.join(missing)}"


def test_every_page_has_a_code() -> None:
    codes = set(python().codes) | rust() | FAMILIES
    stale = sorted((set(_pages()) | _shared()) - codes)
    assert not stale, f"no source has the code of docs/errors/: {', '.join(stale)}"


def test_every_code_can_be_told_from_the_sources() -> None:
    assert python().unclear == []
    assert {family.rstrip(".") for family in python().families} == MADE_UP


def test_what_is_left_out_is_there_to_be_left_out() -> None:
    assert rust() >= set(NOT_CODES)


def test_plugins_explain_their_codes_themselves() -> None:
    """What a plugin reports is its own: ``plugins/<name>/README.md`` has it."""
    plugins = ROOT / "plugins"
    assert (plugins / "dummy_plugin").is_dir()
    assert not any(path.is_relative_to(plugins) for path in rust_sources(ROOT))


def test_codes_of_each_kind_of_source_are_found() -> None:
    """A reading that finds nothing would have nothing to complain of."""
    assert {"log.full", "auth.denied", "config.shape", "rule.limits", "decode.path"} <= rust()
    assert {
        "internal",  # of_status
        "device.not_found",  # an f-string with a parameter in it
        "config.variable_ignored",  # a method that takes the code
        "auth.too_many_attempts",  # a class that makes its code up
        "engine.document",  # a helper that takes the code
        "demo.api",  # a code in case there is none
    } <= set(python().codes)


def test_our_own_words_of_requests_are_explained() -> None:
    kinds = python_kinds(_texts(python_sources(ROOT)))
    assert kinds.unclear == []
    pages = _pages()
    for kind, paths in kinds.codes.items():
        code = f"request.{kind}"
        # What is wrong with a setting has a code of its own, whatever the kind.
        if any("config" not in path.parts for path in paths):
            assert code in pages or f"`{code}`" in pages["request"], code


# --- the form of a page -----------------------------------------------------------------------


@pytest.mark.parametrize("code", sorted(_pages()))
def test_page_has_its_form(code: str) -> None:
    page = _pages()[code]
    assert page.startswith(f"# {code}.*\n\n" if code in FAMILIES else f"# {code}\n\n")
    found = tuple(re.findall(r"^## (.+)$", page, re.MULTILINE))
    assert found in (SECTIONS, SECTIONS[:-1])
    parts = re.split(r"^## .+$", page, flags=re.MULTILINE)
    assert all(part.strip() for part in parts)
    assert len(page.splitlines()) <= LINES_MAX
    assert page.count("```") % 2 == 0


@pytest.mark.parametrize("code", sorted(_pages()))
def test_first_line_says_what_the_kind_means(code: str) -> None:
    line = _first_line(_pages()[code])
    kind = KINDS[_kind(line)]
    if kind is None:
        return
    # What else a page says of another kind stands behind; the statuses of requests are their own.
    line = re.split(r"\. (?=[A-Z][^.]*\*\*)", line)[0]
    error = error_of_kind(kind)
    assert set(re.findall(r"`(fluxhybrid\.[A-Z]\w+)`", line)) <= {f"fluxhybrid.{error.__name__}"}
    assert set(re.findall(r"[Ee]xit code (\d+)", line)) <= {str(EXIT_CODES[kind])}
    if not code.startswith(("request.", "auth.")):
        assert set(re.findall(r"HTTP (\d+)", line)) <= {str(HTTP_STATUSES[kind])}


def _first_line(page: str) -> str:
    """The paragraph below the heading."""
    return page.split("\n\n")[1].replace("\n", " ")


def _kind(line: str) -> str:
    match = re.match(r"\*\*([^*]+)\*\*: ", line)
    assert match, line
    return match[1]


# --- the table --------------------------------------------------------------------------------


def test_table_has_every_page_once_with_its_kind() -> None:
    rows = re.findall(
        r"^\| \[`([a-z0-9_.*]+)`\]\(([a-z0-9_.]+)\.md\) \| ([^|]+) \| [^|]+ \|$",
        TABLE.read_text(encoding="utf-8"),
        re.MULTILINE,
    )
    pages = _pages()
    assert sorted(page for _, page, _ in rows) == sorted(pages)
    for code, page, kind in rows:
        assert code == (f"{page}.*" if page in FAMILIES else page)
        assert kind == _kind(_first_line(pages[page])), page


def test_table_of_kinds_is_that_of_the_sources() -> None:
    table = TABLE.read_text(encoding="utf-8")
    for name, kind in KINDS.items():
        if kind is not None:
            figures = f"{HTTP_STATUSES[kind]} | {EXIT_CODES[kind]}"
            row = rf"^\| {name} \| .+ \| {re.escape(figures)} \| `fluxhybrid\.(\w+)` \|$"
            (exception,) = re.findall(row, table, re.MULTILINE)
            assert exception == error_of_kind(kind).__name__


def test_pages_are_linked_from_where_people_look() -> None:
    assert "(docs/errors/README.md)" in (ROOT / "README.md").read_text(encoding="utf-8")
    assert "(errors/README.md)" in (ROOT / "docs" / "API.md").read_text(encoding="utf-8")


# --- what the pages name exists ---------------------------------------------------------------


def test_links_lead_somewhere() -> None:
    for page in PAGES.glob("*.md"):
        for link in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text(encoding="utf-8")):
            assert "://" in link or (PAGES / link).is_file(), f"{page.name}: {link}"


def test_settings_are_those_of_the_configuration() -> None:
    known: set[tuple[str, str]] = set()
    section = ""
    for line in (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8").splitlines():
        if heading := re.match(r"## `\[(\w+)\]`", line):
            section = heading[1]
        elif row := re.match(r"\| `(\w+)` \|", line):
            known.add((section, row[1]))
    for code, page in _pages().items():
        for named in re.findall(r"`\[(\w+)\] (\w+)", page):
            assert named in known, f"{code}: {named}"


def test_metrics_are_those_that_are_counted() -> None:
    sources = [
        ROOT / "rust" / "flux-engine" / "src" / "metrics.rs",
        ROOT / "python" / "fluxhybrid" / "operations" / "metrics.py",
    ]
    known = set()
    for source in sources:
        known |= set(re.findall(r"flux_[a-z_]+", source.read_text(encoding="utf-8")))
    for code, page in _pages().items():
        for named in re.findall(r"`(flux_[a-z_]+)`", page):
            # The library adds the ending to the counters it keeps.
            assert {named, named.removesuffix("_total")} & known, f"{code}: {named}"


def test_calls_are_those_of_the_api() -> None:
    call = r"`((?:GET|POST|PATCH|DELETE) /[^`? ]+)"
    known = _calls() | {"POST /device/v1/telemetry"}
    for code, page in _pages().items():
        for named in re.findall(call, page):
            assert named in known, f"{code}: {named}"


def test_call_of_devices_is_that_of_the_listener() -> None:
    route = ROOT / "rust" / "flux-gateway" / "src" / "http" / "route.rs"
    assert '"/device/v1/telemetry"' in route.read_text(encoding="utf-8")


def _calls() -> set[str]:
    """Every call of the API, from the routers themselves."""
    paths = describe(routes("1"), "1")["paths"]
    return {f"{method.upper()} {path}" for path, methods in paths.items() for method in methods}


# --- the readings themselves ------------------------------------------------------------------


def test_rust_is_read_without_its_comments_and_tests() -> None:
    source = """
    //! A comment: "a.comment".
    fn code(&self) -> &'static str {
        match self { Self::One('"') => "one", Self::Two { .. } => r#"two.raw"# }
    }
    fn check<'a>(text: &'a str) { wrong("three.given", "a sentence. Another", '\\''); }
    #[cfg(test)]
    mod tests { fn t() { assert_eq!(x, "four.tested"); let _ = ['}', '{']; } }
    #[cfg(test)]
    use five::six;
    const LAST: &str = "seven.last"; /* "eight.comment" */
    """
    assert rust_codes(source) == {"one", "two.raw", "three.given", "seven.last"}


def test_python_is_followed_through_calls() -> None:
    errors = """
class FluxError(Exception):
    def __init__(self, code, message): ...
class Gone(FluxError): ...
class Own(FluxError):
    def __init__(self, wait): super().__init__("own.made_up", "x")
class Problem:
    code: str
    message: str
"""
    caller = """
from errors import FluxError, Gone, Own, Problem
CODE = "from.constant"
def fail(what, *, code): raise Gone(code, "x")
def find(what): raise FluxError(f"{what}.missing", "x")
class Place:
    def problem(self, code): return Problem(code=code, message="x")
def everything(error, found):
    fail("no.code_at_all", code="by.keyword")
    find("thing")
    Place().problem("by.method")
    Problem(CODE, "x")
    Gone("a.yes" if found else "a.no", "x")
    Gone(error.code, "x")
    Gone(str(found.get("code", "in.case")), "x")
    Gone(f"family.{found['type']}", "x")
    Own(3)
"""
    other = """
def fail(code, text): print(code)
fail("not.a_code", "another function of that name")
"""
    found = python_codes({Path("errors"): errors, Path("caller"): caller, Path("other"): other})
    assert set(found.codes) == {
        "own.made_up",
        "by.keyword",
        "thing.missing",
        "by.method",
        "from.constant",
        "a.yes",
        "a.no",
        "in.case",
    }
    assert set(found.families) == {"family."}
    assert found.unclear == []


def test_python_code_that_cannot_be_told_is_reported() -> None:
    source = """
class FluxError(Exception): ...
def f(made): raise FluxError(made() + "x", "y")
"""
    found = python_codes({Path("m"): source})
    assert found.unclear == ["m:3: made() + 'x'"]
