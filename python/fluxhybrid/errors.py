"""Public exceptions: what can go wrong, in six kinds.

Owns the exception classes and the two tables that turn a kind into an exit code and an HTTP
status. Must never import anything else of the package: every room may raise these.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Any, ClassVar, Final

__all__ = [
    "EXIT_CODES",
    "HTTP_STATUSES",
    "Conflict",
    "Denied",
    "ErrorKind",
    "FluxError",
    "Internal",
    "Invalid",
    "NotFound",
    "Problem",
    "Unavailable",
    "error_of_kind",
]


class ErrorKind(StrEnum):
    """The six kinds every error of the project belongs to, in Rust and in Python alike."""

    INVALID = "invalid"
    """The caller's input is wrong; sending it again unchanged cannot succeed."""
    NOT_FOUND = "not_found"
    """What the caller named does not exist."""
    CONFLICT = "conflict"
    """The input is right, but contradicts the present state."""
    DENIED = "denied"
    """The caller is not allowed to do this."""
    UNAVAILABLE = "unavailable"
    """Right, allowed, but not now: overload, a full disk, a service that is down."""
    INTERNAL = "internal"
    """Our fault."""


EXIT_CODES: Final[Mapping[ErrorKind, int]] = MappingProxyType(
    {
        ErrorKind.INTERNAL: 1,
        ErrorKind.INVALID: 2,
        ErrorKind.NOT_FOUND: 3,
        ErrorKind.CONFLICT: 4,
        ErrorKind.DENIED: 5,
        ErrorKind.UNAVAILABLE: 6,
    }
)
"""Exit code of the command line for each kind; 0 is success, 2 is also wrong usage."""

HTTP_STATUSES: Final[Mapping[ErrorKind, int]] = MappingProxyType(
    {
        ErrorKind.INVALID: 422,
        ErrorKind.NOT_FOUND: 404,
        ErrorKind.CONFLICT: 409,
        ErrorKind.DENIED: 403,
        ErrorKind.UNAVAILABLE: 503,
        ErrorKind.INTERNAL: 500,
    }
)
"""HTTP status for each kind (RFC 9110, section 15)."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong: what, where, and how to mend it."""

    code: str
    """Stable dotted name, such as ``config.unknown_key``."""
    message: str
    """What is wrong, in one sentence."""
    hint: str | None = None
    """How to mend it."""
    pointer: str | None = None
    """JSON pointer (RFC 6901) into the input, such as ``/mqtt/port``."""
    source: str | None = None
    """What the input was: a file's path, an environment variable, a flag."""
    line: int | None = None
    """Line in ``source``, counted from 1."""
    column: int | None = None
    """Column in ``line``, counted from 1."""
    excerpt: str | None = None
    """The offending line itself, without its line end."""

    @property
    def where(self) -> str | None:
        """The place in one word, ``file:line:column`` as far as it is known."""
        parts = [self.source] if self.source else []
        if self.line is not None:
            parts.append(str(self.line) if parts else f"line {self.line}")
            if self.column is not None:
                parts.append(str(self.column))
        return ":".join(parts) or self.pointer


class FluxError(Exception):
    """Base of every error the project raises on purpose.

    Args:
        code: stable dotted name, such as ``rule.compile``.
        message: what is wrong, in one sentence.
        kind: one of the six kinds; a subclass brings its own.
        hint: how to mend it.
        pointer: JSON pointer into the input.
        source: what the input was: a file's path, an environment variable, a flag.
        line: line in the source, counted from 1.
        column: column in the line, counted from 1.
        excerpt: the offending line.
        problems: everything that is wrong, when it is more than one thing. Left out, the
            error is its own single problem.
    """

    default_kind: ClassVar[ErrorKind] = ErrorKind.INTERNAL

    def __init__(
        self,
        code: str,
        message: str,
        kind: ErrorKind | str | None = None,
        *,
        hint: str | None = None,
        pointer: str | None = None,
        source: str | None = None,
        line: int | None = None,
        column: int | None = None,
        excerpt: str | None = None,
        problems: Iterable[Problem] = (),
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.kind = self.default_kind if kind is None else ErrorKind(kind)
        self.hint = hint
        self.pointer = pointer
        self.source = source
        self.line = line
        self.column = column
        self.excerpt = excerpt
        self.problems: tuple[Problem, ...] = tuple(problems) or (
            Problem(code, message, hint, pointer, source, line, column, excerpt),
        )

    @classmethod
    def of(cls, problem: Problem) -> FluxError:
        """The error that carries exactly this problem."""
        return cls(
            problem.code,
            problem.message,
            hint=problem.hint,
            pointer=problem.pointer,
            source=problem.source,
            line=problem.line,
            column=problem.column,
            excerpt=problem.excerpt,
        )

    @property
    def exit_code(self) -> int:
        """Exit code of the command line."""
        return EXIT_CODES[self.kind]

    @property
    def http_status(self) -> int:
        """HTTP status of a response that reports this error."""
        return HTTP_STATUSES[self.kind]

    def __str__(self) -> str:
        return self.message

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.code!r}, {self.message!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        # Errors cross process borders (pytest workers, multiprocessing) whole.
        return (_rebuilt, (type(self), self.code, self.message, dict(self.__dict__)))


def _rebuilt(
    cls: type[FluxError], code: str, message: str, state: Mapping[str, object]
) -> FluxError:
    error = cls(code, message)
    error.__dict__.update(state)
    return error


class Invalid(FluxError):
    """The caller's input is wrong; sending it again unchanged cannot succeed."""

    default_kind = ErrorKind.INVALID


class NotFound(FluxError):
    """What the caller named does not exist."""

    default_kind = ErrorKind.NOT_FOUND


class Conflict(FluxError):
    """The input is right, but contradicts the present state."""

    default_kind = ErrorKind.CONFLICT


class Denied(FluxError):
    """The caller is not allowed to do this."""

    default_kind = ErrorKind.DENIED


class Unavailable(FluxError):
    """Right, allowed, but not now."""

    default_kind = ErrorKind.UNAVAILABLE


class Internal(FluxError):
    """Our fault: a broken promise inside the project."""

    default_kind = ErrorKind.INTERNAL


_CLASSES: Final[Mapping[ErrorKind, type[FluxError]]] = MappingProxyType(
    {cls.default_kind: cls for cls in (Invalid, NotFound, Conflict, Denied, Unavailable, Internal)}
)


def error_of_kind(kind: ErrorKind | str) -> type[FluxError]:
    """The exception class of a kind, given as an ``ErrorKind`` or by its name.

    Raises:
        ValueError: there is no such kind.
    """
    return _CLASSES[ErrorKind(kind)]
