"""Writes the vectors: frames made by bacpypes3's encoder, and the examples of the standard.

    pip install bacpypes3==0.0.110
    python generate.py

What is expected of a frame is what was put into the encoder. What is expected of a command is the
frame that bacpypes3 makes of the same request.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any as Anything

from bacpypes3.apdu import (
    APDU,
    AbortPDU,
    ConfirmedCOVNotificationRequest,
    ErrorPDU,
    ErrorType,
    IAmRequest,
    ReadPropertyACK,
    ReadPropertyMultipleACK,
    ReadPropertyMultipleRequest,
    ReadPropertyRequest,
    RejectPDU,
    SimpleAckPDU,
    SubscribeCOVRequest,
    UnconfirmedCOVNotificationRequest,
    WhoIsRequest,
    WritePropertyRequest,
    error_types,
)
from bacpypes3.basetypes import (
    BinaryPV,
    DateTime,
    EventState,
    PriorityArray,
    PriorityValue,
    PropertyIdentifier,
    PropertyReference,
    PropertyValue,
    ReadAccessResult,
    ReadAccessResultElement,
    ReadAccessResultElementChoice,
    ReadAccessSpecification,
    Segmentation,
    StatusFlags,
)
from bacpypes3.constructeddata import Any, ArrayOf
from bacpypes3.ipv4.bvll import ForwardedNPDU, OriginalBroadcastNPDU, OriginalUnicastNPDU, Result
from bacpypes3.npdu import NPCI
from bacpypes3.pdu import GlobalBroadcast, IPv4Address, RemoteStation
from bacpypes3.primitivedata import (
    BitString,
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

HERE = Path(__file__).parent
SOURCE = "bacpypes3 0.0.110"


class BitString5(BitString):
    _bitstring_length = 5


def text_in(encoding: int) -> type:
    return type("Text", (CharacterString,), {"_encoding": encoding})


def apdu_bytes(apdu: Anything, invoke_id: int | None = None) -> bytes:
    """The bytes of an APDU, given as a sequence or a plain one, neither of them in segments."""
    if hasattr(apdu, "_order"):
        apdu = apdu.encode()
    if invoke_id is not None:
        apdu.apduInvokeID = invoke_id
    apdu.apduMaxSegs, apdu.apduMaxResp = 0, 5
    apdu.apduSeg = apdu.apduMor = apdu.apduSA = 0
    return bytes(APDU.encode(apdu).pduData)


def npdu_bytes(apdu: bytes, *, reply: bool = False, to: Anything = None, of: Anything = None) -> bytes:
    npci = NPCI()
    npci.pduExpectingReply = reply
    npci.pduNetworkPriority = 0
    npci.npduDADR, npci.npduSADR, npci.npduHopCount = to, of, 255
    return bytes(npci.encode().pduData) + apdu


def unicast(npdu: bytes) -> str:
    return bytes(OriginalUnicastNPDU(npdu).encode().pduData).hex()


def broadcast(npdu: bytes) -> str:
    return bytes(OriginalBroadcastNPDU(npdu).encode().pduData).hex()


def forwarded(npdu: bytes) -> str:
    pdu = ForwardedNPDU(IPv4Address("192.168.0.9:47808"), npdu)
    return bytes(pdu.encode().pduData).hex()


def frame(apdu: Anything, invoke_id: int | None = None, **more: Anything) -> str:
    return unicast(npdu_bytes(apdu_bytes(apdu, invoke_id), **more))


def object_id(text: str) -> ObjectIdentifier:
    return ObjectIdentifier(text)


def vector(name: str, frame: str, expect: dict[str, Anything], **context: Anything) -> dict[str, Anything]:
    made: dict[str, Anything] = {"name": name, "source": SOURCE}
    if context:
        made["context"] = context
    return made | {"input": {"hex": frame}, "expect": expect}


def values(**values: Anything) -> dict[str, Anything]:
    return {"messages": [{"values": values}]}


def read_ack(obj: str, prop: str, value: Anything, index: int | None = None, invoke_id: int = 7) -> str:
    more = {} if index is None else {"propertyArrayIndex": index}
    ack = ReadPropertyACK(
        objectIdentifier=object_id(obj),
        propertyIdentifier=PropertyIdentifier(prop),
        propertyValue=Any(value),
        **more,
    )
    return frame(ack, invoke_id)


def read_request(obj: str, prop: str, invoke_id: int, index: int | None = None) -> str:
    more = {} if index is None else {"propertyArrayIndex": index}
    request = ReadPropertyRequest(
        objectIdentifier=object_id(obj), propertyIdentifier=PropertyIdentifier(prop), **more
    )
    return frame(request, invoke_id, reply=True)


def types() -> list[Anything]:
    """Every application-tagged type, each read from an object."""
    cases: list[tuple[str, str, str, Anything, dict[str, Anything]]] = [
        ("a real", "analog-input,1", "present-value", Real(21.5), {"analog_input_1": 21.5}),
        ("a double", "large-analog-value,2", "present-value", Double(1e-300), {"large_analog_value_2": 1e-300}),
        ("an unsigned", "positive-integer-value,3", "present-value", Unsigned(4294967295), {"positive_integer_value_3": 4294967295}),
        ("an integer", "integer-value,4", "present-value", Integer(-129), {"integer_value_4": -129}),
        ("a boolean", "analog-input,1", "out-of-service", Boolean(True), {"analog_input_1_out_of_service": True}),
        ("a null", "schedule,1", "schedule-default", Null(()), {}),
        ("octets", "octetstring-value,5", "present-value", OctetString(b"\x00\xff\x10"), {"octetstring_value_5": {"$bytes": "00ff10"}}),
        ("text in UTF-8", "analog-input,1", "description", CharacterString("Zuluft °C"), {"analog_input_1_description": "Zuluft °C"}),
        ("text in UCS-4", "analog-input,1", "description", text_in(3)("Zuluft 🌡"), {"analog_input_1_description": "Zuluft 🌡"}),
        ("text in UCS-2", "analog-input,1", "description", text_in(4)("送风温度"), {"analog_input_1_description": "送风温度"}),
        ("text in Latin-1", "analog-input,1", "description", text_in(5)("Zuluft °C"), {"analog_input_1_description": "Zuluft °C"}),
        ("long text", "device,9", "object-name", CharacterString("n" * 300), {"device_9_object_name": "n" * 300}),
        ("bits", "bitstring-value,6", "present-value", BitString5([1, 0, 1, 0, 1]), {"bitstring_value_6": "10101"}),
        ("an enumerated", "analog-input,1", "event-state", EventState("highLimit"), {"analog_input_1_event_state": 3}),
        ("a binary state", "binary-input,7", "present-value", BinaryPV("active"), {"binary_input_7": True}),
        ("a multi-state", "multi-state-value,8", "present-value", Unsigned(3), {"multi_state_value_8": 3}),
        ("a date", "date-value,10", "present-value", Date((126, 3, 29, 7)), {"date_value_10": "2026-03-29"}),
        ("a pattern of dates", "date-pattern-value,10", "present-value", Date((255, 14, 32, 1)), {"date_pattern_value_10": "*-even-last mon"}),
        ("a time", "time-value,11", "present-value", Time((13, 5, 0, 25)), {"time_value_11": "13:05:00.25"}),
        ("a pattern of times", "time-pattern-value,11", "present-value", Time((13, 255, 255, 255)), {"time_pattern_value_11": "13:*:*.*"}),
        (
            "a moment", "datetime-value,12", "present-value",
            DateTime(date=Date((126, 3, 29, 7)), time=Time((1, 30, 0, 0))),
            {"datetime_value_12": "2026-03-29T01:30:00.00"},
        ),
        ("an object", "program,1", "description-of-halt", ObjectIdentifier("analog-output,77"), {"program_1_description_of_halt": "analog-output,77"}),
        (
            "status flags", "analog-input,1", "status-flags", StatusFlags([0, 1, 0, 1]),
            {
                "analog_input_1_in_alarm": False,
                "analog_input_1_fault": True,
                "analog_input_1_overridden": False,
                "analog_input_1_out_of_service": True,
            },
        ),
        (
            "a list", "device,9", "object-list",
            ArrayOf(ObjectIdentifier)([ObjectIdentifier("device,9"), ObjectIdentifier("analog-input,1")]),
            {"device_9_object_list": ["device,9", "analog-input,1"]},
        ),
        (
            "a priority array", "analog-output,1", "priority-array",
            PriorityArray([PriorityValue(null=())] * 7 + [PriorityValue(real=21.5)] + [PriorityValue(null=())] * 8),
            {"analog_output_1_priority_array": [None] * 7 + [21.5] + [None] * 8},
        ),
    ]
    vectors = []
    for name, obj, prop, value, expected in cases:
        expect = values(**expected) if expected else {}
        vectors.append(vector(f"{name} is read", read_ack(obj, prop, value), expect))
    vectors.append(
        vector("an element of an array is read", read_ack("analog-output,1", "priority-array", Real(21.5), 8), values(analog_output_1_priority_array_8=21.5))
    )
    return vectors


OBJECTS = [
    {"object": "analog-input,1", "name": "supply", "unit": "°C"},
    {"object": "analog-input,1", "property": "event-state", "name": "supply_state", "enum": {"0": "normal", "3": "high"}},
    {"object": "accumulator,2", "name": "energy", "scale": 0.1, "add": 5},
    {"object": "multi-state-value,3", "name": "mode", "enum": {"1": "off", "2": "heat", "3": "cool"}},
    {"object": "binary-output,4", "name": "fan", "priority": 8},
    {"object": "bitstring-value,5", "name": "alarms", "bits": ["frost", "", "filter"]},
    {"object": "analog-value,6", "name": "setpoint", "scale": 10, "priority": 10},
]


def result(obj: str, prop: str, value: Anything = None, error: tuple[str, str] | None = None) -> ReadAccessResult:
    choice = (
        ReadAccessResultElementChoice(propertyValue=Any(value))
        if error is None
        else ReadAccessResultElementChoice(propertyAccessError=ErrorType(errorClass=error[0], errorCode=error[1]))
    )
    element = ReadAccessResultElement(propertyIdentifier=PropertyIdentifier(prop), readResult=choice)
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
        vector("several properties are read", frame(everything, 7), values(**expected, **rest), settings={"objects": OBJECTS}),
        vector("what is not named can be left out", frame(everything, 7), values(**expected), settings={"objects": OBJECTS, "unmapped": "drop"}),
        vector(
            "what could be read stands beside what could not", frame(partly, 7),
            {"messages": [{"values": {"supply": 21.5}}], "error": "bacnet.error"}, settings={"objects": OBJECTS},
        ),
    ]


def cov(kind: type, device: str = "device,1234") -> Anything:
    return kind(
        subscriberProcessIdentifier=1,
        initiatingDeviceIdentifier=object_id(device),
        monitoredObjectIdentifier=object_id("analog-input,1"),
        timeRemaining=300,
        listOfValues=[
            PropertyValue(propertyIdentifier=PropertyIdentifier("present-value"), value=Any(Real(22.25))),
            PropertyValue(propertyIdentifier=PropertyIdentifier("status-flags"), value=Any(StatusFlags([0, 0, 0, 0]))),
        ],
    )


FLAGS = {"in_alarm": False, "fault": False, "overridden": False, "out_of_service": False}


def notifications() -> list[Anything]:
    named = {"supply": 22.25} | {f"supply_{flag}": value for flag, value in FLAGS.items()}
    made = {"analog_input_1": 22.25} | {f"analog_input_1_{flag}": value for flag, value in FLAGS.items()}
    plain = apdu_bytes(cov(UnconfirmedCOVNotificationRequest))
    confirmed = apdu_bytes(cov(ConfirmedCOVNotificationRequest), 15)
    ack = apdu_bytes(SimpleAckPDU(1, 15))
    router = RemoteStation(5, b"\x0c")
    devices = {"1234": "ahu-1"}
    i_am = IAmRequest(
        iAmDeviceIdentifier=object_id("device,1234"),
        maxAPDULengthAccepted=1476,
        segmentationSupported=Segmentation("segmented-both"),
        vendorID=999,
    )
    who = {"device_instance": 1234, "max_apdu_length": 1476, "segmentation": "segmented-both", "vendor_id": 999}
    announcement = npdu_bytes(apdu_bytes(i_am), to=GlobalBroadcast())
    return [
        vector("a notification", unicast(npdu_bytes(plain)), values(**made)),
        vector("a notification of a named object", unicast(npdu_bytes(plain)), values(**named), settings={"objects": OBJECTS}),
        vector(
            "a notification of a named device", unicast(npdu_bytes(plain)),
            {"messages": [{"device": "ahu-1", "values": made}]}, settings={"devices": devices},
        ),
        vector(
            "a device may be called by its instance", unicast(npdu_bytes(plain)),
            {"messages": [{"device": "1234", "values": made}]}, settings={"other_devices": "instance"},
        ),
        vector("other devices can be left out", unicast(npdu_bytes(plain)), {}, settings={"other_devices": "drop", "devices": {"1": "a"}}),
        vector(
            "a confirmed notification is acknowledged", unicast(npdu_bytes(confirmed, reply=True)),
            values(**made) | {"frames": [unicast(npdu_bytes(ack))]},
        ),
        vector(
            "a confirmed notification from behind a router is acknowledged there",
            unicast(npdu_bytes(confirmed, reply=True, of=router)),
            values(**made) | {"frames": [unicast(npdu_bytes(ack, to=router))]},
        ),
        vector("acknowledging can be left to others", unicast(npdu_bytes(confirmed, reply=True)), values(**made), settings={"acknowledge": False}),
        vector("I-Am", broadcast(announcement), {"messages": [{"device": "ahu-1", "values": who}]}, settings={"devices": devices}),
        vector("I-Am by way of a BBMD", forwarded(announcement), values(**who)),
        vector("I-Am can be left out", broadcast(announcement), {}, settings={"announcements": False}),
        vector("Who-Is says nothing", broadcast(npdu_bytes(apdu_bytes(WhoIsRequest()), to=GlobalBroadcast())), {}),
        vector("a result of a BBMD that is good says nothing", bytes(Result(0).encode().pduData).hex(), {}),
        vector("a result of a BBMD that is bad", bytes(Result(0x30).encode().pduData).hex(), {"error": "bacnet.bvlc"}),
    ]


def failures() -> list[Anything]:
    error = error_types[12](errorClass="object", errorCode="unknownObject")
    reject = RejectPDU(7, 9)
    abort = AbortPDU(True, 7, 4)
    asked, other = read_request("analog-input,1", "present-value", 7), read_request("analog-input,1", "present-value", 8)
    answer = read_ack("analog-input,1", "present-value", Real(21.5))
    done = SimpleAckPDU(15, 7)
    segmented = apdu_bytes(ReadPropertyACK(
        objectIdentifier=object_id("device,9"), propertyIdentifier=PropertyIdentifier("object-list"), propertyValue=Any(Unsigned(1)),
    ), 7)
    # The first segment of three: the bit, and sequence number and window behind the invoke id.
    segmented = bytes([segmented[0] | 0x0C, segmented[1], 0, 4]) + segmented[2:]
    return [
        vector("an error", frame(error, 7), {"error": "bacnet.error"}, request=asked),
        vector("a reject", frame(reject), {"error": "bacnet.reject"}, request=asked),
        vector("an abort", frame(abort), {"error": "bacnet.abort"}, request=asked),
        vector("an answer to this request", answer, values(analog_input_1=21.5), request=asked),
        vector("an answer to another request", answer, {"error": "bacnet.mismatch"}, request=other),
        vector("an acknowledgement of another service", frame(done), {"error": "bacnet.mismatch"}, request=asked),
        vector("a write is acknowledged", frame(done), {}),
        vector("a segment", unicast(npdu_bytes(segmented)), {"error": "bacnet.segmented"}, request=asked),
    ]


def command(name: str, frames: list[str], settings: dict[str, Anything], what: str, /, **params: Anything) -> dict[str, Anything]:
    expect: dict[str, Anything] = {"frames": frames}
    if what != "who_is":
        # The number of the last request, which was 41 before.
        expect["state"] = bytes([41 + len(frames)]).hex()
    return {
        "name": name,
        "source": SOURCE,
        "function": "encode",
        "context": {"settings": settings, "state": "29"},
        "input": {"json": {"command": what, "params": params}},
        "expect": expect,
    }


def specification(obj: str, *props: str) -> ReadAccessSpecification:
    references = [PropertyReference(propertyIdentifier=PropertyIdentifier(prop)) for prop in props]
    return ReadAccessSpecification(objectIdentifier=object_id(obj), listOfPropertyReferences=references)


def write_request(obj: str, value: Anything, priority: int | None = None, prop: str = "present-value", invoke_id: int = 42) -> str:
    more = {} if priority is None else {"priority": priority}
    request = WritePropertyRequest(
        objectIdentifier=object_id(obj), propertyIdentifier=PropertyIdentifier(prop), propertyValue=Any(value), **more
    )
    return frame(request, invoke_id, reply=True)


def subscription(obj: str, invoke_id: int, **more: Anything) -> str:
    request = SubscribeCOVRequest(subscriberProcessIdentifier=more.pop("process_id", 1), monitoredObjectIdentifier=object_id(obj), **more)
    return frame(request, invoke_id, reply=True)


def commands() -> list[Anything]:
    settings = {"objects": OBJECTS}
    everything = ReadPropertyMultipleRequest(
        listOfReadAccessSpecs=[
            specification("analog-input,1", "present-value", "event-state"),
            specification("accumulator,2", "present-value"),
            specification("multi-state-value,3", "present-value"),
            specification("binary-output,4", "present-value"),
            specification("bitstring-value,5", "present-value"),
            specification("analog-value,6", "present-value"),
        ]
    )
    two = ReadPropertyMultipleRequest(listOfReadAccessSpecs=[specification("accumulator,2", "present-value"), specification("analog-value,6", "present-value")])
    routed = npdu_bytes(apdu_bytes(ReadPropertyRequest(
        objectIdentifier=object_id("analog-input,1"), propertyIdentifier=PropertyIdentifier("present-value")), 42), reply=True, to=RemoteStation(5, b"\x0c"))
    range_of = WhoIsRequest(deviceInstanceRangeLowLimit=100, deviceInstanceRangeHighLimit=4194303)
    everybody = {"to": GlobalBroadcast()}
    return [
        command("everything is read in one request", [frame(everything, 42, reply=True)], settings, "read"),
        command("what is named is read", [frame(two, 42, reply=True)], settings, "read", names=["energy", "setpoint"]),
        command("one property is read by itself", [read_request("analog-input,1", "description", 42)], {}, "read", objects=["analog-input,1"], property="description"),
        command("an element is read", [read_request("device,9", "object-list", 42, 3)], {}, "read", objects=["device,9"], property="object-list", index=3),
        command(
            "devices may be asked for one property at a time",
            [read_request("accumulator,2", "present-value", 42), read_request("analog-value,6", "present-value", 43)],
            settings | {"properties_per_read": 1}, "read", names=["energy", "setpoint"],
        ),
        command("a device behind a router is asked", [unicast(routed)], {"route": {"network": 5, "address": "0c"}}, "read", objects=["analog-input,1"]),
        command("a named value is written unscaled", [write_request("analog-value,6", Real(2.15), 10)], settings, "write", name="setpoint", value=21.5),
        command("a word is written as its number", [write_request("multi-state-value,3", Unsigned(3))], settings, "write", name="mode", value="cool"),
        command("a binary output is switched on", [write_request("binary-output,4", BinaryPV("active"), 8)], settings, "write", name="fan", value=True),
        command("a priority is given back", [write_request("binary-output,4", Null(()), 8)], settings, "write", name="fan", value=None),
        command("an object is written as it stands", [write_request("analog-value,6", Real(21.5), 16)], settings, "write", object="analog-value,6", value=21.5, priority=16),
        command("a property of a type that is given", [write_request("schedule,1", Boolean(True), prop="out-of-service")], {}, "write", object="schedule,1", property="out-of-service", value=True),
        command("an integer is written", [write_request("integer-value,4", Integer(-129))], {}, "write", object="integer-value,4", value=-129),
        command("text is written", [write_request("characterstring-value,2", CharacterString("Grüße"))], {}, "write", object="characterstring-value,2", value="Grüße"),
        command("a type can be said", [write_request("group,1", Double(0.1), prop="profile-name")], {}, "write", object="group,1", property="profile-name", type="double", value=0.1),
        command(
            "changes of what is named are subscribed",
            [
                subscription("analog-input,1", 42, issueConfirmedNotifications=False, lifetime=600),
                subscription("binary-output,4", 43, issueConfirmedNotifications=False, lifetime=600),
            ],
            settings, "subscribe_cov", names=["supply", "supply_state", "fan"],
        ),
        command(
            "a subscription as it is asked for",
            [subscription("analog-input,1", 42, issueConfirmedNotifications=True, lifetime=0, process_id=70000)],
            {}, "subscribe_cov", objects=["analog-input,1"], confirmed=True, lifetime_s=0, process_id=70000,
        ),
        command("a subscription is ended", [subscription("analog-input,1", 42)], {}, "subscribe_cov", objects=["analog-input,1"], cancel=True),
        command("everybody is asked", [broadcast(npdu_bytes(apdu_bytes(WhoIsRequest()), **everybody))], {}, "who_is"),
        command("some are asked", [broadcast(npdu_bytes(apdu_bytes(range_of), **everybody))], {}, "who_is", low=100, high=4194303),
    ]


STANDARD = [
    # ASHRAE 135, annex F, behind headers of annex J and clause 6.
    ("F.3.5: a property is read", "ASHRAE 135-2016, F.3.5, ReadProperty", "81 0a 0017 01 00 30 01 0c 0c 00000005 19 55 3e 44 4290999a 3f", values(analog_input_5=72.3)),
    ("F.1.3: a change is notified", "ASHRAE 135-2016, F.1.3, UnconfirmedCOVNotification", "81 0b 0028 01 00 10 02 09 12 1c 02000004 2c 0000000a 39 00 4e 09 55 2e 44 42820000 2f 09 6f 2e 82 04 00 2f 4f",
     values(analog_input_10=65, **{f"analog_input_10_{flag}": value for flag, value in FLAGS.items()})),
    ("F.4: a device says who it is", "ASHRAE 135-2016, F.4, I-Am", "81 0b 0014 01 00 10 00 c4 02000003 22 0400 91 03 21 63",
     values(device_instance=3, max_apdu_length=1024, segmentation="no-segmentation", vendor_id=99)),
]


def standard() -> list[Anything]:
    return [{"name": n, "source": s, "input": {"hex": h}, "expect": e} for n, s, h, e in STANDARD]


def write(name: str, vectors: list[Anything]) -> None:
    lines = ",\n".join("  " + json.dumps(one, ensure_ascii=False) for one in vectors)
    (HERE / name).write_text(f"[\n{lines}\n]\n")


if __name__ == "__main__":
    write("types.json", types())
    write("mapped.json", mapped())
    write("notifications.json", notifications())
    write("failures.json", failures())
    write("commands.json", commands())
    write("standard.json", standard())
