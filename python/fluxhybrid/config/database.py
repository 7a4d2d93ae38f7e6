"""``[database]``: where configuration is kept, and how its URL is read.

Owns the notation of database URLs. Must never import the database library: what it gives is text.
"""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Annotated, Final, Self
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit, urlunsplit

from pydantic import AfterValidator, Field, StringConstraints, model_validator
from pydantic_core import PydanticCustomError

from fluxhybrid.config.quantities import Duration
from fluxhybrid.config.section import Section, contradiction
from fluxhybrid.errors import Invalid

__all__ = ["DatabaseConfig", "database_url_for_display", "sqlalchemy_url"]

_SCHEMES: Final = {
    "sqlite": "sqlite+aiosqlite",
    "sqlite+aiosqlite": "sqlite+aiosqlite",
    "postgres": "postgresql+asyncpg",
    "postgresql": "postgresql+asyncpg",
    "postgresql+asyncpg": "postgresql+asyncpg",
    "mysql": "mysql+asyncmy",
    "mysql+asyncmy": "mysql+asyncmy",
    "mariadb": "mysql+asyncmy",
}
_SQLITE_MODES: Final = ("ro", "rw", "rwc", "memory")
_SSL_MODES: Final = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
_MEMORY_URLS: Final = ("sqlite::memory:", "sqlite://:memory:", "sqlite:///:memory:")


def sqlalchemy_url(url: str, data_dir: Path) -> str:
    """A database URL as people write it, turned into one for SQLAlchemy's asyncio drivers.

    ``sqlite://flux.db?mode=rwc`` is a file in ``data_dir``, ``sqlite:///var/lib/flux.db`` the
    file at that absolute path, ``sqlite::memory:`` a database that ends with the process;
    ``postgres://`` and ``mysql://`` (or ``mariadb://``) name a server and a database.

    Raises:
        Invalid: ``database.url``: the URL cannot be read; says which part.
    """
    if url in _MEMORY_URLS:
        return "sqlite+aiosqlite:///:memory:"
    scheme, separator, _ = url.partition(":")
    driver = _SCHEMES.get(scheme.lower())
    if not separator or driver is None:
        raise _invalid(
            f"names no database this project knows: {_scheme_for_display(scheme)}",
            "start with sqlite://, postgres:// or mysql://",
        )
    if driver.startswith("sqlite"):
        return _sqlite(url, data_dir)
    return _server(url, driver)


def database_url_for_display(url: str) -> str:
    """The URL with its password and the values of its parameters out of sight."""
    head, separator, tail = url.rpartition("@")
    if not separator:
        return url
    scheme, slashes, authority = head.partition("://")
    user, colon, _ = authority.partition(":")
    return f"{scheme}{slashes}{user}{colon}{'***' if colon else ''}@{tail}"


def _sqlite(url: str, data_dir: Path) -> str:
    rest = url.partition(":")[2]
    if not rest.startswith("//"):
        raise _invalid("lacks the two slashes after sqlite:", 'write "sqlite://flux.db?mode=rwc"')
    name, _, query = rest[2:].partition("?")
    name = unquote(name)
    # "." and ".." stay as they are: the file may well be wanted outside of data_dir.
    if not name or name.endswith("/") or "\0" in name:
        raise _invalid("names no file", 'write "sqlite://flux.db?mode=rwc"')
    mode = "rwc"
    for key, value in _parameters(query):
        if key != "mode":
            raise _invalid(f'has a parameter "{key}" that is not known', 'only "mode" is')
        if value not in _SQLITE_MODES:
            raise _invalid(f'has mode "{value}"', f"the modes are {', '.join(_SQLITE_MODES)}")
        mode = value
    if mode == "memory":
        return "sqlite+aiosqlite:///:memory:"
    path = (data_dir / name).absolute()
    if mode == "rwc":
        # SQLite's own default; a plain path needs no second round of quoting.
        return f"sqlite+aiosqlite:///{_quoted_for_url(str(path))}"
    return f"sqlite+aiosqlite:///file:{quote(quote(str(path)))}?mode={mode}&uri=true"


def _quoted_for_url(path: str) -> str:
    # SQLAlchemy takes the database part as it stands up to the first "?", and decodes nothing.
    if "?" in path:
        raise _invalid("leads to a path with a question mark", "choose another data_dir or name")
    return path


def _server(url: str, driver: str) -> str:
    if "#" in url:
        raise _invalid(
            'has a "#" in it', "write # as %23, and other special letters of a password likewise"
        )
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        # The reader's own words may quote a piece of the password.
        raise _invalid(
            "cannot be read: host and port are not what they should be",
            f"{_server_example(driver)}, special letters of the password as %XX",
        ) from None
    if not parts.hostname:
        raise _invalid("names no host", _server_example(driver))
    if not parts.path.strip("/"):
        raise _invalid("names no database", _server_example(driver))
    if port == 0:
        raise _invalid("has port 0", _server_example(driver))
    parameters = _parameters(parts.query)
    query = _postgres_query(parameters) if "postgres" in driver else _mysql_query(parameters)
    return urlunsplit((driver, parts.netloc, parts.path, urlencode(query), ""))


def _postgres_query(parameters: list[tuple[str, str]]) -> dict[str, str]:
    query: dict[str, str] = {}
    for key, value in parameters:
        if key not in ("sslmode", "ssl"):
            raise _invalid(f'has a parameter "{key}" that is not known', 'only "sslmode" is')
        if value not in _SSL_MODES:
            raise _invalid(f'has {key} "{value}"', f"the modes are {', '.join(_SSL_MODES)}")
        query["ssl"] = value
    return query


def _mysql_query(parameters: list[tuple[str, str]]) -> dict[str, str]:
    query = {"charset": "utf8mb4"}
    for key, value in parameters:
        if key == "charset":
            query["charset"] = value
        elif key in ("ssl-mode", "sslmode"):
            # The driver wants a prepared TLS context, which a URL cannot carry: only what
            # allows plain text can be promised.
            if value.lower() not in ("disabled", "preferred"):
                raise _invalid(
                    f'has {key} "{value}", but TLS to MySQL is not supported yet',
                    "leave the parameter out and reach the database over a protected network",
                )
        else:
            raise _invalid(
                f'has a parameter "{key}" that is not known', 'only "charset" and "ssl-mode" are'
            )
    return query


def _parameters(query: str) -> list[tuple[str, str]]:
    try:
        return parse_qsl(query, keep_blank_values=True, strict_parsing=True, max_num_fields=16)
    except ValueError:
        if not query:
            return []
        raise _invalid("has parameters that cannot be read", "write ?name=value") from None


def _server_example(driver: str) -> str:
    scheme, port = ("postgres", 5432) if "postgres" in driver else ("mysql", 3306)
    return f'write "{scheme}://user:password@host:{port}/database"'


def _scheme_for_display(scheme: str) -> str:
    # What stands before the first colon may be anything, a password included.
    return f'"{scheme}://"' if scheme.isascii() and scheme.isalpha() else "no scheme at all"


def _invalid(message: str, hint: str) -> Invalid:
    return Invalid("database.url", message, hint=hint, pointer="/database/url")


def _readable(url: str) -> str:
    try:
        sqlalchemy_url(url, Path("/"))
    except Invalid as error:
        raise PydanticCustomError(
            "database_url", "{reason}", {"reason": error.message, "hint": error.hint or ""}
        ) from None
    return url


class DatabaseConfig(Section):
    """The metadata database: products, devices, rules, accounts. Data lives in the log."""

    url: Annotated[
        str, StringConstraints(min_length=1, max_length=2048), AfterValidator(_readable)
    ] = Field(
        "sqlite://flux.db?mode=rwc",
        description="`sqlite://FILE` (relative to `data_dir`), `postgres://` or `mysql://`.",
    )
    min_connections: int = Field(0, ge=0, le=1_000, description="Connections kept open while idle.")
    max_connections: int = Field(
        10, ge=1, le=1_000, description="Connections open at the same time."
    )
    acquire_timeout: Annotated[
        Duration, Field(ge=timedelta(milliseconds=1), le=timedelta(minutes=10))
    ] = Field(timedelta(seconds=30), description="Longest wait for a free connection.")

    @model_validator(mode="after")
    def _pool_is_not_inside_out(self) -> Self:
        if self.min_connections > self.max_connections:
            raise contradiction(
                "min_connections",
                f"is {self.min_connections}, more than max_connections ({self.max_connections})",
                "lower min_connections or raise max_connections",
                beside="max_connections",
            )
        return self

    def sqlalchemy_url(self, data_dir: Path) -> str:
        """The URL for SQLAlchemy's asyncio drivers; see the function of the same name."""
        return sqlalchemy_url(self.url, data_dir)
