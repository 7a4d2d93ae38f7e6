"""The codes of errors, found in the sources of both languages.

Owns the two readings: Rust's literals, and the way of a code through Python's calls. Must never
import or run what it reads: a code is found whether or not anything can raise it here.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, TypeAlias

__all__ = [
    "Found",
    "python_codes",
    "python_kinds",
    "python_sources",
    "rust_codes",
    "rust_sources",
]

DOTTED: Final = re.compile(r"[a-z][a-z0-9_]*(?:\.[a-z][a-z0-9_]*)+")
"""How a code is written."""

# --- Rust -------------------------------------------------------------------------------------

_TOKEN: Final = re.compile(
    r"""
      (?P<comment> //[^\n]* | /\*.*?\*/ )
    | b?r(?P<hashes>\#*)"(?P<raw>.*?)"(?P=hashes)
    | b?"(?P<text>(?:\\.|[^"\\])*)"
    | (?P<letter> b?'(?:\\u\{[0-9a-fA-F]+\}|\\x[0-9a-fA-F]{2}|\\.|[^\\'])' )
    | (?P<word> '?[A-Za-z_][A-Za-z0-9_]* )
    | (?P<sign> [^\s] )
    """,
    re.VERBOSE | re.DOTALL,
)
_OPENING: Final = {"{": "}", "(": ")", "[": "]"}


@dataclass(frozen=True, slots=True)
class _Token:
    text: str
    literal: bool = False


def rust_sources(root: Path) -> Iterator[Path]:
    """What is built into the program: no tests, examples or benchmarks."""
    for path in sorted((root / "rust").glob("*/src/**/*.rs")):
        if "tests" not in path.parts and path.name != "tests.rs":
            yield path


def rust_codes(source: str) -> set[str]:
    """Every code in a Rust source: what ``fn code`` can answer, and every dotted literal.

    Taking all dotted literals finds codes however they are handed on; what else is written like
    one is for the caller to leave out.
    """
    tokens = _without_tests(list(_tokens(source)))
    codes = {token.text for token in tokens if token.literal and DOTTED.fullmatch(token.text)}
    for place, token in enumerate(tokens):
        if token.text == "code" and place and tokens[place - 1].text == "fn":
            body = _body(tokens, place)
            codes |= {token.text for token in body if token.literal}
    return codes


def _tokens(source: str) -> Iterator[_Token]:
    for match in _TOKEN.finditer(source):
        if match["comment"] is not None or match["letter"] is not None:
            continue
        for literal in ("raw", "text"):
            if match[literal] is not None:
                yield _Token(match[literal], literal=True)
                break
        else:
            yield _Token(match[0])


def _without_tests(tokens: list[_Token]) -> list[_Token]:
    """The tokens outside of items marked ``#[cfg(test)]``."""
    mark = [_Token(sign) for sign in ("#", "[", "cfg", "(", "test", ")", "]")]
    kept: list[_Token] = []
    place = 0
    while place < len(tokens):
        if tokens[place : place + len(mark)] == mark:
            place = _end_of_item(tokens, place + len(mark))
        else:
            kept.append(tokens[place])
            place += 1
    return kept


def _end_of_item(tokens: list[_Token], place: int) -> int:
    """Behind the ``;`` or the braces an item ends with."""
    while place < len(tokens):
        token = tokens[place]
        if not token.literal and token.text in _OPENING:
            place = _end_of_group(tokens, place)
            if token.text == "{":
                return place
            continue
        place += 1
        if not token.literal and token.text == ";":
            return place
    return place


def _end_of_group(tokens: list[_Token], place: int) -> int:
    """Behind what closes the bracket at ``place``."""
    expected: list[str] = []
    for index in range(place, len(tokens)):
        token = tokens[index]
        if token.literal:
            continue
        if token.text in _OPENING:
            expected.append(_OPENING[token.text])
        elif expected and token.text == expected[-1]:
            expected.pop()
            if not expected:
                return index + 1
    return len(tokens)


def _body(tokens: list[_Token], place: int) -> list[_Token]:
    """The braces of the function whose name is at ``place``, if it has any."""
    for index in range(place, len(tokens)):
        if tokens[index].literal:
            continue
        if tokens[index].text == ";":
            return []
        if tokens[index].text == "{":
            return tokens[index : _end_of_group(tokens, index)]
    return []


# --- Python -----------------------------------------------------------------------------------

Function: TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True, slots=True)
class _Taker:
    """Something that is given a code when it is called."""

    name: str
    position: int | None
    """Of the argument, not counting ``self``; ``None`` where it is given by its name only."""
    keyword: str
    method: bool = False
    home: Path | None = None
    """The module it is defined in; none for what a library defines."""
    template: str = "{}"
    """What becomes of the argument: ``{}.not_found``."""


@dataclass(slots=True)
class Found:
    """What a reading found."""

    codes: dict[str, set[Path]] = field(default_factory=dict)
    """By code, the modules it stands in."""
    families: dict[str, set[Path]] = field(default_factory=dict)
    """By what they begin with, codes that are put together while the program runs."""
    unclear: list[str] = field(default_factory=list)
    """Places whose code this reading cannot tell."""


def python_sources(root: Path) -> Iterator[Path]:
    """Every module of the package."""
    yield from sorted((root / "python" / "fluxhybrid").glob("**/*.py"))


def python_codes(sources: Mapping[Path, str], base: str = "FluxError") -> Found:
    """Every code in Python sources.

    It begins with the error classes and the classes that have a member ``code``, and follows codes
    back: a function that hands a parameter of its own on as a code is given codes itself, and so
    on, until nothing new turns up.

    Args:
        sources: text of each module.
        base: the class of errors, whose first argument is a code.
    """
    trees = {path: ast.parse(text) for path, text in sources.items()}
    errors = _error_classes(trees.values(), base)
    takers = _classes(trees, errors) | {_Taker(base, 0, "code")}
    return _followed(trees, errors, takers)


def python_kinds(sources: Mapping[Path, str], error: str = "PydanticCustomError") -> Found:
    """Every kind of our own among a library's errors: its first argument, followed likewise."""
    trees = {path: ast.parse(text) for path, text in sources.items()}
    return _followed(trees, frozenset(), frozenset((_Taker(error, 0, "error_type"),)))


def _followed(
    trees: Mapping[Path, ast.Module], errors: frozenset[str], takers: frozenset[_Taker]
) -> Found:
    while True:
        reading = _Reading(errors, takers)
        for path, tree in trees.items():
            reading.read(path, tree)
        if reading.takers == takers:
            return reading.found
        takers = reading.takers


def _error_classes(trees: Iterable[ast.Module], base: str) -> frozenset[str]:
    bases = {
        node.name: {of.id for of in node.bases if isinstance(of, ast.Name)}
        for tree in trees
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef)
    }
    classes = {base}
    while derived := {name for name, of in bases.items() if of & classes} - classes:
        classes |= derived
    return frozenset(classes)


def _classes(trees: Mapping[Path, ast.Module], errors: frozenset[str]) -> frozenset[_Taker]:
    takers: set[_Taker] = set()
    for path, tree in trees.items():
        for node in ast.walk(tree):
            if not isinstance(node, ast.ClassDef):
                continue
            members = [
                member.target.id
                for member in node.body
                if isinstance(member, ast.AnnAssign) and isinstance(member.target, ast.Name)
            ]
            own_init = any(_is_function(member, "__init__") for member in node.body)
            if node.name in errors:
                # With an __init__ of its own it makes its code up: that of super() is read then.
                if not own_init:
                    takers.add(_Taker(node.name, 0, "code", home=path))
            elif "code" in members:
                of = {base.id for base in node.bases if isinstance(base, ast.Name)}
                position = None if "BaseModel" in of else members.index("code")
                takers.add(_Taker(node.name, position, "code", home=path))
    return frozenset(takers)


def _is_function(node: ast.stmt, name: str) -> bool:
    return isinstance(node, ast.FunctionDef) and node.name == name


class _Reading(ast.NodeVisitor):
    """One reading of all modules, with the takers known so far."""

    def __init__(self, errors: frozenset[str], takers: frozenset[_Taker]) -> None:
        self.found = Found()
        self.takers = takers
        self._errors = errors
        self._path = Path()
        self._module = ast.Module([], [])
        self._imported: set[str] = set()
        self._functions: list[Function] = []
        self._classes: list[ast.ClassDef] = []

    def read(self, path: Path, tree: ast.Module) -> None:
        self._path, self._module = path, tree
        self._imported = {
            name.asname or name.name
            for node in ast.walk(tree)
            if isinstance(node, ast.ImportFrom)
            for name in node.names
        }
        self.visit(tree)

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        self._classes.append(node)
        self.generic_visit(node)
        self._classes.pop()

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        self._visit_function(node)

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> None:
        self._visit_function(node)

    def _visit_function(self, node: Function) -> None:
        self._functions.append(node)
        self.generic_visit(node)
        self._functions.pop()

    def visit_Call(self, node: ast.Call) -> None:
        self.generic_visit(node)
        for taker in self._called(node):
            self._take(node, taker)

    def _called(self, node: ast.Call) -> Iterator[_Taker]:
        match node.func:
            case ast.Name(name):
                for taker in self.takers:
                    here = taker.home == self._path or name in self._imported
                    if taker.name == name and not taker.method and here:
                        yield taker
            case ast.Attribute(ast.Call(ast.Name("super")), "__init__"):
                if self._classes and self._classes[-1].name in self._errors:
                    yield _Taker("super", 0, "code")
            case ast.Attribute(_, name):
                yield from (t for t in self.takers if t.name == name and t.method)

    def _take(self, node: ast.Call, taker: _Taker) -> None:
        given = [word.value for word in node.keywords if word.arg == taker.keyword]
        if not given and taker.position is not None and taker.position < len(node.args):
            given = [node.args[taker.position]]
        if given and not isinstance(given[0], ast.Starred):
            self._follow(given[0], taker.template)
        else:
            self._cannot_tell(node)

    def _follow(self, given: ast.expr, template: str) -> None:
        match given:
            case ast.Constant(str(text)):
                self._note(template.format(text))
            case ast.Attribute(_, "code") | ast.Subscript(_, ast.Constant("code")):
                pass  # An error that is there already is passed on.
            case ast.IfExp(_, first, second):
                self._follow(first, template)
                self._follow(second, template)
            case ast.JoinedStr(parts):
                self._follow_joined(given, parts, template)
            case ast.Name(name):
                self._follow_name(given, name, template)
            case ast.Call():
                # Read from elsewhere, with a code in case there is none.
                codes = [text for text in _texts(given) if DOTTED.fullmatch(text)]
                for code in codes:
                    self._note(template.format(code))
                if not codes:
                    self._cannot_tell(given)
            case _:
                self._cannot_tell(given)

    def _follow_joined(self, given: ast.expr, parts: list[ast.expr], template: str) -> None:
        """An f-string: with one parameter in it it is a template, else it begins a family."""
        texts = [part.value if isinstance(part, ast.Constant) else "{}" for part in parts]
        joined = template.format("".join(str(text) for text in texts))
        inner = [part.value for part in parts if isinstance(part, ast.FormattedValue)]
        match inner:
            case [ast.Name(name)] if self._owner(name) is not None:
                self._follow_name(given, name, joined)
            case [_, *_] if not joined.startswith("{}"):
                begins = joined[: joined.index("{}")]
                self.found.families.setdefault(begins, set()).add(self._path)
            case _:
                self._cannot_tell(given)

    def _follow_name(self, given: ast.expr, name: str, template: str) -> None:
        owner = self._owner(name)
        if owner is not None:
            self._hand_back(owner, name, template)
            return
        scopes: list[ast.AST] = [*reversed(self._functions), self._module]
        for scope in scopes:
            values = list(_assigned(scope, name))
            for value in values:
                self._follow(value, template)
            if values:
                return
        self._cannot_tell(given)

    def _owner(self, name: str) -> Function | None:
        """The function around this place that has the name as a parameter."""
        return next((f for f in reversed(self._functions) if name in _parameters(f)), None)

    def _hand_back(self, owner: Function, name: str, template: str) -> None:
        """Whoever calls the function gives the code."""
        method = bool(self._classes) and owner in self._classes[-1].body
        positional = [a.arg for a in (*owner.args.posonlyargs, *owner.args.args)][method:]
        position = positional.index(name) if name in positional else None
        taker = _Taker(owner.name, position, name, method, self._path, template)
        if owner.name != "__init__":  # Else its class is a taker already.
            self.takers |= {taker}

    def _note(self, code: str) -> None:
        self.found.codes.setdefault(code, set()).add(self._path)

    def _cannot_tell(self, node: ast.expr) -> None:
        self.found.unclear.append(f"{self._path}:{node.lineno}: {ast.unparse(node)}")


def _texts(node: ast.expr) -> Iterator[str]:
    for part in ast.walk(node):
        if isinstance(part, ast.Constant) and isinstance(part.value, str):
            yield part.value


def _assigned(scope: ast.AST, name: str) -> Iterator[ast.expr]:
    """What is assigned to a name."""
    for node in ast.walk(scope):
        match node:
            case ast.Assign(targets, value) if _is_among(targets, name):
                yield value
            case ast.AnnAssign(ast.Name(target), _, ast.expr() as value) if target == name:
                yield value


def _is_among(targets: list[ast.expr], name: str) -> bool:
    return any(isinstance(target, ast.Name) and target.id == name for target in targets)


def _parameters(function: Function) -> set[str]:
    arguments = function.args
    every = (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)
    return {argument.arg for argument in every}
