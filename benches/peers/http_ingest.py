"""`python -m benches.peers.http_ingest`: telemetry posted over HTTP, beside the same in FastAPI.

Each server checks the device's token against its SHA-256, reads the JSON and answers 204. Ours has
it on disk before it answers, and decodes it. The peers are a FastAPI application on uvicorn: one
appends to a file and syncs it before it answers, one keeps nothing.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from benches.peers.servers import free_port
from benches.peers.tools import ROOT

TOKEN: Final = "fluxdev_bench"
DIGEST: Final = hashlib.sha256(TOKEN.encode()).hexdigest()
PRODUCT: Final = "00000001-0000-4000-8000-000000000001"
DEVICE: Final = "00000002-0000-4000-8000-000000000001"

DOCUMENT: Final = {
    "generation": 1,
    "tenants": [{"id": 1, "name": "default"}],
    "products": [{"id": PRODUCT, "key": "sensor"}],
    "devices": [{"id": DEVICE, "key": "s-1", "product": PRODUCT, "secret_sha256": DIGEST}],
}

PEER: Final = f"""
import hashlib, hmac, os, sys
import uvicorn
from fastapi import FastAPI, Header, HTTPException, Request, Response
from pydantic import JsonValue

app = FastAPI()
log = os.open(sys.argv[1] + "/log", os.O_CREAT | os.O_APPEND | os.O_WRONLY)
last = {{}}

def check(authorization):
    token = authorization.removeprefix("Bearer ")
    if not hmac.compare_digest(hashlib.sha256(token.encode()).hexdigest(), {DIGEST!r}):
        raise HTTPException(401)

if sys.argv[3] == "durable":
    # a plain function: Starlette runs it on a thread, so that syncing does not stop the others
    @app.post("/device/v1/telemetry", status_code=204)
    def ingest(values: dict[str, JsonValue], authorization: str = Header()) -> None:
        check(authorization)
        last.update(values)
        os.write(log, repr(values).encode() + b"\\n")
        os.fdatasync(log)
else:
    @app.post("/device/v1/telemetry", status_code=204)
    async def ingest(values: dict[str, JsonValue], authorization: str = Header()) -> None:
        check(authorization)
        last.update(values)

print("ready", flush=True)
uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[2]), log_level="error", access_log=False)
"""


def _command(side: str, http_load: Path, directory: str, port: int) -> list[str]:
    if side != "fluxhybrid":
        return [sys.executable, "-c", PEER, directory, str(port), side.removeprefix("fastapi ")]
    document = Path(directory) / "document.json"
    document.write_text(json.dumps(DOCUMENT), encoding="utf-8")
    return [str(http_load), "--serve", f"{directory}/data", "--address", f"127.0.0.1:{port}",
            "--document", str(document)]  # fmt: skip


@contextlib.contextmanager
def _server(side: str, http_load: Path) -> Iterator[int]:
    with tempfile.TemporaryDirectory(dir=os.environ.get("FLUX_BENCH_DIR")) as directory:
        port = free_port()
        command = _command(side, http_load, directory, port)
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            try:
                if process.stdout.readline() != b"ready\n":
                    raise RuntimeError("the server did not start")
                _await_listening(port)
                yield port
            finally:
                process.terminate()


def _await_listening(port: int) -> None:
    import socket
    import time

    for _ in range(500):
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1.0):
            return
        time.sleep(0.01)
    raise RuntimeError(f"nobody listens on {port}")


def _load(program: Path, port: int, connections: int, seconds: float) -> dict[str, Any]:
    command = [str(program), "--address", f"127.0.0.1:{port}", "--token", TOKEN,
               "--connections", str(connections), "--seconds", str(int(seconds))]  # fmt: skip
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE)
    measured: dict[str, Any] = json.loads(done.stdout)
    return measured


SIDES: Final = ("fluxhybrid", "fastapi durable", "fastapi memory")


def main() -> int:
    """Measure the sides in turn and print what was reached."""
    parser = argparse.ArgumentParser(prog="python -m benches.peers.http_ingest")
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--seconds", type=float, default=8.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--profile", default="release", help="how http-load was built")
    options = parser.parse_args()
    target = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
    program = target / options.profile / "http-load"
    if not program.exists():
        sys.exit(f"{program} is not there: cargo build --release -p flux-benches --bin http-load")
    reached: dict[str, list[dict[str, Any]]] = {name: [] for name in SIDES}
    for _ in range(options.rounds):
        for name in SIDES:
            with _server(name, program) as port:
                found = _load(program, port, options.connections, options.seconds)
            reached[name].append(found)
            print(f"{name:16} {found}", flush=True)
    rates = {
        name: sorted(found["requests_per_s"] for found in all_found)[len(all_found) // 2]
        for name, all_found in reached.items()
    }
    for name in SIDES[1:]:
        print(f"fluxhybrid / {name}: {rates['fluxhybrid'] / rates[name]:.1f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
