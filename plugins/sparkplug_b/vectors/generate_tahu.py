"""Write the vectors that Tahu's Python encoder makes: ``pip install mqtt-spb-wrapper==2.1.2``.

The package carries Eclipse Tahu's ``sparkplug_b.py``, whose functions are called here. What is
expected was written by hand from the specification.
"""

from __future__ import annotations

import json
from importlib.metadata import version
from pathlib import Path
from typing import Any

from mqtt_spb_wrapper.spb_protobuf import MetricDataType, Payload, addMetric
from mqtt_spb_wrapper.spb_protobuf.sparkplug_b import addHistoricalMetric, addNullMetric

HERE = Path(__file__).resolve().parent
ENCODER = f"Eclipse Tahu's sparkplug_b.py, in mqtt-spb-wrapper {version('mqtt-spb-wrapper')}"
MS = 1_700_000_000_123
NS = MS * 1_000_000
GOOD = {"online": True, "quality": 192}

VALUES: dict[str, tuple[int, Any, Any]] = {
    "bdSeq": (MetricDataType.Int64, 0, 0),
    "int8": (MetricDataType.Int8, -1, -1),
    "int16": (MetricDataType.Int16, -2, -2),
    "int32": (MetricDataType.Int32, -3, -3),
    "int64": (MetricDataType.Int64, -4, -4),
    "uint8": (MetricDataType.UInt8, 200, 200),
    "uint16": (MetricDataType.UInt16, 40_000, 40_000),
    "uint32": (MetricDataType.UInt32, 3_000_000_000, 3_000_000_000),
    "uint64": (MetricDataType.UInt64, 5_000_000_000, 5_000_000_000),
    "float": (MetricDataType.Float, -0.25, -0.25),
    "double": (MetricDataType.Double, 1e-7, 1e-7),
    "boolean": (MetricDataType.Boolean, True, True),
    "string": (MetricDataType.String, "höher", "höher"),
    "datetime": (MetricDataType.DateTime, MS, {"$time": NS}),
    "text": (MetricDataType.Text, "", ""),
}


def payload(seq: int | None) -> Payload:
    made = Payload()
    made.timestamp = MS
    if seq is not None:
        made.seq = seq
    return made


def vector(
    name: str, verb: str, made: Payload, context: dict[str, Any], expect: dict[str, Any]
) -> dict[str, Any]:
    return {
        "name": name,
        "source": ENCODER,
        "context": {"topic": f"spBv1.0/group/{verb}/node"} | context,
        "input": {"hex": made.SerializeToString().hex()},
        "expect": expect,
    }


def main() -> None:
    """Write the file beside this one."""
    birth = payload(0)
    for alias, (name, (datatype, value, _)) in enumerate(VALUES.items(), 1):
        addMetric(birth, name, alias, datatype, value, MS)
    data = payload(1)
    addMetric(data, None, 4, MetricDataType.Int32, -33, MS + 7)
    addNullMetric(data, None, 11, MetricDataType.Double).timestamp = MS + 7
    addHistoricalMetric(data, None, 2, MetricDataType.Int8, 8).timestamp = MS - 1_000
    named = "Tahu's birth has all scalars"
    message = {
        "device": "node",
        "ts": NS,
        "values": GOOD | {n: e for n, (_, _, e) in VALUES.items()},
    }
    vectors = [
        vector(named, "NBIRTH", birth, {}, {"messages": [message], "state": "*"}),
        vector(
            "Tahu's data name datatypes beside aliases",
            "NDATA",
            data,
            {"state_of": named},
            {
                "messages": [
                    {
                        "device": "node",
                        "ts": NS - 10**9,
                        "tags": {"historical": "true"},
                        "values": {"int8": 8},
                    },
                    {"device": "node", "ts": NS + 7_000_000, "values": {"int32": -33}},
                ],
                "state": "*",
            },
        ),
    ]
    lines = [json.dumps(one, ensure_ascii=False) for one in vectors]
    (HERE / "tahu.json").write_text("[\n  " + ",\n  ".join(lines) + "\n]\n", "utf-8")


if __name__ == "__main__":
    main()
