"""Write the vectors that real encoders make: ``pip install pysparkplug==0.6.1``, then run this.

pysparkplug encodes what it knows. Data sets, templates and properties, which it has no types for,
are put together with the classes that Google's compiler made of the official
``sparkplug_b.proto``; it ships them. What is expected was written by hand from the specification.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pysparkplug as spb
from pysparkplug import DataType, Metric
from pysparkplug import _protobuf as pb

HERE = Path(__file__).resolve().parent
ENCODER = f"pysparkplug {version('pysparkplug')}"
PROTOC = f"sparkplug_b.proto compiled by protoc, protobuf {version('protobuf')}"

MS = 1_486_144_502_122  # of the specification's examples
NS = MS * 1_000_000
NODE = "spBv1.0/Sparkplug B Devices/{}/Raspberry Pi"
DEVICE = NODE + "/Pibrella"
NODE_KEY, DEVICE_KEY = "Raspberry_Pi", "Pibrella"
LOST = "a lost message is noticed, the edge node is asked for its births, and the data still count"
GOOD, STALE = {"online": True, "quality": 192}, {"online": False, "quality": 500}


def metric(
    name: str | None,
    datatype: DataType,
    value: Any,
    alias: int | None = None,
    ts: int | None = MS,
    **flags: bool,
) -> Metric:
    return Metric(timestamp=ts, name=name, datatype=datatype, value=value, alias=alias, **flags)


def vector(
    name: str,
    topic: str,
    payload: bytes,
    messages: Sequence[dict[str, Any]] = (),
    *,
    source: str = ENCODER,
    state_of: str | None = None,
    received_ms: int | None = None,
    settings: dict[str, Any] | None = None,
    **expect: Any,
) -> dict[str, Any]:
    context: dict[str, Any] = {"topic": topic}
    if received_ms is not None:
        context["received_ns"] = received_ms * 1_000_000
    if settings is not None:
        context["settings"] = settings
    if state_of is not None:
        context["state_of"] = state_of
    if messages:
        expect["messages"] = list(messages)
    return {
        "name": name,
        "source": source,
        "context": context,
        "input": {"hex": payload.hex()},
        "expect": expect,
    }


def message(device: str, ts: int | None, **values: Any) -> dict[str, Any]:
    return {"device": device} | ({} if ts is None else {"ts": ts}) | {"values": values}


def rebirth(ms: int) -> dict[str, Any]:
    wanted = metric("Node Control/Rebirth", DataType.BOOLEAN, True, ts=ms)
    payload = spb.NCmd(timestamp=ms, metrics=(wanted,)).encode(include_dtypes=True)
    return {
        "kind": "publish",
        "topic": NODE.format("NCMD"),
        "payload_base64": base64.b64encode(payload).decode(),
        "qos": 0,
        "retain": False,
    }


def write(file: str, vectors: list[dict[str, Any]]) -> None:
    lines = [json.dumps(vector, ensure_ascii=False) for vector in vectors]
    (HERE / file).write_text("[\n  " + ",\n  ".join(lines) + "\n]\n", "utf-8")


NBIRTH = spb.NBirth(
    timestamp=MS,
    seq=0,
    metrics=(
        metric("bdSeq", DataType.INT64, 3),
        metric("Node Control/Rebirth", DataType.BOOLEAN, False),
        metric("Supply Voltage", DataType.FLOAT, 12.5, alias=1),
        metric("Uptime", DataType.UINT32, 4_000_000_000, alias=2),
    ),
).encode()
DBIRTH = spb.DBirth(
    timestamp=MS,
    seq=1,
    metrics=(
        metric("Inputs/A", DataType.BOOLEAN, True, alias=10),
        metric("Inputs/B", DataType.INT16, -300, alias=11),
        metric("Outputs/LEDs/Green", DataType.BOOLEAN, False, alias=12),
        metric("Outputs/LEDs/Yellow", DataType.BOOLEAN, False, alias=13),
        metric("Serial", DataType.STRING, "ä-1", alias=300),
        metric("Not Measured", DataType.DOUBLE, None, alias=301),
    ),
).encode()

ARRAYS = {
    "int8": (DataType.INT8_ARRAY, (-23, 123)),
    "int16": (DataType.INT16_ARRAY, (-30000, 30000)),
    "int32": (DataType.INT32_ARRAY, (-1, 315338746)),
    "int64": (DataType.INT64_ARRAY, (-4270929666821191986, -3601064768563266876)),
    "uint8": (DataType.UINT8_ARRAY, (23, 250)),
    "uint16": (DataType.UINT16_ARRAY, (30, 52360)),
    "uint32": (DataType.UINT32_ARRAY, (52, 3293969225)),
    "float": (DataType.FLOAT_ARRAY, (1.5, -89.25)),
    "double": (DataType.DOUBLE_ARRAY, (12.354213, 1022.9123213)),
    "boolean": (
        DataType.BOOLEAN_ARRAY,
        (False, False, True, True, False, True, False, False, True),
    ),
    "string": (DataType.STRING_ARRAY, ("ABC", "hello")),
}


def session() -> list[dict[str, Any]]:
    """A whole session, each message with the state that the one before left."""
    later = MS + 5_000
    data = spb.NData(
        timestamp=later,
        seq=2,
        metrics=(
            metric(None, DataType.UINT32, 7, 2, later),
            metric(None, DataType.FLOAT, 11.75, 1, later),
        ),
    ).encode()
    device_data = spb.DData(
        timestamp=later,
        seq=3,
        metrics=(
            metric(None, DataType.INT16, -1, 11, later),
            metric(None, DataType.BOOLEAN, True, 12, later + 1),
            metric(None, DataType.STRING, "new", 300, later),
            metric(None, DataType.DOUBLE, None, 301, later),
        ),
    ).encode()
    past = spb.DData(
        timestamp=later,
        seq=4,
        metrics=(
            metric(None, DataType.INT16, 5, 11, MS - 60_000, is_historical=True),
            metric(None, DataType.INT16, 6, 11, MS - 30_000, is_historical=True),
            metric(None, DataType.BOOLEAN, False, 10, later, is_transient=True),
        ),
    ).encode()
    return [
        vector(
            "the birth of an edge node gives its metrics and says that it is there",
            NODE.format("NBIRTH"),
            NBIRTH,
            [
                message(
                    NODE_KEY,
                    NS,
                    **GOOD,
                    **{
                        "bdSeq": 3,
                        "Node Control/Rebirth": False,
                        "Supply Voltage": 12.5,
                        "Uptime": 4_000_000_000,
                    },
                )
            ],
            state="*",
        ),
        vector(
            "the birth of a device follows that of its edge node",
            DEVICE.format("DBIRTH"),
            DBIRTH,
            [
                message(
                    DEVICE_KEY,
                    NS,
                    **GOOD,
                    **{
                        "Inputs/A": True,
                        "Inputs/B": -300,
                        "Outputs/LEDs/Green": False,
                        "Outputs/LEDs/Yellow": False,
                        "Serial": "ä-1",
                    },
                )
            ],
            state_of="the birth of an edge node gives its metrics and says that it is there",
            state="*",
        ),
        vector(
            "data of an edge node are told by their aliases, without names and datatypes",
            NODE.format("NDATA"),
            data,
            [message(NODE_KEY, later * 1_000_000, **{"Uptime": 7, "Supply Voltage": 11.75})],
            state_of="the birth of a device follows that of its edge node",
            state="*",
        ),
        vector(
            "data of a device have times of their own, and a null is no value",
            DEVICE.format("DDATA"),
            device_data,
            [
                message(DEVICE_KEY, later * 1_000_000, **{"Inputs/B": -1, "Serial": "new"}),
                message(DEVICE_KEY, (later + 1) * 1_000_000, **{"Outputs/LEDs/Green": True}),
            ],
            state_of="data of an edge node are told by their aliases, without names and datatypes",
            state="*",
        ),
        vector(
            "what is historical or transient says so",
            DEVICE.format("DDATA"),
            past,
            [
                message(DEVICE_KEY, (MS - 60_000) * 1_000_000, **{"Inputs/B": 5})
                | {"tags": {"historical": "true"}},
                message(DEVICE_KEY, (MS - 30_000) * 1_000_000, **{"Inputs/B": 6})
                | {"tags": {"historical": "true"}},
                message(DEVICE_KEY, later * 1_000_000, **{"Inputs/A": False})
                | {"tags": {"transient": "true"}},
            ],
            state_of="data of a device have times of their own, and a null is no value",
            state="*",
        ),
        vector(
            LOST,
            DEVICE.format("DDATA"),
            spb.DData(
                timestamp=later, seq=6, metrics=(metric(None, DataType.INT16, 9, 11, later),)
            ).encode(),
            [message(DEVICE_KEY, later * 1_000_000, **{"Inputs/B": 9})],
            state_of="what is historical or transient says so",
            received_ms=later,
            state="*",
            error="sparkplug.sequence",
            effects=[rebirth(later)],
        ),
        vector(
            "it is not asked again at once",
            DEVICE.format("DDATA"),
            spb.DData(
                timestamp=later, seq=8, metrics=(metric(None, DataType.INT16, 9, 11, later),)
            ).encode(),
            [message(DEVICE_KEY, later * 1_000_000, **{"Inputs/B": 9})],
            state_of=LOST,
            received_ms=later + 29_999,
            state="*",
            error="sparkplug.sequence",
        ),
        vector(
            "an alias of no birth is an error, and a reason to ask",
            DEVICE.format("DDATA"),
            spb.DData(
                timestamp=later,
                seq=4,
                metrics=(
                    metric(None, DataType.INT16, 9, 99, later),
                    metric(None, DataType.INT16, 8, 11, later),
                ),
            ).encode(),
            [message(DEVICE_KEY, later * 1_000_000, **{"Inputs/B": 8})],
            state_of="data of a device have times of their own, and a null is no value",
            received_ms=later,
            state="*",
            error="sparkplug.alias",
            effects=[rebirth(later)],
        ),
        vector(
            "the death of a device makes its values stale",
            DEVICE.format("DDEATH"),
            spb.DDeath(timestamp=later, seq=4).encode(),
            [message(DEVICE_KEY, later * 1_000_000, **STALE)],
            state_of="data of a device have times of their own, and a null is no value",
            state="*",
        ),
        vector(
            "data of a device that has died are data before a birth",
            DEVICE.format("DDATA"),
            spb.DData(
                timestamp=later, seq=5, metrics=(metric(None, DataType.INT16, 9, 11, later),)
            ).encode(),
            state_of="the death of a device makes its values stale",
            received_ms=later,
            state="*",
            error="sparkplug.birth",
            effects=[rebirth(later)],
        ),
        vector(
            "the death of an edge node is that of its devices, when it is received",
            NODE.format("NDEATH"),
            spb.NDeath(timestamp=MS - 1, bd_seq_metric=metric("bdSeq", DataType.INT64, 3)).encode(),
            [message(NODE_KEY, None, **STALE), message(DEVICE_KEY, None, **STALE)],
            state_of="data of a device have times of their own, and a null is no value",
            state="",
        ),
        vector(
            "the death of another session is not about this one",
            NODE.format("NDEATH"),
            spb.NDeath(timestamp=MS - 1, bd_seq_metric=metric("bdSeq", DataType.INT64, 2)).encode(),
            state_of="data of a device have times of their own, and a null is no value",
        ),
        vector(
            "births again in the same session take nothing away",
            NODE.format("NBIRTH"),
            spb.NBirth(
                timestamp=later, seq=0, metrics=(metric("bdSeq", DataType.INT64, 3, ts=later),)
            ).encode(),
            [message(NODE_KEY, later * 1_000_000, **GOOD, bdSeq=3)],
            state_of="data of a device have times of their own, and a null is no value",
            state="*",
        ),
        vector(
            "an edge node in a new session has lost its devices until they are born again",
            NODE.format("NBIRTH"),
            spb.NBirth(
                timestamp=later, seq=0, metrics=(metric("bdSeq", DataType.INT64, 4, ts=later),)
            ).encode(),
            [
                message(DEVICE_KEY, later * 1_000_000, **STALE),
                message(NODE_KEY, later * 1_000_000, **GOOD, bdSeq=4),
            ],
            state_of="data of a device have times of their own, and a null is no value",
            state="*",
        ),
        vector(
            "data before any birth are read where they name their metrics",
            DEVICE.format("DDATA"),
            spb.DData(
                timestamp=later,
                seq=7,
                metrics=(
                    metric("Inputs/B", DataType.INT16, -9, ts=later),
                    metric(None, DataType.INT16, 9, 11, later),
                ),
            ).encode(include_dtypes=True),
            [message(DEVICE_KEY, later * 1_000_000, **{"Inputs/B": -9})],
            received_ms=later,
            state="*",
            error="sparkplug.birth",
            effects=[rebirth(later)],
        ),
        vector(
            "an edge node is not asked where that is switched off",
            DEVICE.format("DDATA"),
            spb.DData(
                timestamp=later, seq=7, metrics=(metric(None, DataType.INT16, 9, 11, later),)
            ).encode(),
            settings={"rebirth": False},
            error="sparkplug.birth",
        ),
        vector(
            "keys are made as the settings say, and data leave no trace where sequence is off",
            DEVICE.format("DDATA"),
            spb.DData(
                timestamp=later, seq=200, metrics=(metric(None, DataType.INT16, 9, 11, later),)
            ).encode(),
            [
                message(
                    "Sparkplug_B_Devices-Raspberry_Pi-Pibrella",
                    later * 1_000_000,
                    **{"Inputs/B": 9},
                )
            ],
            state_of="the birth of a device follows that of its edge node",
            settings={"device": "{group}-{edge}-{device}", "sequence": False},
        ),
    ]


def types() -> list[dict[str, Any]]:
    """Every datatype pysparkplug knows, in a birth."""
    scalars = {
        "int8": (DataType.INT8, -128, -128),
        "int16": (DataType.INT16, -32768, -32768),
        "int32": (DataType.INT32, -2147483648, -2147483648),
        "int64": (DataType.INT64, -9223372036854775808, -9223372036854775808),
        "uint8": (DataType.UINT8, 255, 255),
        "uint16": (DataType.UINT16, 65535, 65535),
        "uint32": (DataType.UINT32, 4294967295, 4294967295),
        "uint64": (DataType.UINT64, 9223372036854775807, 9223372036854775807),
        "uint64 beyond i64": (DataType.UINT64, 18446744073709551615, 18446744073709551615.0),
        "float": (DataType.FLOAT, 1.5, 1.5),
        "double": (DataType.DOUBLE, 0.1, 0.1),
        "boolean": (DataType.BOOLEAN, True, True),
        "string": (DataType.STRING, "text", "text"),
        "text": (DataType.TEXT, "größer", "größer"),
        "uuid": (
            DataType.UUID,
            "f81d4fae-7dec-11d0-a765-00a0c91e6bf6",
            "f81d4fae-7dec-11d0-a765-00a0c91e6bf6",
        ),
        "bytes": (DataType.BYTES, b"\x00\xff", {"$bytes": "00ff"}),
        "file": (DataType.FILE, b"%PDF", {"$bytes": "25504446"}),
    }
    metrics = [metric(name, datatype, value) for name, (datatype, value, _) in scalars.items()]
    arrays = [metric(name, datatype, value) for name, (datatype, value) in ARRAYS.items()]
    return [
        vector(
            "every scalar datatype is read",
            DEVICE.format("DBIRTH"),
            spb.DBirth(timestamp=MS, seq=1, metrics=tuple(metrics)).encode(),
            [
                message(
                    DEVICE_KEY,
                    NS,
                    **GOOD,
                    **{name: expected for name, (_, _, expected) in scalars.items()},
                )
            ],
            settings={"rebirth": False},
            state="*",
            error="sparkplug.birth",
        ),
        vector(
            "every array is JSON",
            NODE.format("NBIRTH"),
            spb.NBirth(timestamp=MS, seq=0, metrics=tuple(arrays)).encode(),
            [
                message(
                    NODE_KEY,
                    NS,
                    **GOOD,
                    **{name: list(value) for name, (_, value) in ARRAYS.items()},
                )
            ],
            state="*",
        ),
    ]


def structured() -> list[dict[str, Any]]:
    """What only the official definition has types for."""
    payload = pb.Payload(timestamp=MS, seq=0)

    def add(name: str, datatype: int, **fields: Any) -> Any:
        return payload.metrics.add(name=name, datatype=datatype, timestamp=MS, **fields)

    add("when", 13, long_value=1_256_102_875_335)
    add("times", 34, bytes_value=(1_256_102_875_335).to_bytes(8, "little"))
    add("large", 29, bytes_value=(16444743074749521625).to_bytes(8, "little"))
    table = add("table", 16).dataset_value
    table.num_of_columns = 3
    table.columns.extend(["Int8s", "Names", "Reals"])
    table.types.extend([1, 12, 10])
    for whole, name, real in ((0xFF, "a", 0.5), (2, 'b"', -1.0)):
        row = table.rows.add()
        row.elements.add(int_value=whole)
        row.elements.add(string_value=name)
        row.elements.add(double_value=real)
    table.rows.add().elements.extend([pb.Payload.DataSet.DataSetValue() for _ in range(3)])
    definition = add("_types_/Motor", 19).template_value
    definition.is_definition = True
    definition.metrics.add(name="RPMs", datatype=3, int_value=0)
    motor = add("My Motor", 19).template_value
    motor.template_ref, motor.is_definition, motor.version = "Motor", False, "2.0"
    motor.metrics.add(name="RPMs", datatype=3, int_value=0xFFFFFFFF)
    motor.metrics.add(name="On", datatype=11, boolean_value=True)
    motor.metrics.add(name="Gone", datatype=10, is_null=True)
    inner = motor.metrics.add(name="Bearing", datatype=19).template_value
    inner.template_ref, inner.is_definition = "Bearing", False
    inner.metrics.add(name="Temp", datatype=10, double_value=71.25)
    motor.parameters.add(name="Poles", type=7, int_value=4)
    motor.parameters.add(name="Maker", type=12, string_value="ACME")
    measured = add("Temperature", 10, double_value=21.5, alias=5)
    measured.properties.keys.extend(["engUnit", "engHigh", "Quality"])
    measured.properties.values.add(type=12, string_value="°C")
    measured.properties.values.add(type=10, double_value=100.0)
    measured.properties.values.add(type=3, int_value=0)
    nbirth = payload.SerializeToString()
    expected = {
        "when": {"$time": 1_256_102_875_335_000_000},
        "times": [1_256_102_875_335_000_000],
        "large": [16444743074749521625],
        "table": {
            "columns": ["Int8s", "Names", "Reals"],
            "rows": [[-1, "a", 0.5], [2, 'b"', -1.0], [None, None, None]],
        },
        "My Motor": {
            "template_ref": "Motor",
            "version": "2.0",
            "metrics": {
                "RPMs": -1,
                "On": True,
                "Gone": None,
                "Bearing": {"template_ref": "Bearing", "metrics": {"Temp": 71.25}},
            },
            "parameters": {"Poles": 4, "Maker": "ACME"},
        },
        "Temperature": 21.5,
        "Temperature.engUnit": "°C",
        "Temperature.quality": 0,
    }
    better = pb.Payload(timestamp=MS, seq=1)
    better.metrics.add(alias=5, timestamp=MS, double_value=22.0)
    plain = pb.Payload(timestamp=MS, seq=2)
    plain.metrics.add(alias=5, timestamp=MS, double_value=22.5)
    uneven = pb.Payload(timestamp=MS, seq=0)
    broken = uneven.metrics.add(name="table", datatype=16, timestamp=MS).dataset_value
    broken.columns.extend(["a", "b"])
    broken.types.extend([3, 3])
    broken.rows.add().elements.add(int_value=1)
    uneven.metrics.add(name="fine", datatype=3, timestamp=MS, int_value=1)
    compressed = pb.Payload(timestamp=MS, seq=0, uuid="SPBV1.0_COMPRESSED", body=b"\x1f\x8b")
    return [
        vector(
            "data sets, templates, times and properties are read",
            NODE.format("NBIRTH"),
            nbirth,
            [message(NODE_KEY, NS, **GOOD, **expected)],
            source=PROTOC,
            state="*",
        ),
        vector(
            "a quality that was bad is good again where nothing is said",
            NODE.format("NDATA"),
            better.SerializeToString(),
            [message(NODE_KEY, NS, **{"Temperature": 22.0, "Temperature.quality": 192})],
            source=PROTOC,
            state_of="data sets, templates, times and properties are read",
            state="*",
        ),
        vector(
            "and that is said once",
            NODE.format("NDATA"),
            plain.SerializeToString(),
            [message(NODE_KEY, NS, Temperature=22.5)],
            source=PROTOC,
            state_of="a quality that was bad is good again where nothing is said",
            state="*",
        ),
        vector(
            "names of online and quality, and the properties that are kept, can be chosen",
            NODE.format("NBIRTH"),
            nbirth,
            [
                message(
                    NODE_KEY,
                    NS,
                    connected=True,
                    **{
                        name: value
                        for name, value in expected.items()
                        if not name.startswith("Temperature.")
                    },
                    **{"Temperature.engHigh": 100.0},
                )
            ],
            source=PROTOC,
            settings={"online": "connected", "quality": "", "properties": ["engHigh"]},
            state="*",
        ),
        vector(
            "a data set that does not come out even is an error of its own",
            NODE.format("NBIRTH"),
            uneven.SerializeToString(),
            [message(NODE_KEY, NS, **GOOD, fine=1)],
            source=PROTOC,
            state="*",
            error="sparkplug.value",
        ),
        vector(
            "a compressed payload is refused in words",
            NODE.format("NBIRTH"),
            compressed.SerializeToString(),
            source=PROTOC,
            error="sparkplug.compressed",
        ),
    ]


def command(name: str, params: dict[str, Any], **expect: Any) -> dict[str, Any]:
    context = {"topic": DEVICE.format("DCMD"), "received_ns": NS}
    return {
        "name": name,
        "source": ENCODER,
        "function": "encode",
        "context": context | {"state_of": "the birth of a device follows that of its edge node"},
        "input": {"json": {"command": "write", "params": params}},
        "expect": expect,
    }


def frame(*metrics: Metric, dtypes: bool = True) -> str:
    return spb.DCmd(timestamp=MS, metrics=metrics).encode(include_dtypes=dtypes).hex()


def commands() -> list[dict[str, Any]]:
    green = metric(None, DataType.BOOLEAN, True, 12)
    both = frame(metric(None, DataType.INT16, -7, 11), green)
    no_birth = command(
        "a metric of no birth is written by its name, with the datatype that is given",
        {"metric": "Setpoint", "value": 21.5, "type": "Float"},
        frames=[frame(metric("Setpoint", DataType.FLOAT, 21.5))],
    )
    del no_birth["context"]["state_of"]
    plain = command(
        "datatypes are left out where the settings say so",
        {"metric": "Outputs/LEDs/Green", "value": True},
        frames=[frame(green, dtypes=False)],
    )
    plain["context"]["settings"] = {"command_datatypes": False}
    by_key = command(
        "a device is found by its key as well",
        {"metric": "Outputs/LEDs/Green", "value": True},
        frames=[frame(green)],
    )
    by_key["context"]["topic"], by_key["context"]["device"] = "plant/commands", DEVICE_KEY
    rebirth_metric = metric("Node Control/Rebirth", DataType.BOOLEAN, True)
    ask = command("an edge node is asked for its births", {}, frames=[frame(rebirth_metric)])
    ask["context"]["topic"] = NODE.format("NCMD")
    ask["input"]["json"]["command"] = "rebirth"
    of_device = command("a device is not asked for births", {}, error="command.device")
    of_device["input"]["json"]["command"] = "rebirth"
    return [
        command(
            "a metric is written by its alias",
            {"metric": "Outputs/LEDs/Green", "value": True},
            frames=[frame(green)],
        ),
        command(
            "several metrics are written at once",
            {"metrics": {"Inputs/B": -7, "Outputs/LEDs/Green": True}},
            frames=[both],
        ),
        command(
            "a null is written as such",
            {"metric": "Serial", "value": None},
            frames=[frame(metric(None, DataType.STRING, None, 300))],
        ),
        plain,
        by_key,
        no_birth,
        ask,
        of_device,
        command(
            "a metric of no birth needs a datatype",
            {"metric": "Setpoint", "value": 1},
            error="command.params",
        ),
        command(
            "a value has to be of the datatype",
            {"metric": "Inputs/B", "value": 32768},
            error="command.params",
        ),
        command(
            "a slip of the pen is refused",
            {"metrik": "Inputs/B", "value": 1},
            error="command.params",
        ),
    ]


def main() -> None:
    """Write the files beside this one."""
    write("session.json", session() + commands())
    write("datatypes.json", types())
    write("structured.json", structured())


if __name__ == "__main__":
    main()
