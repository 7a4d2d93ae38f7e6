"""`python -m benches.peers`: fluxhybrid beside its peers, in the same run.

Owns the command line. Start it from the repository's root.
"""

from __future__ import annotations

import argparse
import fnmatch
import json
import os
import platform
import sys
import time
from pathlib import Path
from typing import Any

from benches.peers.compare import compare
from benches.peers.load import LoadError
from benches.peers.scenarios import SCENARIOS, Options, Scenario
from benches.peers.table import lines
from benches.peers.tools import MissingToolError, find_tools


def _arguments(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benches.peers", description=__doc__)
    parser.add_argument(
        "scenarios", nargs="*", default=["*"], help="names or patterns such as 'rule-qos1-*'"
    )
    parser.add_argument("--list", action="store_true", help="print the names and end")
    parser.add_argument(
        "--without-python",
        action="store_true",
        help="measure the data plane alone instead of `serve --headless`",
    )
    parser.add_argument("--rounds", type=int, default=3, help="runs of each side (default 3)")
    parser.add_argument("--seconds", type=float, default=5.0, help="measured in each run")
    parser.add_argument(
        "--search", action="store_true", help="QoS 0: also search the highest open-loop rate"
    )
    parser.add_argument(
        "--outstanding",
        type=int,
        help="deliveries that may be under way, in place of each scenario's own",
    )
    parser.add_argument("--no-build", action="store_true", help="take what was built before")
    parser.add_argument("--out", type=Path, help="write everything to this file, JSON")
    return parser.parse_args(argv)


def _chosen(arguments: argparse.Namespace) -> list[Scenario]:
    matches = [
        scenario
        for scenario in SCENARIOS.values()
        if any(fnmatch.fnmatch(scenario.name, pattern) for pattern in arguments.scenarios)
    ]
    if not matches:
        sys.exit(f"no scenario is called {' or '.join(arguments.scenarios)}; see --list")
    return matches


def _machine() -> dict[str, Any]:
    return {
        "date": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "system": platform.platform(),
        "processors": os.cpu_count(),
        "load_average": os.getloadavg(),
    }


def main(argv: list[str] | None = None) -> int:
    """Run; the exit code is 1 when a side could not be measured."""
    arguments = _arguments(argv)
    if arguments.list:
        for scenario in SCENARIOS.values():
            print(f"{scenario.name:28} {scenario.claim}")
        return 0
    try:
        tools = find_tools(build=not arguments.no_build)
    except MissingToolError as error:
        sys.exit(str(error))
    options = Options(
        tools=tools,
        with_python=not arguments.without_python,
        seconds=arguments.seconds,
        rounds=arguments.rounds,
        search=arguments.search,
        outstanding=arguments.outstanding,
    )
    machine, results, failed = _machine(), [], 0
    for scenario in _chosen(arguments):
        try:
            outcome = compare(options, scenario)
        except (LoadError, MissingToolError, RuntimeError) as error:
            print(f"== {scenario.name}: not measured: {error}", flush=True)
            failed += 1
            continue
        print("\n".join(lines(outcome)), flush=True)
        results.append(outcome.to_json())
        if arguments.out is not None:
            arguments.out.write_text(json.dumps({"machine": machine, "results": results}, indent=1))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
