"""Database URLs as people write them become URLs for the asyncio drivers, or a clear error."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from urllib.parse import unquote

import pytest
import sqlalchemy
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy.ext.asyncio import create_async_engine

from fluxhybrid.config import database_url_for_display, sqlalchemy_url
from fluxhybrid.errors import Invalid

DATA = Path("/var/lib/flux")


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("sqlite://flux.db?mode=rwc", "sqlite+aiosqlite:////var/lib/flux/flux.db"),
        ("sqlite://flux.db", "sqlite+aiosqlite:////var/lib/flux/flux.db"),
        ("sqlite:///srv/flux.db", "sqlite+aiosqlite:////srv/flux.db"),
        ("sqlite://a%20b.db", "sqlite+aiosqlite:////var/lib/flux/a b.db"),
        ("sqlite::memory:", "sqlite+aiosqlite:///:memory:"),
        ("sqlite://:memory:", "sqlite+aiosqlite:///:memory:"),
        ("sqlite://flux.db?mode=memory", "sqlite+aiosqlite:///:memory:"),
        ("postgres://u:p@h/db", "postgresql+asyncpg://u:p@h/db"),
        ("postgresql://u:p%40@h:5433/db", "postgresql+asyncpg://u:p%40@h:5433/db"),
        ("postgresql+asyncpg://h/db", "postgresql+asyncpg://h/db"),
        ("postgres://[::1]:5432/db", "postgresql+asyncpg://[::1]:5432/db"),
        ("postgres://h/db?sslmode=verify-full", "postgresql+asyncpg://h/db?ssl=verify-full"),
        ("mysql://u:p@h:3307/db", "mysql+asyncmy://u:p@h:3307/db?charset=utf8mb4"),
        ("mariadb://h/db", "mysql+asyncmy://h/db?charset=utf8mb4"),
        ("mysql://h/db?ssl-mode=DISABLED", "mysql+asyncmy://h/db?charset=utf8mb4"),
    ],
)
def test_url_is_translated(url: str, expected: str) -> None:
    assert sqlalchemy_url(url, DATA) == expected
    sqlalchemy.make_url(expected)


@pytest.mark.parametrize(
    ("url", "what"),
    [
        ("", "names no database this project knows"),
        ("flux.db", "names no database this project knows"),
        ("oracle://h/db", "oracle://"),
        ("sqlite:flux.db", "two slashes"),
        ("sqlite://", "names no file"),
        ("sqlite://dir/", "names no file"),
        ("sqlite://a.db?mode=rx", 'mode "rx"'),
        ("sqlite://a.db?cache=shared", '"cache"'),
        ("sqlite://a.db?x", "cannot be read"),
        ("sqlite://a%3Fb.db", "question mark"),
        ("postgres:///db", "names no host"),
        ("postgres://h", "names no database"),
        ("postgres://h/", "names no database"),
        ("postgres://h:0/db", "port 0"),
        ("postgres://h:99999/db", "cannot be read"),
        ("postgres://[::1/db", "cannot be read"),
        ("postgres://u:p#w@h/db", '"#"'),
        ("postgres://h/db?sslmode=maybe", 'sslmode "maybe"'),
        ("postgres://h/db?application_name=x", '"application_name"'),
        ("mysql://h/db?ssl-mode=REQUIRED", "not supported yet"),
        ("mysql://h/db?foo=1", '"foo"'),
    ],
)
def test_url_that_cannot_be_read_says_which_part(url: str, what: str) -> None:
    with pytest.raises(Invalid) as caught:
        sqlalchemy_url(url, DATA)
    assert what in caught.value.message
    assert caught.value.code == "database.url"
    assert caught.value.pointer == "/database/url"
    assert caught.value.hint


@given(st.text(max_size=60))
def test_no_text_breaks_the_translation(text: str) -> None:
    for url in (text, f"sqlite://{text}", f"postgres://{text}", f"mysql://h/{text}"):
        try:
            translated = sqlalchemy_url(url, DATA)
        except Invalid:
            continue
        assert translated.partition(":")[0] in (
            "sqlite+aiosqlite",
            "postgresql+asyncpg",
            "mysql+asyncmy",
        )


@pytest.mark.parametrize("name", ["flux.db", "with space.db", "ümläut.db", "100%25.db", "a#b.db"])
async def test_translated_sqlite_url_opens_the_file_it_names(tmp_path: Path, name: str) -> None:
    engine = create_async_engine(sqlalchemy_url(f"sqlite://{name}?mode=rwc", tmp_path))
    async with engine.begin() as connection:
        await connection.execute(sqlalchemy.text("create table t (x)"))
    await engine.dispose()
    with sqlite3.connect(tmp_path / unquote(name)) as database:
        assert database.execute("select name from sqlite_master").fetchall() == [("t",)]


def test_sqlite_opened_read_only_refuses_to_write(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "a b.db") as database:
        database.execute("create table t (x)")
    engine = blocking_engine("sqlite://a b.db?mode=ro", tmp_path)
    with (
        pytest.raises(sqlalchemy.exc.OperationalError, match="readonly"),
        engine.begin() as connection,
    ):
        connection.execute(sqlalchemy.text("insert into t values (1)"))
    engine.dispose()


def test_sqlite_opened_read_write_does_not_make_the_file(tmp_path: Path) -> None:
    engine = blocking_engine("sqlite://absent.db?mode=rw", tmp_path)
    with pytest.raises(sqlalchemy.exc.OperationalError, match="unable to open"):
        engine.connect()
    engine.dispose()
    assert not (tmp_path / "absent.db").exists()


def blocking_engine(url: str, data_dir: Path) -> sqlalchemy.Engine:
    """The translated URL, opened by SQLite's own driver: the path goes the same way."""
    translated = sqlalchemy.make_url(sqlalchemy_url(url, data_dir))
    return sqlalchemy.create_engine(translated.set(drivername="sqlite"))


@pytest.mark.parametrize("url", ["postgres://u:top/se#cret@h/db", "postgres://u:top/se:c@h:x/db"])
def test_error_about_a_url_holds_no_password(url: str) -> None:
    with pytest.raises(Invalid) as caught:
        sqlalchemy_url(url, DATA)
    for part in ("top", "se", "cret"):
        assert part not in f"{caught.value.message} {caught.value.hint}".split()
        assert f"'{part}'" not in caught.value.message


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgres://user:se:cr@et@host/db", "postgres://user:***@host/db"),
        ("postgres://user@host/db", "postgres://user@host/db"),
        ("sqlite://flux.db", "sqlite://flux.db"),
    ],
)
def test_password_is_not_shown(url: str, shown: str) -> None:
    assert database_url_for_display(url) == shown
