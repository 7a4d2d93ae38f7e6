"""Defaults, file, environment, flags: which value wins, where it came from, what is refused."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from fluxhybrid.config import Config, Flag, load
from fluxhybrid.config.reference import reference
from fluxhybrid.config.settings import KeyPath, Kind, Setting, settings
from fluxhybrid.config.show import as_toml, toml_value
from fluxhybrid.errors import Denied, FluxError, Invalid, NotFound, Problem, Unavailable


def write(folder: Path, text: str) -> Path:
    file = folder / "fluxhybrid.toml"
    file.write_text(text, encoding="utf-8")
    return file


def problems(file: Path | None = None, env: dict[str, str] | None = None) -> list[Problem]:
    with pytest.raises(Invalid) as caught:
        load(file, environ=env or {})
    return list(caught.value.problems)


def test_defaults_are_those_of_the_contract(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    config = load(environ={}).config
    assert config == Config()
    assert config.data_dir == Path("./fluxhybrid-data")
    assert (config.server.host, config.server.port) == ("127.0.0.1", 8080)
    assert (config.mqtt.host, config.mqtt.port, config.mqtt.workers) == ("127.0.0.1", 1883, 2)
    assert config.mqtt.allow_anonymous is False
    assert config.devices.port == 8081
    assert config.metrics.port == 9090
    assert config.eventbus.capacity == 1024
    assert config.database.url == "sqlite://flux.db?mode=rwc"
    assert (config.database.min_connections, config.database.max_connections) == (0, 10)
    assert config.database.acquire_timeout.total_seconds() == 30
    assert (config.plugins.dir, config.plugins.pool_size) == (Path("./plugins"), 4)
    assert config.plugins.max_memory_bytes == 16 * 2**20
    assert config.logging.level == "info"


def test_flags_go_over_environment_over_file_over_defaults(tmp_path: Path) -> None:
    file = write(tmp_path, "[mqtt]\nport = 1\nworkers = 3\n[server]\nport = 2\nhost = 'h'\n")
    environ = {"FLUXHYBRID_MQTT__PORT": "11", "FLUXHYBRID_SERVER__PORT": "12"}
    loaded = load(file, environ=environ, flags=[Flag(("mqtt", "port"), 21, "--mqtt-port")])
    assert (loaded.config.mqtt.port, loaded.config.server.port) == (21, 12)
    assert (loaded.config.mqtt.workers, loaded.config.server.host) == (3, "h")
    assert str(loaded.origin(("mqtt", "port"))) == "flag --mqtt-port"
    assert str(loaded.origin(("server", "port"))) == "env FLUXHYBRID_SERVER__PORT"
    assert str(loaded.origin(("mqtt", "workers"))) == f"{file}:3"
    assert str(loaded.origin(("metrics", "port"))) == "default"


PORTS: list[KeyPath] = [("mqtt", "port"), ("server", "port"), ("metrics", "port")]
layer = st.dictionaries(st.sampled_from(PORTS), st.integers(0, 65535))


@given(in_file=layer, in_env=layer, in_flags=layer)
@hypothesis_settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_every_value_is_that_of_the_highest_layer_that_gives_it(
    tmp_path: Path,
    in_file: dict[KeyPath, int],
    in_env: dict[KeyPath, int],
    in_flags: dict[KeyPath, int],
) -> None:
    file = write(tmp_path, "".join(f"{s}.{k} = {v}\n" for (s, k), v in in_file.items()))
    environ = {f"FLUXHYBRID_{s}__{k}".upper(): str(v) for (s, k), v in in_env.items()}
    flags = [Flag(path, value, "--x") for path, value in in_flags.items()]
    loaded = load(file, environ=environ, flags=flags)
    for path in PORTS:
        layers = [("flag", in_flags), ("environment", in_env), ("file", in_file)]
        expected = next(
            ((name, values[path]) for name, values in layers if path in values),
            ("default", settings()[path].default),
        )
        value = getattr(getattr(loaded.config, path[0]), path[1])
        assert (loaded.origin(path).layer, value) == expected


def some_value(setting: Setting) -> st.SearchStrategy[Any]:
    if setting.kind is Kind.BOOLEAN:
        # TLS is refused; what is left of booleans is whether anonymous clients are let in.
        return st.just(False) if "tls" in setting.path[-1] else st.booleans()
    if setting.kind is Kind.CHOICE:
        return st.sampled_from(setting.choices)
    if setting.least is not None and setting.kind is not Kind.DURATION:
        step = 4096 if setting.path[-1] == "log_segment_bytes" else 1
        return st.integers(setting.least // step, setting.most // step).map(lambda n: n * step)
    if setting.kind is Kind.DURATION:
        return st.timedeltas(setting.least, setting.most)
    if setting.path == ("site", "env"):
        names = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,8}", fullmatch=True)
        letters = st.characters(codec="utf-8")
        scalars = st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.text(letters, max_size=9)
        return st.dictionaries(names, scalars | st.floats(allow_nan=False), max_size=3)
    return st.just(setting.default)


@given(data=st.data())
@hypothesis_settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_configuration_shown_as_toml_reads_back_the_same(
    tmp_path: Path, data: st.DataObject
) -> None:
    paths = data.draw(st.lists(st.sampled_from(list(settings())), unique=True, max_size=8))
    tree: dict[str, Any] = {}
    for setting in map(settings().__getitem__, paths):
        table = tree
        for part in setting.path[:-1]:
            table = table.setdefault(part, {})
        table[setting.path[-1]] = data.draw(some_value(setting))
    try:
        config = Config.model_validate(tree)
    except ValueError:
        return  # the choice contradicted itself
    loaded = load(write(tmp_path, ""), environ={})
    file = write(tmp_path, as_toml(type(loaded)(config, {}, (), None), origins=True))
    assert load(file, environ={}).config == config


def test_every_setting_can_be_given_in_the_environment(tmp_path: Path) -> None:
    for path, setting in settings().items():
        if setting.kind is Kind.TABLE or setting.default is None:
            continue
        text = setting.text_of(setting.default)
        loaded = load(write(tmp_path, ""), environ={setting.env_name: text})
        assert loaded.config == Config()
        assert loaded.origin(path).source == setting.env_name


def test_constants_of_the_site_keep_their_types(tmp_path: Path) -> None:
    file = write(tmp_path, '[site.env]\nlimit = 3\nratio = 0.5\non = true\nname = "3"\n')
    environ = {"FLUXHYBRID_SITE__ENV__LINE": "7", "FLUXHYBRID_SITE__ENV__CODE": "007"}
    env = load(file, environ=environ).config.site.env
    assert env == {
        "limit": 3, "ratio": 0.5, "on": True, "name": "3", "line": 7, "code": "007"
    }  # fmt: skip
    assert type(env["on"]) is bool


@pytest.mark.parametrize(
    ("text", "place", "says", "mend"),
    [
        ("[mqtt]\nworker = 2", ":2:1", '"mqtt.worker" is not', '"mqtt.workers"'),
        ("[mqqt]\n", ":1:2", '"mqqt" is not', '"mqtt"'),
        ("capacity = 9", ":1:1", '"capacity" is not', '"eventbus.capacity"'),
        ("[mqtt]\nzzz = 2", ":2:1", '"mqtt.zzz" is not', "[mqtt] knows:"),
        ("mqtt.port = '1'", ":1:6", 'must be a whole number, is the text "1"', "port = 1883"),
        ("mqtt = { port = 1.5 }", ":1:10", "is the number 1.5", "port = 1883"),
        ("[mqtt]\nport = 70000", ":2:1", "at most 65535, is 70000", "between 0 and 65535"),
        ("[mqtt]\nworkers = 0", ":2:1", "at least 1, is 0", "between 1 and 64"),
        ("[mqtt]\nallow_anonymous = 'no'", ":2:1", "true or false", "allow_anonymous = false"),
        ("[mqtt]\nhost = ''", ":2:1", "must not be empty", "127.0.0.1"),
        ("[mqtt]\nhost = 'a b'", ":2:1", "letters it may not have", "127.0.0.1"),
        ("[mqtt]\nhost = 5", ":2:1", "must be text, is the number 5", "127.0.0.1"),
        ("[mqtt]\nenable_tls = true", ":2:1", "does not have", "proxy"),
        ("mqtt = 5", ":1:1", "must be a table", "[mqtt]"),
        ("[site]\nenv = 5", ":2:1", "must be a table", "[site.env]"),
        ("[site.env]\na = [1]", ":2:1", "site.env.a must be text", "single value"),
        ('[site.env]\n"a-b" = 1', ":2:1", "no name a script can use", "underscores"),
        ("[site]\ntimezone = 'Mars'", ":2:1", "names no time zone", "Europe/Berlin"),
        ("[rules]\ncall_deadline = 5", ":2:1", "needs a unit", "30s"),
        ("[rules]\ncall_deadline = '5 s'", ":2:1", "is not a duration", "30s"),
        ("[rules]\ncall_deadline = '1m'", ":2:1", "at most 10s, is 1m", "default is 5ms"),
        ("[rules]\nstring_bytes_max = '1XB'", ":2:1", "is not a size", "64MiB"),
        ("[engine]\ndurability = 'snyc'", ":2:1", 'one of "sync", "none"', '"sync"?'),
        ("[engine]\nlog_segment_bytes = 8388609", ":2:1", "multiple of 4096", "32MiB"),
        ("[engine]\nlog_segment_bytes = '2GiB'", ":2:1", "two segments", "raise it"),
        ("[mqtt]\npacket_bytes_max = '6MiB'", ":2:1", "log_inflight_bytes_max", "raise engine"),
        ("[database]\nmin_connections = 11", ":2:1", "more than max_connections (10)", "lower"),
        ("[database]\nurl = 'redis://h'", ":2:1", "no database this project knows", "sqlite://"),
        ("[logging]\nlevel = 'loud'", ":2:1", 'no level: "loud"', "off, error"),
        ("[webhook]\nbackoff_min = '10m'", ":2:1", "longer than backoff_max", "raise"),
    ],
)
def test_mistake_is_told_with_its_place_and_its_mend(
    tmp_path: Path, text: str, place: str, says: str, mend: str
) -> None:
    file = write(tmp_path, text)
    (problem,) = problems(file)
    assert problem.where == f"{file}{place}"
    assert says in problem.message
    assert problem.hint is not None
    assert mend in problem.hint
    assert problem.pointer
    assert problem.excerpt == text.split("\n")[problem.line - 1 if problem.line else 0]


def test_all_mistakes_are_told_at_once_in_the_order_of_the_file(tmp_path: Path) -> None:
    text = """\
[database]
url = 'x'
min_connections = 99
[mqtt]
port = 'x'
enable_tls = true
x = 1
"""
    found = problems(write(tmp_path, text), {"FLUXHYBRID_SERVER__PORT": "eighty"})
    assert [problem.line for problem in found] == [2, 3, 5, 6, 7, None]
    assert found[-1].where == "FLUXHYBRID_SERVER__PORT"


def test_contradiction_with_a_value_that_is_itself_wrong_is_not_told(tmp_path: Path) -> None:
    file = write(tmp_path, "[database]\nmin_connections = 20\nmax_connections = 'thirty'\n")
    assert [p.pointer for p in problems(file)] == ["/database/max_connections"]


@pytest.mark.parametrize(
    ("text", "line", "column"),
    [("[mqtt\nport = 1", 1, 6), ("a = ", 1, 5), ("[mqtt]\nport = 1\nport = 2", 3, 9), ("a", 1, 2)],
)
def test_text_that_is_not_toml_is_told_with_line_and_column(
    tmp_path: Path, text: str, line: int, column: int
) -> None:
    (problem,) = problems(write(tmp_path, text))
    assert (problem.code, problem.line, problem.column) == ("config.syntax", line, column)
    assert problem.excerpt == text.split("\n")[line - 1]
    assert problem.hint


def test_wrong_toml_does_not_hide_mistakes_elsewhere(tmp_path: Path) -> None:
    found = problems(write(tmp_path, "a = "), {"FLUXHYBRID_MQTT__PORT": "x"})
    assert {p.code for p in found} == {"config.syntax", "config.invalid_value"}


def test_tables_nested_without_end_are_refused(tmp_path: Path) -> None:
    found = problems(write(tmp_path, "a = " + "[" * 100_000))
    assert [p.code for p in found] == ["config.syntax"]


def test_file_that_is_missing_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(NotFound) as caught:
        load(tmp_path / "absent.toml", environ={})
    assert caught.value.code == "config.not_found"
    assert caught.value.source == str(tmp_path / "absent.toml")


def test_file_named_by_the_environment_must_exist(tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        load(environ={"FLUXHYBRID_CONFIG": str(tmp_path / "absent.toml")})


def test_file_that_may_not_be_read_is_denied(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    # Root may read everything, so that no file mode would do for whoever runs the tests.
    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(Denied) as caught:
        load(tmp_path / "secret.toml", environ={})
    assert caught.value.code == "config.unreadable"


def test_file_the_disk_does_not_give_is_unavailable() -> None:
    with pytest.raises(Unavailable) as caught:
        load(Path("/proc/self/mem"), environ={})
    assert caught.value.code == "config.unreadable"


def test_directory_is_no_configuration_file(tmp_path: Path) -> None:
    with pytest.raises(Invalid, match="directory"):
        load(tmp_path, environ={})


def test_file_that_is_not_utf8_is_told_with_its_line(tmp_path: Path) -> None:
    file = tmp_path / "latin.toml"
    file.write_bytes(b"[site]\nname = 'M\xfcnchen'\n")
    with pytest.raises(Invalid) as caught:
        load(file, environ={})
    assert (caught.value.code, caught.value.line, caught.value.column) == ("config.encoding", 2, 10)


def test_file_without_end_is_not_read_to_its_end() -> None:
    with pytest.raises(Invalid) as caught:
        load(Path("/dev/zero"), environ={})
    assert caught.value.code == "config.too_long"


def test_file_is_looked_for_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert load(environ={}).file is None
    write(tmp_path, "mqtt.port = 1")
    assert load(environ={}).config.mqtt.port == 1
    named = tmp_path / "named.toml"
    named.write_text("mqtt.port = 2", encoding="utf-8")
    environ = {"FLUXHYBRID_CONFIG": str(named)}
    assert load(environ=environ).config.mqtt.port == 2
    given_file = tmp_path / "given.toml"
    given_file.write_text("mqtt.port = 3", encoding="utf-8")
    assert load(given_file, environ=environ).config.mqtt.port == 3


@pytest.mark.parametrize(
    ("name", "mend"),
    [
        ("FLUXHYBRID_MQTT__PROT", '"mqtt.port"'),
        ("FLUXHYBRID_MQQT__PORT", '"mqtt"'),
        ("FLUXHYBRID_MQTT__PORT__X", "port"),
    ],
)
def test_unknown_variable_is_refused(tmp_path: Path, name: str, mend: str) -> None:
    (problem,) = problems(write(tmp_path, ""), {name: "1"})
    assert (problem.code, problem.where) == ("config.unknown_key", name)
    assert problem.hint is not None
    assert mend in problem.hint


def test_table_cannot_be_given_in_one_variable(tmp_path: Path) -> None:
    (problem,) = problems(write(tmp_path, ""), {"FLUXHYBRID_SITE__ENV": "{}"})
    assert "must be a table" in problem.message


def test_variable_with_one_underscore_is_warned_about(tmp_path: Path) -> None:
    environ = {"FLUXHYBRID_MQTT_PORT": "1", "FLUXHYBRID_DATADIR": "x"}
    loaded = load(write(tmp_path, ""), environ=environ)
    assert loaded.config == Config()
    hints = [warning.hint or "" for warning in loaded.warnings]
    assert "FLUXHYBRID_DATA_DIR" in hints[0]
    assert "FLUXHYBRID_MQTT__PORT" in hints[1]


def test_variables_kubernetes_makes_for_a_service_stop_nothing(tmp_path: Path) -> None:
    environ = {
        "FLUXHYBRID_PORT": "tcp://10.0.0.1:8080",
        "FLUXHYBRID_SERVICE_HOST": "10.0.0.1",
        "FLUXHYBRID_SERVICE_PORT": "8080",
        "FLUXHYBRID_PORT_8080_TCP_ADDR": "10.0.0.1",
    }
    loaded = load(write(tmp_path, ""), environ=environ)
    assert (loaded.config, loaded.warnings) == (Config(), ())


def test_password_in_the_file_is_in_no_message(tmp_path: Path) -> None:
    file = write(tmp_path, "[database]\nurl = 'postgres://flux:hush@/db'\n")
    (problem,) = problems(file)
    assert "hush" not in repr(problem)


@given(st.text(st.characters(codec="utf-8"), max_size=120))
@hypothesis_settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_no_text_breaks_the_reader(tmp_path: Path, text: str) -> None:
    file = tmp_path / "any.toml"
    file.write_bytes(text.encode())
    with contextlib.suppress(FluxError):
        load(file, environ={})


def test_settings_that_nothing_reads_are_marked_in_the_reference() -> None:
    page = reference()
    for setting in settings().values():
        row = f"| `{setting.path[-1]}` |"
        assert row in page
    assert page.count("*Reserved.*") == sum(s.reserved for s in settings().values())


def test_reference_in_the_documentation_is_up_to_date(project_root: Path) -> None:
    written = (project_root / "docs/configuration.md").read_text(encoding="utf-8")
    assert written == reference(), "run `make docs`"


def test_default_in_the_reference_can_be_pasted_into_a_file(tmp_path: Path) -> None:
    lines = [
        f"{'.'.join(path)} = {toml_value(setting, setting.default)}"
        for path, setting in settings().items()
        if setting.kind is not Kind.TABLE and setting.default is not None
    ]
    assert load(write(tmp_path, "\n".join(lines)), environ={}).config == Config()
