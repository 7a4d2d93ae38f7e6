"""Writes the vectors that are made by others' encoders, and those of the documents.

    pip install pycayennelpp==2.4.0
    python generate.py

What is expected is what was put into the encoder, or what the document says; never what a decoder
made of the bytes.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cayennelpp import LppFrame

HERE = Path(__file__).parent
ENCODER = "pycayennelpp 2.4.0"
DOCUMENT = "myDevices, Cayenne Low Power Payload, Examples"
LIBRARY_TEST = "CayenneLPP of Electronic Cats, test/aunit/main.cpp"
LPP2_TEST = "CayenneLPP with LPP 2.0, test/aunit/main.cpp"

EVERYTHING: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = [
    ("add_digital_input", (1, 1), {"digital_input_1": 1}),
    ("add_digital_output", (2, 0), {"digital_output_2": 0}),
    ("add_analog_input", (3, -1.23), {"analog_input_3": -1.23}),
    ("add_analog_output", (4, 327.67), {"analog_output_4": 327.67}),
    ("add_generic", (5, 4294967295), {"generic_5": 4294967295}),
    ("add_luminosity", (6, 65535), {"illuminance_6": 65535}),
    ("add_presence", (7, 1), {"presence_7": 1}),
    ("add_temperature", (8, -40.5), {"temperature_8": -40.5}),
    ("add_humidity", (9, 59.5), {"humidity_9": 59.5}),
    (
        "add_accelerometer",
        (10, 1.234, -1.234, 0.0),
        {"accelerometer_10_x": 1.234, "accelerometer_10_y": -1.234, "accelerometer_10_z": 0},
    ),
    ("add_pressure", (11, 1013.2), {"barometer_11": 1013.2}),
    ("add_voltage", (12, 230.5), {"voltage_12": 230.5}),
    ("add_current", (13, 16.125), {"current_13": 16.125}),
    ("add_frequency", (14, 868100000), {"frequency_14": 868100000}),
    ("add_percentage", (15, 87), {"percentage_15": 87}),
    ("add_altitude", (16, -17), {"altitude_16": -17}),
    ("add_load", (17, -4096.125), {"load_17": -4096.125}),
    ("add_concentration", (18, 412), {"concentration_18": 412}),
    ("add_power", (19, 3450), {"power_19": 3450}),
    ("add_distance", (20, 12.5), {"distance_20": 12.5}),
    ("add_energy", (21, 7953.25), {"energy_21": 7953.25}),
    ("add_direction", (22, 359), {"direction_22": 359}),
    (
        "add_gyrometer",
        (24, -2.5, 100.25, 0.0),
        {"gyrometer_24_x": -2.5, "gyrometer_24_y": 100.25, "gyrometer_24_z": 0},
    ),
    (
        "add_colour",
        (25, 255, 128, 1),
        {"colour_25_red": 255, "colour_25_green": 128, "colour_25_blue": 1},
    ),
    (
        "add_gps",
        (26, 48.125, -123.25, -12.5),
        {"gps_26_latitude": 48.125, "gps_26_longitude": -123.25, "gps_26_altitude": -12.5},
    ),
    ("add_switch", (27, 1), {"switch_27": 1}),
]
TIME = datetime(2026, 3, 29, 1, 30, tzinfo=UTC)
TIME_NS = int(TIME.timestamp()) * 10**9


def encoded(calls: list[tuple[str, tuple[Any, ...], dict[str, Any]]]) -> tuple[str, dict[str, Any]]:
    """The bytes of these calls of the encoder, and what was put in."""
    frame, values = LppFrame(), {}
    for method, arguments, expected in calls:
        getattr(frame, method)(*arguments)
        values.update(expected)
    return bytes(frame).hex(), values


def unix_time(channel: int) -> str:
    frame = LppFrame()
    frame.add_unix_time(channel, int(TIME.timestamp()))
    return bytes(frame).hex()


def vector(
    name: str, source: str, payload: str, messages: list[Any], **more: Any
) -> dict[str, Any]:
    context = {key: more.pop(key) for key in ("settings", "topic", "received_ns") if key in more}
    made: dict[str, Any] = {"name": name, "source": source}
    if context:
        made["context"] = context
    made["input"] = {"hex": payload}
    made["expect"] = ({"messages": messages} if messages else {}) | more
    return made


def command(
    name: str, source: str, frame: str, settings: dict[str, Any], **what: Any
) -> dict[str, Any]:
    return {
        "name": name,
        "source": source,
        "function": "encode",
        "context": {"settings": settings},
        "input": {"json": what},
        "expect": {"frames": [frame]},
    }


def by_encoder() -> list[Any]:
    payload, values = encoded(EVERYTHING)
    vectors = [vector("every type at once", ENCODER, payload, [{"values": values}])]
    for call in EVERYTHING:
        payload, values = encoded([call])
        name = f"{call[0].removeprefix('add_').replace('_', ' ')} alone"
        vectors.append(vector(name, ENCODER, payload, [{"values": values}]))
    two, _ = encoded([("add_temperature", (1, 21.5), {}), ("add_humidity", (1, 40.0), {})])
    vectors += [
        vector(
            "a time is a value",
            ENCODER,
            unix_time(23),
            [{"values": {"time_23": {"$time": TIME_NS}}}],
        ),
        vector(
            "a time can be the time of the others",
            ENCODER,
            two + unix_time(0),
            [{"ts": TIME_NS, "values": {"temperature_1": 21.5, "humidity_1": 40}}],
            settings={"time": "timestamp"},
        ),
        vector(
            "names by channel and by type",
            ENCODER,
            two + encoded([("add_gps", (2, 1.5, 2.5, 3.5), {})])[0],
            [
                {
                    "values": {
                        "outside": 21.5,
                        "humidity_1": 40,
                        "truck_latitude": 1.5,
                        "truck_longitude": 2.5,
                        "truck_altitude": 3.5,
                    }
                }
            ],
            settings={"names": {"1:temperature": "outside", "2": "truck"}},
        ),
        vector(
            "a name that comes again begins a further message",
            ENCODER,
            two + two,
            [
                {"values": {"a": 21.5}},
                {"values": {"a": 40}},
                {"values": {"a": 21.5}},
                {"values": {"a": 40}},
            ],
            settings={"names": {"1": "a"}},
        ),
    ]
    output = LppFrame()
    output.add_digital_output(3, 1)
    analog = LppFrame()
    analog.add_analog_output(4, -12.5)
    vectors += [
        command(
            "a digital output as a record",
            ENCODER,
            bytes(output).hex(),
            {},
            command="digital_output",
            params={"channel": 3, "value": True},
        ),
        command(
            "an analog output as a record",
            ENCODER,
            bytes(analog).hex(),
            {},
            command="analog_output",
            params={"channel": 4, "value": -12.5},
        ),
    ]
    return vectors


def by_document() -> list[Any]:
    reserved = "Cayenne LPP 2.0, 3.3 Frame Ports"
    actuator = "Cayenne LPP 2.0, Actuator Commands: two bytes of 0.01, high is 0x0064; 0xFF ends"
    return [
        vector(
            "two temperature sensors",
            DOCUMENT,
            "03 67 01 10 05 67 00 FF",
            [{"values": {"temperature_3": 27.2, "temperature_5": 25.5}}],
        ),
        vector(
            "a negative temperature", DOCUMENT, "01 67 FF D7", [{"values": {"temperature_1": -4.1}}]
        ),
        vector(
            "an accelerometer",
            DOCUMENT,
            "06 71 04 D2 FB 2E 00 00",
            [
                {
                    "values": {
                        "accelerometer_6_x": 1.234,
                        "accelerometer_6_y": -1.234,
                        "accelerometer_6_z": 0,
                    }
                }
            ],
        ),
        vector(
            "a position",
            DOCUMENT,
            "01 88 06 76 5f f2 96 0a 00 03 e8",
            [
                {
                    "values": {
                        "gps_1_latitude": 42.3519,
                        "gps_1_longitude": -87.9094,
                        "gps_1_altitude": 10,
                    }
                }
            ],
        ),
        vector(
            "a pressure and a temperature on channel 0",
            "The Things Stack, Payload Formatters, CayenneLPP",
            "00 73 27 bf 00 67 00 de",
            [{"values": {"barometer_0": 1017.5, "temperature_0": 22.2}}],
        ),
        vector("an unknown type", LIBRARY_TEST, "03 24 01 10", [], error="lpp.type"),
        vector("a record cut short", LIBRARY_TEST, "05 67 FF", [], error="lpp.truncated"),
        vector(
            "what was read before stands",
            LIBRARY_TEST + ", joined",
            "05 67 FF D1 03 24 01 10",
            [{"values": {"temperature_5": -4.7}}],
            error="lpp.type",
        ),
        vector(
            "what was read before can be refused",
            LIBRARY_TEST + ", joined",
            "05 67 FF D1 05 67 FF",
            [],
            error="lpp.truncated",
            settings={"on_error": "refuse"},
        ),
        vector(
            "what was read before can be all",
            LIBRARY_TEST + ", joined",
            "05 67 FF D1 05 67 FF",
            [{"values": {"temperature_5": -4.7}}],
            settings={"on_error": "ignore"},
        ),
        vector(
            "a type of the settings' own",
            LIBRARY_TEST + ", with a type of its own",
            "03 24 01 10 05 67 FF D1",
            [{"values": {"dust_3": 2.72, "temperature_5": -4.7}}],
            settings={"types": {"36": {"name": "dust", "bytes": 2, "divisor": 100}}},
        ),
        vector(
            "a voltage that can be negative",
            "CayenneLPP of Electronic Cats 1.6, which writes voltages signed",
            "03 74 FB 2E",
            [{"values": {"voltage_3": -12.34}}],
            settings={
                "types": {"116": {"name": "voltage", "bytes": 2, "signed": True, "divisor": 100}}
            },
        ),
        vector("nothing", LIBRARY_TEST + ", Reset", "", []),
        vector(
            "packed, by its port",
            LPP2_TEST,
            "67 01 10 67 00 FF",
            [{"values": {"temperature_0": 27.2, "temperature_1": 25.5}}],
            settings={"format": "by_port"},
            topic="lora/node-1/2",
        ),
        vector(
            "packed, by the settings",
            LPP2_TEST,
            "67 01 10 67 00 FF",
            [{"values": {"temperature_0": 27.2, "temperature_1": 25.5}}],
            settings={"format": "packed"},
        ),
        vector(
            "a position at full scale",
            LPP2_TEST,
            "01 02 86 3D 30 FA C2 9B C8 04 06",
            [
                {
                    "values": {
                        "gps_1_latitude": 42.35192,
                        "gps_1_longitude": -87.909432,
                        "gps_1_altitude": 10.3,
                    }
                }
            ],
            settings={"format": "by_port"},
            topic="3",
        ),
        vector(
            "history has times of its own",
            LPP2_TEST,
            "80 00 3C 00 C8 80 00 00 00 FA",
            [
                {"ts": TIME_NS - 60 * 10**9, "values": {"power_1": 200}},
                {"ts": TIME_NS, "values": {"power_1": 250}},
            ],
            settings={"format": "by_port"},
            topic="101",
            received_ns=TIME_NS,
        ),
        vector(
            "configuration is no data",
            reserved,
            "02 00 00 00 3c",
            [],
            settings={"format": "by_port"},
            topic="11",
        ),
        vector(
            "a reserved port",
            reserved,
            "01 67 FF D7",
            [],
            error="lpp.port",
            settings={"format": "by_port"},
            topic="7",
        ),
        vector(
            "a topic without a port",
            reserved,
            "01 67 FF D7",
            [],
            error="lpp.port",
            settings={"format": "by_port"},
            topic="lora/node",
        ),
        command(
            "a digital output of an actuator",
            actuator,
            "01 00 64 ff",
            {"downlink": "actuator"},
            command="digital_output",
            params={"channel": 1, "value": True},
        ),
        command(
            "an analog output of an actuator",
            actuator,
            "02 ff 9c ff",
            {"downlink": "actuator"},
            command="analog_output",
            params={"channel": 2, "value": -1},
        ),
    ]


def write(name: str, vectors: list[Any]) -> None:
    lines = ",\n".join("  " + json.dumps(one, ensure_ascii=False) for one in vectors)
    (HERE / name).write_text(f"[\n{lines}\n]\n")


if __name__ == "__main__":
    write("encoder.json", by_encoder())
    write("documents.json", by_document())
