"""What ``fluxhybrid doctor`` looks at, one function for each thing.

Owns looking. Must never change anything but a probe file in the data directory, which it removes.
"""

from __future__ import annotations

import errno
import os
import shutil
import socket
import statistics
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    from fluxhybrid.config import Config

__all__ = [
    "Finding",
    "clock",
    "data_dir",
    "event_loop",
    "file_descriptors",
    "free_space",
    "fsync_latency",
    "listener",
    "lock_holder",
    "native_module",
    "of_configuration",
    "python",
]

_FSYNC_SAMPLES: Final = 20
_FSYNC_SLOW_MS: Final = 20.0
_DESCRIPTORS_BESIDE_CONNECTIONS: Final = 256
_RELEASED: Final = 1_767_225_600  # 2026-01-01: no clock is right that shows less.
_LOCK_FILES_MAX: Final = 1_000


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report."""

    state: Literal["ok", "warn", "fail"]
    subject: str
    text: str
    mend: str | None = None


def of_configuration(config: Config) -> Iterator[Finding]:
    """Everything that depends on the settings."""
    yield from data_dir(config.data_dir)
    yield file_descriptors(config.mqtt.connections_max)
    yield listener("mqtt", config.mqtt.host, config.mqtt.port)
    yield listener("devices", config.devices.host, config.devices.port)
    yield listener("server", config.server.host, config.server.port)
    yield listener("metrics", config.metrics.host, config.metrics.port)
    if config.mqtt.allow_anonymous:
        yield Finding(
            "warn",
            "mqtt.allow_anonymous",
            "anyone who reaches the MQTT port may publish and subscribe",
            "give every client a name and a secret, and remove the key",
        )
    if config.engine.durability == "none":
        yield Finding(
            "warn",
            "engine.durability",
            "messages are acknowledged before they are on disk: a power cut loses some",
            'set it to "sync"',
        )


def python() -> Finding:
    """The interpreter: an older one than 3.11 could not even have read this file."""
    version = ".".join(str(part) for part in sys.version_info[:3])
    return Finding("ok", "python", f"{version}, {sys.executable}")


def event_loop() -> Finding:
    """Whether uvloop is there."""
    try:
        import uvloop  # noqa: F401
    except ImportError as error:
        return Finding(
            "warn",
            "event loop",
            f"asyncio's own, which is slower: {error}",
            "pip install uvloop, where the platform has it",
        )
    from importlib.metadata import version

    return Finding("ok", "event loop", f"uvloop {version('uvloop')}")


def native_module() -> Finding:
    """Whether the Rust core loads and does something."""
    try:
        from fluxhybrid.engine import ScriptEngine

        ScriptEngine()
    except ImportError as error:
        return Finding(
            "fail",
            "engine",
            f"the extension module does not load: {error}",
            "reinstall the package; in a checkout run `make build`",
        )
    return Finding("ok", "engine", "the extension module loads")


def data_dir(path: Path) -> Iterator[Finding]:
    """Whether the data directory can be used, and how fast and large its disk is."""
    subject = "data_dir"
    shown = path.absolute()
    existing = _nearest_existing(path)
    if existing != path.absolute():
        if not os.access(existing, os.W_OK | os.X_OK):
            yield Finding(
                "fail",
                subject,
                f"{shown} is not there and cannot be made: {existing} is not writable",
                "make it and give it to the user who runs fluxhybrid, or set data_dir",
            )
            return
        yield Finding("ok", subject, f"{shown} will be made at the first start")
    elif not path.is_dir():
        yield Finding("fail", subject, f"{shown} is not a directory", "set data_dir to another")
        return
    elif holder := lock_holder(path):
        yield Finding(
            "warn",
            subject,
            f"{shown} is in use by {holder}",
            "stop that process before another one is started there",
        )
    else:
        yield Finding("ok", subject, str(shown))
    yield free_space(existing)
    yield fsync_latency(existing)


def _nearest_existing(path: Path) -> Path:
    path = path.absolute()
    while not path.exists() and path != path.parent:
        path = path.parent
    return path


def lock_holder(path: Path) -> str | None:
    """Who holds a lock in a data directory: ``"process 4711"``; nobody, or unknown, is none.

    It reads the kernel's list instead of trying the lock: trying would keep out a server that
    starts at the same moment.
    """
    try:
        locks = Path("/proc/locks").read_text(encoding="ascii")
    except OSError:
        return None
    # 1: FLOCK  ADVISORY  WRITE 4711 fe:00:131 0 EOF; a process that waits has "->" in field 2.
    held = {
        fields[5].rpartition(":")[2]: fields[4]
        for fields in (line.split() for line in locks.splitlines())
        if len(fields) >= 6 and fields[1] == "FLOCK"
    }
    for file in _lock_files(path):
        with suppress(OSError):
            inode = str(file.stat().st_ino)
            if inode in held:
                return f"process {_written_pid(file) or held[inode]}"
    return None


def _lock_files(path: Path) -> Iterator[Path]:
    seen = 0
    for folder in (path, *(p for p in _entries(path) if p.is_dir() and not p.is_symlink())):
        for file in _entries(folder):
            seen += 1
            if seen > _LOCK_FILES_MAX:
                return
            if "lock" in file.name.lower() and file.is_file():
                yield file


def _entries(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except OSError:
        return []


def _written_pid(file: Path) -> str | None:
    text = file.read_text(encoding="ascii", errors="replace").strip()[:16]
    return text if text.isdigit() else None


def free_space(path: Path) -> Finding:
    """Free space on the disk of a directory."""
    from fluxhybrid.config.quantities import format_bytes

    usage = shutil.disk_usage(path)
    mebibytes = usage.free >> 20
    text = f"{format_bytes(mebibytes << 20)} free" if mebibytes < 10_240 else (
        f"{mebibytes >> 10}GiB free"
    )  # fmt: skip
    mend = "make room, lower engine.log_retention_bytes_max, or move data_dir"
    if usage.free < 128 * 2**20:
        return Finding("fail", "disk", text, mend)
    if usage.free < 2 * 2**30 or usage.free < usage.total // 50:
        return Finding("warn", "disk", text, mend)
    return Finding("ok", "disk", text)


def fsync_latency(path: Path) -> Finding:
    """Median time of 20 small durable writes: what one acknowledged message waits for."""
    subject = "durable write"
    probe = path / f".fluxhybrid-doctor-{os.getpid()}"
    try:
        samples_ms = _timed_writes(probe)
    except OSError as error:
        mend = (
            "make room on the disk"
            if error.errno in (errno.ENOSPC, errno.EDQUOT)
            else "give the directory to the user who runs fluxhybrid, or set data_dir"
        )
        return Finding("fail", subject, f"{path}: {error.strerror}", mend)
    median = statistics.median(samples_ms)
    text = f"median {median:.2f} ms, worst {max(samples_ms):.2f} ms of {_FSYNC_SAMPLES}"
    if median > _FSYNC_SLOW_MS:
        return Finding(
            "warn",
            subject,
            text,
            "a single client waits this long for each acknowledgement; use a faster disk, or let "
            "clients have more messages in flight",
        )
    return Finding("ok", subject, text)


def _timed_writes(probe: Path) -> list[float]:
    sync = getattr(os, "fdatasync", os.fsync)
    descriptor = os.open(probe, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    try:
        block = b"\0" * 4096
        os.write(descriptor, block)
        sync(descriptor)
        samples_ms = []
        for _ in range(_FSYNC_SAMPLES):
            os.lseek(descriptor, 0, os.SEEK_SET)
            begin = time.perf_counter()
            os.write(descriptor, block)
            sync(descriptor)
            samples_ms.append((time.perf_counter() - begin) * 1000)
        return samples_ms
    finally:
        os.close(descriptor)
        probe.unlink(missing_ok=True)


def file_descriptors(connections_max: int) -> Finding:
    """Whether the process may open as many sockets as the settings allow."""
    subject = "file descriptors"
    try:
        import resource
    except ImportError:
        return Finding("ok", subject, "this system has no limit to ask for")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = connections_max + _DESCRIPTORS_BESIDE_CONNECTIONS
    if soft == resource.RLIM_INFINITY or soft >= needed:
        return Finding("ok", subject, f"{_limit(soft)} allowed, {needed} needed at most")
    return Finding(
        "warn",
        subject,
        f"{soft} allowed, but mqtt.connections_max = {connections_max} needs {needed}",
        f"run `ulimit -n {needed}` first (LimitNOFILE= in systemd; the hard limit is "
        f"{_limit(hard)}), or lower mqtt.connections_max",
    )


def _limit(value: int) -> str:
    import resource

    return "unlimited" if value == resource.RLIM_INFINITY else str(value)


def listener(section: str, host: str, port: int) -> Finding:
    """Whether an address can be listened on, and who will reach it."""
    subject = f"[{section}] {f'[{host}]' if ':' in host else host}:{port}"
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
            probe.listen(1)
    except socket.gaierror as error:
        return Finding(
            "fail", subject, f"no such address: {error.strerror}", f"mend {section}.host"
        )
    except OSError as error:
        return Finding("fail", subject, _listen_failure(error), _listen_mend(error, section))
    if _is_loopback(address[0]):
        reach = "only this machine reaches it; --host 0.0.0.0 opens it"
        if section == "metrics":
            reach = 'only this machine reaches it; metrics.host = "0.0.0.0" opens it'
        return Finding("ok", subject, f"free; {reach}")
    return Finding("ok", subject, "free; open to the network, so let a firewall guard it")


def _is_loopback(address: object) -> bool:
    from ipaddress import ip_address

    return ip_address(str(address).partition("%")[0]).is_loopback


def _listen_failure(error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return "another process listens there"
    if error.errno == errno.EADDRNOTAVAIL:
        return "this machine has no such address"
    return error.strerror or str(error)


def _listen_mend(error: OSError, section: str) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"stop that process, or choose another {section}.port (`ss -ltnp` shows who it is)"
    if error.errno == errno.EADDRNOTAVAIL:
        return f"set {section}.host to an address of this machine (`ip address` lists them)"
    if error.errno in (errno.EACCES, errno.EPERM):
        return f"ports below 1024 need a privilege; choose another {section}.port"
    return f"choose another {section}.host or {section}.port"


def clock() -> Finding:
    """Whether the clock can be right, and which zone the machine is in."""
    now = time.time()
    shown = time.strftime("%Y-%m-%d %H:%M:%S %z", time.localtime(now))
    if now < _RELEASED:
        return Finding(
            "fail",
            "clock",
            f"{shown} lies before this program was made",
            "set the clock; on a gateway without a battery let NTP finish before the start",
        )
    return Finding("ok", "clock", shown)
