"""Answers to reads: every type of value, names, scales and words, and what says no."""

from __future__ import annotations

from typing import Any as Anything

from bacpypes3.apdu import (
    AbortPDU,
    ErrorType,
    ReadPropertyACK,
    ReadPropertyMultipleACK,
    RejectPDU,
    SimpleAckPDU,
    UnconfirmedCOVNotificationRequest,
    error_types,
)
from bacpypes3.basetypes import (
    BinaryPV,
    DateTime,
    EventState,
    PriorityArray,
    PriorityValue,
    PropertyIdentifier,
    ReadAccessResult,
    ReadAccessResultElement,
    ReadAccessResultElementChoice,
    StatusFlags,
)
from bacpypes3.constructeddata import Any, ArrayOf
from bacpypes3.primitivedata import (
    Boolean,
    CharacterString,
    Date,
    Double,
    Enumerated,
    Integer,
    Null,
    ObjectIdentifier,
    OctetString,
    Real,
    Time,
    Unsigned,
)
from frames import (
    BitString5,
    apdu_bytes,
    frame,
    npdu_bytes,
    object_id,
    read_ack,
    read_request,
    text_in,
    unicast,
    values,
    vector,
)
from notified import cov
from objects import OBJECTS


def types() -> list[Anything]:
    """Every application-tagged type, each read from an object."""
    cases: list[tuple[str, str, str, Anything, dict[str, Anything]]] = [
        ("a real", "analog-input,1", "present-value", Real(21.5), {"analog_input_1": 21.5}),
        (
            "a double",
            "large-analog-value,2",
            "present-value",
            Double(1e-300),
            {"large_analog_value_2": 1e-300},
        ),
        (
            "an unsigned",
            "positive-integer-value,3",
            "present-value",
            Unsigned(4294967295),
            {"positive_integer_value_3": 4294967295},
        ),
        (
            "an integer",
            "integer-value,4",
            "present-value",
            Integer(-129),
            {"integer_value_4": -129},
        ),
        (
            "a boolean",
            "analog-input,1",
            "out-of-service",
            Boolean(True),
            {"analog_input_1_out_of_service": True},
        ),
        ("a null", "schedule,1", "schedule-default", Null(()), {}),
        (
            "octets",
            "octetstring-value,5",
            "present-value",
            OctetString(b"\x00\xff\x10"),
            {"octetstring_value_5": {"$bytes": "00ff10"}},
        ),
        (
            "text in UTF-8",
            "analog-input,1",
            "description",
            CharacterString("Zuluft °C"),
            {"analog_input_1_description": "Zuluft °C"},
        ),
        (
            "text in UCS-4",
            "analog-input,1",
            "description",
            text_in(3)("Zuluft 🌡"),
            {"analog_input_1_description": "Zuluft 🌡"},
        ),
        (
            "text in UCS-2",
            "analog-input,1",
            "description",
            text_in(4)("送风温度"),
            {"analog_input_1_description": "送风温度"},
        ),
        (
            "text in Latin-1",
            "analog-input,1",
            "description",
            text_in(5)("Zuluft °C"),
            {"analog_input_1_description": "Zuluft °C"},
        ),
        (
            "long text",
            "device,9",
            "object-name",
            CharacterString("n" * 300),
            {"device_9_object_name": "n" * 300},
        ),
        (
            "bits",
            "bitstring-value,6",
            "present-value",
            BitString5([1, 0, 1, 0, 1]),
            {"bitstring_value_6": "10101"},
        ),
        (
            "an enumerated",
            "analog-input,1",
            "event-state",
            EventState("highLimit"),
            {"analog_input_1_event_state": 3},
        ),
        (
            "a binary state",
            "binary-input,7",
            "present-value",
            BinaryPV("active"),
            {"binary_input_7": True},
        ),
        (
            "a multi-state",
            "multi-state-value,8",
            "present-value",
            Unsigned(3),
            {"multi_state_value_8": 3},
        ),
        (
            "a date",
            "date-value,10",
            "present-value",
            Date((126, 3, 29, 7)),
            {"date_value_10": "2026-03-29"},
        ),
        (
            "a pattern of dates",
            "date-pattern-value,10",
            "present-value",
            Date((255, 14, 32, 1)),
            {"date_pattern_value_10": "*-even-last mon"},
        ),
        (
            "a time",
            "time-value,11",
            "present-value",
            Time((13, 5, 0, 25)),
            {"time_value_11": "13:05:00.25"},
        ),
        (
            "a pattern of times",
            "time-pattern-value,11",
            "present-value",
            Time((13, 255, 255, 255)),
            {"time_pattern_value_11": "13:*:*.*"},
        ),
        (
            "a moment",
            "datetime-value,12",
            "present-value",
            DateTime(date=Date((126, 3, 29, 7)), time=Time((1, 30, 0, 0))),
            {"datetime_value_12": "2026-03-29T01:30:00.00"},
        ),
        (
            "an object",
            "program,1",
            "description-of-halt",
            ObjectIdentifier("analog-output,77"),
            {"program_1_description_of_halt": "analog-output,77"},
        ),
        (
            "status flags",
            "analog-input,1",
            "status-flags",
            StatusFlags([0, 1, 0, 1]),
            {
                "analog_input_1_in_alarm": False,
                "analog_input_1_fault": True,
                "analog_input_1_overridden": False,
                "analog_input_1_out_of_service": True,
            },
        ),
        (
            "a list",
            "device,9",
            "object-list",
            ArrayOf(ObjectIdentifier)(
                [ObjectIdentifier("device,9"), ObjectIdentifier("analog-input,1")]
            ),
            {"device_9_object_list": ["device,9", "analog-input,1"]},
        ),
        (
            "a priority array",
            "analog-output,1",
            "priority-array",
            PriorityArray(
                [PriorityValue(null=())] * 7
                + [PriorityValue(real=21.5)]
                + [PriorityValue(null=())] * 8
            ),
            {"analog_output_1_priority_array": [None] * 7 + [21.5] + [None] * 8},
        ),
    ]
    vectors = []
    for name, obj, prop, value, expected in cases:
        expect = values(**expected) if expected else {}
        vectors.append(vector(f"{name} is read", read_ack(obj, prop, value), expect))
    vectors.append(
        vector(
            "an element of an array is read",
            read_ack("analog-output,1", "priority-array", Real(21.5), 8),
            values(analog_output_1_priority_array_8=21.5),
        )
    )
    return vectors


def result(
    obj: str, prop: str, value: Anything = None, error: tuple[str, str] | None = None
) -> ReadAccessResult:
    choice = (
        ReadAccessResultElementChoice(propertyValue=Any(value))
        if error is None
        else ReadAccessResultElementChoice(
            propertyAccessError=ErrorType(errorClass=error[0], errorCode=error[1])
        )
    )
    element = ReadAccessResultElement(
        propertyIdentifier=PropertyIdentifier(prop), readResult=choice
    )
    return ReadAccessResult(objectIdentifier=object_id(obj), listOfResults=[element])


def mapped() -> list[Anything]:
    """Names, scales, words; several properties at once."""
    everything = ReadPropertyMultipleACK(
        listOfReadAccessResults=[
            result("analog-input,1", "present-value", Real(21.5)),
            result("analog-input,1", "event-state", EventState("highLimit")),
            result("accumulator,2", "present-value", Unsigned(12345)),
            result("multi-state-value,3", "present-value", Unsigned(2)),
            result("binary-output,4", "present-value", BinaryPV("inactive")),
            result("bitstring-value,5", "present-value", BitString5([1, 1, 0, 0, 0])),
            result("analog-input,1", "units", Enumerated(62)),
            result("analog-input,99", "present-value", Real(-1.0)),
        ]
    )
    expected = {
        "supply": 21.5,
        "supply_state": "high",
        "energy": 1239.5,
        "mode": "heat",
        "fan": False,
        "alarms_frost": True,
        "alarms_filter": False,
    }
    rest = {"supply_units": 62, "analog_input_99": -1}
    partly = ReadPropertyMultipleACK(
        listOfReadAccessResults=[
            result("analog-input,1", "present-value", Real(21.5)),
            result("analog-input,2", "present-value", error=("object", "unknownObject")),
            result("analog-input,3", "present-value", error=("property", "readAccessDenied")),
        ]
    )
    return [
        vector(
            "several properties are read",
            frame(everything, 7),
            values(**expected, **rest),
            settings={"objects": OBJECTS},
        ),
        vector(
            "what is not named can be left out",
            frame(everything, 7),
            values(**expected),
            settings={"objects": OBJECTS, "unmapped": "drop"},
        ),
        vector(
            "what could be read stands beside what could not",
            frame(partly, 7),
            {"messages": [{"values": {"supply": 21.5}}], "error": "bacnet.error"},
            settings={"objects": OBJECTS},
        ),
    ]


def failures() -> list[Anything]:
    error = error_types[12](errorClass="object", errorCode="unknownObject")
    reject = RejectPDU(7, 9)
    abort = AbortPDU(True, 7, 4)
    asked, other = (
        read_request("analog-input,1", "present-value", 7),
        read_request("analog-input,1", "present-value", 8),
    )
    answer = read_ack("analog-input,1", "present-value", Real(21.5))
    done = SimpleAckPDU(15, 7)
    segmented = apdu_bytes(
        ReadPropertyACK(
            objectIdentifier=object_id("device,9"),
            propertyIdentifier=PropertyIdentifier("object-list"),
            propertyValue=Any(Unsigned(1)),
        ),
        7,
    )
    # The first segment of three: the bit, and sequence number and window behind the invoke id.
    segmented = bytes([segmented[0] | 0x0C, segmented[1], 0, 4]) + segmented[2:]
    return [
        vector("an error", frame(error, 7), {"error": "bacnet.error"}, request=asked),
        vector("a reject", frame(reject), {"error": "bacnet.reject"}, request=asked),
        vector("an abort", frame(abort), {"error": "bacnet.abort"}, request=asked),
        vector("an answer to this request", answer, values(analog_input_1=21.5), request=asked),
        vector("an answer to another request", answer, {"error": "not_mine"}, request=other),
        vector(
            "an acknowledgement of another service",
            frame(done),
            {"error": "not_mine"},
            request=asked,
        ),
        vector(
            "a notification while an answer is waited for",
            unicast(npdu_bytes(apdu_bytes(cov(UnconfirmedCOVNotificationRequest)))),
            {"error": "not_mine"},
            request=asked,
        ),
        vector("a write is acknowledged", frame(done), {}),
        vector(
            "a segment",
            unicast(npdu_bytes(segmented)),
            {"error": "bacnet.segmented"},
            request=asked,
        ),
    ]
