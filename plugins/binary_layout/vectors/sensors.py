"""Published examples of real sensors."""

from __future__ import annotations

import struct
from typing import Any

from vector import decode, encode, values

MILESIGHT = {
    "endian": "little",
    "fields": [
        {
            "type": "group",
            "repeat": {"count": "end"},
            "fields": [
                {"name": "channel", "type": "u8", "hidden": True},
                {"name": "kind", "type": "u8", "hidden": True},
                {
                    "type": "switch",
                    "on": "kind",
                    "cases": {
                        "0x75": [{"name": "battery", "type": "u8", "unit": "%"}],
                        "0x67": [
                            {"name": "temperature", "type": "i16", "scale": 0.1, "unit": "°C"}
                        ],
                        "0x68": [{"name": "humidity", "type": "u8", "scale": 0.5, "unit": "%"}],
                        "0x00": [{"name": "leak", "type": "bool"}],
                        "0xc8": [{"name": "counter", "type": "u32"}],
                        "0xce": [
                            {
                                "type": "group",
                                "ts": {"offset": 0},
                                "fields": [
                                    {
                                        "name": "temperature",
                                        "type": "i16",
                                        "scale": 0.1,
                                        "offset": 4,
                                    },
                                    {"name": "humidity", "type": "u8", "scale": 0.5},
                                ],
                            }
                        ],
                    },
                },
            ],
        }
    ],
    "commands": {
        "set_reporting_interval": {
            "template": "ff 03 00 00",
            "fields": [{"name": "interval_s", "type": "u16", "offset": 2, "unit": "s"}],
        }
    },
}

DRAGINO = {
    "fields": [
        {
            "type": "group",
            "repeat": {"count": "end"},
            "ts": {"offset": 7},
            "fields": [
                {"name": "external", "type": "i16", "scale": 0.01, "null": "0x7fff", "unit": "°C"},
                {"name": "temperature", "type": "i16", "scale": 0.01, "unit": "°C"},
                {"name": "humidity", "type": "u16", "scale": 0.1, "unit": "%"},
                {"name": "is_reply", "type": "bool", "offset": 6, "bit": 6, "bit_order": "lsb"},
                {
                    "name": "sensor",
                    "type": "bits",
                    "offset": 6,
                    "bit": 0,
                    "width": 4,
                    "bit_order": "lsb",
                },
            ],
        }
    ]
}
DRAGINO_LOG = (
    "7FFF089801464160065F97 7FFF088E014B4160066009 7FFF0885014E4160066066 7FFF0875015141600662BE"
    "7FFF086B01554160066516 7FFF08660155416006676E 7FFF085F015A41600669C6 7FFF0857015D4160066C1E"
)


def sensors() -> list[Any]:
    manual = "Milesight EM300 Series, User Guide, 5.2 Sensor Data"
    readme = "Milesight-IoT/SensorDecoders, EM_Series/EM300_Series"
    dragino = (
        "Dragino LHT65, User Manual, Datalog: the first record as it is explained there, "
        "the others as struct reads them"
    )
    log = bytes.fromhex(DRAGINO_LOG)
    records = [struct.unpack(">hhHBI", log[at : at + 11]) for at in range(0, len(log), 11)]
    assert records[0] == (0x7FFF, 2200, 326, 0x41, 1611030423)
    messages = [
        {
            "ts": seconds * 10**9,
            "values": {
                "temperature": temperature / 100,
                "humidity": humidity / 10,
                "is_reply": True,
                "sensor": 1,
            },
        }
        for _, temperature, humidity, _, seconds in records
    ]
    return [
        decode(
            "Milesight EM300-TH",
            f"{readme}/EM300-TH/README.md",
            "01 75 5C 03 67 34 01 04 68 65",
            MILESIGHT,
            values(battery=92, temperature=30.8, humidity=50.5),
        ),
        decode(
            "Milesight EM300-SLD",
            manual,
            "01 75 64 03 67 10 01 04 68 71 05 00 01",
            MILESIGHT,
            values(battery=100, temperature=27.2, humidity=56.5, leak=True),
        ),
        decode(
            "Milesight EM320-TH, history",
            f"{readme}/EM320-TH/README.md",
            "20 CE 9E 74 46 63 10 01 5D",
            MILESIGHT,
            {"ts": 1665561758 * 10**9, "values": {"temperature": 27.2, "humidity": 46.5}},
        ),
        decode(
            "Milesight, a type the layout does not know",
            f"{readme}/EM300-TH/README.md, another type behind it",
            "01 75 5C ff 16 00",
            MILESIGHT,
            values(battery=92),
            error="layout.case",
        ),
        encode(
            "Milesight, reporting interval",
            "Milesight EM300 Series, User Guide, 5.3 Downlink Commands: two bytes, s",
            MILESIGHT,
            "set_reporting_interval",
            {"interval_s": 1200},
            "ff 03 b0 04",
        ),
        decode("Dragino LHT65, records of its log", dragino, DRAGINO_LOG, DRAGINO, *messages),
    ]
