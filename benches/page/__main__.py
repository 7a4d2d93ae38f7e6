"""Measure the live page: bytes loaded, time to the first value, frames at so many events a second.

A server of its own on a fresh directory, real MQTT traffic, Debian's Chromium without a screen.
The same frames are counted without any events first: what the machine itself drops is no fault of
the page.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.system.browser import Browser, browser
from tests.system.server_process import ServerProcess

ROOT = Path(__file__).resolve().parents[2]
PROBE = (Path(__file__).parent / "probe.js").read_text()
FRAME_MS = 1000 / 60


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benches.page", description=__doc__)
    parser.add_argument("--devices", type=int, default=50)
    parser.add_argument("--rate", type=int, default=1_000, help="events a second")
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--loads", type=int, default=5, help="how often the page is loaded")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        server_directory, profile = Path(directory, "server"), Path(directory, "profile")
        server_directory.mkdir()
        with ServerProcess(server_directory, ROOT) as server:
            print(f"load average {os.getloadavg()[0]:.1f}, {os.cpu_count()} processors")
            keys, secret = provision(server, options.devices)
            publish(server, secret, 100, 1.0, keys).wait()  # each has a value
            with opened(profile / "a", recorded=True) as window:
                measure_loads(window, server, options.loads)
            with opened(profile / "b", recorded=False) as window:
                window.driver.get(f"{server.url}/#token={server.token}")
                window.until(lambda: window.run("return probe.first_value_ms"))
                measure_frames(window, "no events", options.seconds)
                publisher = publish(server, secret, options.rate, options.seconds + 4, keys)
                time.sleep(2)
                measure_frames(window, f"{options.rate} events/s", options.seconds)
                publisher.wait()


@contextmanager
def opened(profile: Path, *, recorded: bool) -> Iterator[Browser]:
    """A browser that is looked into."""
    profile.mkdir(parents=True)
    programs = ("/usr/bin/chromium", "/usr/bin/chromedriver")
    with browser(*programs, profile, recorded=recorded) as window:
        window.tell("Page.addScriptToEvaluateOnNewDocument", source=PROBE)
        yield window


def provision(server: ServerProcess, count: int) -> tuple[list[str], str]:
    """Devices, and an account that may speak for all of them."""
    with server.api() as api:
        product = api.post("/products", json={"key": "bench"}).json()["id"]
        keys = [f"device-{number:03}" for number in range(count)]
        for key in keys:
            api.post("/devices", json={"key": key, "product_id": product}).raise_for_status()
        account = {"username": "bench", "publish": ["v1/devices/#"]}
        return keys, api.post("/principals", json=account).json()["secret"]


def publish(
    server: ServerProcess, secret: str, rate: int, seconds: float, keys: list[str]
) -> subprocess.Popen[bytes]:
    host, port = server.mqtt_address
    arguments = [host, str(port), "bench", secret, str(rate), str(seconds), *keys]
    return subprocess.Popen([sys.executable, "-m", "benches.page.publisher", *arguments], cwd=ROOT)


def measure_loads(window: Browser, server: ServerProcess, loads: int) -> None:
    for name in ("cold", "cached"):
        times, weights = [], []
        for _ in range(loads):
            if name == "cold":
                window.tell("Network.clearBrowserCache")
            # Another address first: with nothing but the fragment changed, nothing is loaded.
            window.driver.get("about:blank")
            network(window)
            window.driver.get(f"{server.url}/#token={server.token}")
            window.until(lambda: window.run("return probe.first_value_ms"), "the first value")
            times.append(window.run("return probe.first_value_ms"))
            weights.append(network(window))
        files = [weight for weight in weights[-1] if "/api/" not in weight["url"]]
        asked = [weight for weight in weights[-1] if "/api/" in weight["url"]]
        print(
            f"{name:7} first value after {statistics.median(times):.0f} ms "
            f"({min(times):.0f} to {max(times):.0f}); page {len(files)} files, "
            f"{sum(one['bytes'] for one in files) / 1000:.1f} kB on the wire; "
            f"{len(asked)} questions, {sum(one['bytes'] for one in asked) / 1000:.1f} kB"
        )


def network(window: Browser) -> list[dict[str, Any]]:
    """What was loaded since the last call: URL and bytes on the wire, heads included."""
    urls: dict[str, str] = {}
    loaded = []
    for entry in window.driver.get_log("performance"):  # type: ignore[no-untyped-call]
        message = json.loads(entry["message"])["message"]
        parameters = message["params"]
        if message["method"] == "Network.requestWillBeSent":
            urls[parameters["requestId"]] = parameters["request"]["url"]
        elif message["method"] == "Network.loadingFinished" and parameters["requestId"] in urls:
            url = urls[parameters["requestId"]]
            if url.startswith("http"):
                loaded.append({"url": url, "bytes": parameters["encodedDataLength"]})
    return loaded


def measure_frames(window: Browser, name: str, seconds: float) -> None:
    window.tell("Performance.enable")
    window.run("probe.watch()")
    before = busy(window)
    time.sleep(seconds)
    spent = {part: after - before[part] for part, after in busy(window).items()}
    probe = window.run(
        "return {...probe, watch: null, observer: null, ms: performance.now() - probe.since,"
        "heap: performance.memory.usedJSHeapSize,"
        "rows: document.querySelectorAll('.row').length}"
    )
    frames = probe["frames"][1:]
    dropped = sum(max(0, round(frame / FRAME_MS) - 1) for frame in frames)
    ordered = sorted(frames)
    print(
        f"{name}: {probe['events'] / probe['ms'] * 1000:.0f} events/s seen, "
        f"{probe['dropped']} skipped; {len(frames)} frames in {probe['ms'] / 1000:.1f} s, "
        f"{dropped} dropped ({100 * dropped / (len(frames) + dropped):.2f} %), "
        f"p99 {ordered[int(len(ordered) * 0.99)]:.1f} ms, worst {ordered[-1]:.1f} ms; "
        f"{len(probe['long_ms'])} tasks above 50 ms; "
        f"main thread {100 * spent['TaskDuration'] / seconds:.0f} % "
        f"(scripts {100 * spent['ScriptDuration'] / seconds:.0f}, "
        f"layout {100 * (spent['LayoutDuration'] + spent['RecalcStyleDuration']) / seconds:.0f}); "
        f"heap {probe['heap'] / 2**20:.1f} MiB, {probe['rows']} rows"
    )


def busy(window: Browser) -> dict[str, float]:
    """Seconds the page's main thread has worked, by what at."""
    parts = ("TaskDuration", "ScriptDuration", "LayoutDuration", "RecalcStyleDuration")
    metrics = window.tell("Performance.getMetrics")["metrics"]
    return {entry["name"]: entry["value"] for entry in metrics if entry["name"] in parts}


if __name__ == "__main__":
    main()
