"""Commands, and the requests bacpypes3 makes of the same."""

from __future__ import annotations

from typing import Any as Anything

from bacpypes3.apdu import (
    ReadPropertyMultipleRequest,
    ReadPropertyRequest,
    SubscribeCOVRequest,
    WhoIsRequest,
    WritePropertyRequest,
)
from bacpypes3.basetypes import (
    BinaryPV,
    PropertyIdentifier,
    PropertyReference,
    ReadAccessSpecification,
)
from bacpypes3.constructeddata import Any
from bacpypes3.pdu import GlobalBroadcast, RemoteStation
from bacpypes3.primitivedata import (
    Boolean,
    CharacterString,
    Double,
    Integer,
    Null,
    Real,
    Unsigned,
)
from frames import (
    SOURCE,
    apdu_bytes,
    broadcast,
    frame,
    npdu_bytes,
    object_id,
    read_request,
    unicast,
)
from objects import OBJECTS


def command(
    name: str, frames: list[str], settings: dict[str, Anything], what: str, /, **params: Anything
) -> dict[str, Anything]:
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
    return ReadAccessSpecification(
        objectIdentifier=object_id(obj), listOfPropertyReferences=references
    )


def write_request(
    obj: str,
    value: Anything,
    priority: int | None = None,
    prop: str = "present-value",
    invoke_id: int = 42,
) -> str:
    more = {} if priority is None else {"priority": priority}
    request = WritePropertyRequest(
        objectIdentifier=object_id(obj),
        propertyIdentifier=PropertyIdentifier(prop),
        propertyValue=Any(value),
        **more,
    )
    return frame(request, invoke_id, reply=True)


def subscription(obj: str, invoke_id: int, **more: Anything) -> str:
    request = SubscribeCOVRequest(
        subscriberProcessIdentifier=more.pop("process_id", 1),
        monitoredObjectIdentifier=object_id(obj),
        **more,
    )
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
    two = ReadPropertyMultipleRequest(
        listOfReadAccessSpecs=[
            specification("accumulator,2", "present-value"),
            specification("analog-value,6", "present-value"),
        ]
    )
    routed = npdu_bytes(
        apdu_bytes(
            ReadPropertyRequest(
                objectIdentifier=object_id("analog-input,1"),
                propertyIdentifier=PropertyIdentifier("present-value"),
            ),
            42,
        ),
        reply=True,
        to=RemoteStation(5, b"\x0c"),
    )
    range_of = WhoIsRequest(deviceInstanceRangeLowLimit=100, deviceInstanceRangeHighLimit=4194303)
    everybody = {"to": GlobalBroadcast()}
    return [
        command(
            "everything is read in one request",
            [frame(everything, 42, reply=True)],
            settings,
            "read",
        ),
        command(
            "what is named is read",
            [frame(two, 42, reply=True)],
            settings,
            "read",
            names=["energy", "setpoint"],
        ),
        command(
            "one property is read by itself",
            [read_request("analog-input,1", "description", 42)],
            {},
            "read",
            objects=["analog-input,1"],
            property="description",
        ),
        command(
            "an element is read",
            [read_request("device,9", "object-list", 42, 3)],
            {},
            "read",
            objects=["device,9"],
            property="object-list",
            index=3,
        ),
        command(
            "devices may be asked for one property at a time",
            [
                read_request("accumulator,2", "present-value", 42),
                read_request("analog-value,6", "present-value", 43),
            ],
            settings | {"properties_per_read": 1},
            "read",
            names=["energy", "setpoint"],
        ),
        command(
            "a device behind a router is asked",
            [unicast(routed)],
            {"route": {"network": 5, "address": "0c"}},
            "read",
            objects=["analog-input,1"],
        ),
        command(
            "a named value is written unscaled",
            [write_request("analog-value,6", Real(2.15), 10)],
            settings,
            "write",
            name="setpoint",
            value=21.5,
        ),
        command(
            "a word is written as its number",
            [write_request("multi-state-value,3", Unsigned(3))],
            settings,
            "write",
            name="mode",
            value="cool",
        ),
        command(
            "a binary output is switched on",
            [write_request("binary-output,4", BinaryPV("active"), 8)],
            settings,
            "write",
            name="fan",
            value=True,
        ),
        command(
            "a priority is given back",
            [write_request("binary-output,4", Null(()), 8)],
            settings,
            "write",
            name="fan",
            value=None,
        ),
        command(
            "an object is written as it stands",
            [write_request("analog-value,6", Real(21.5), 16)],
            settings,
            "write",
            object="analog-value,6",
            value=21.5,
            priority=16,
        ),
        command(
            "a property of a type that is given",
            [write_request("schedule,1", Boolean(True), prop="out-of-service")],
            {},
            "write",
            object="schedule,1",
            property="out-of-service",
            value=True,
        ),
        command(
            "an integer is written",
            [write_request("integer-value,4", Integer(-129))],
            {},
            "write",
            object="integer-value,4",
            value=-129,
        ),
        command(
            "text is written",
            [write_request("characterstring-value,2", CharacterString("Grüße"))],
            {},
            "write",
            object="characterstring-value,2",
            value="Grüße",
        ),
        command(
            "a type can be said",
            [write_request("group,1", Double(0.1), prop="profile-name")],
            {},
            "write",
            object="group,1",
            property="profile-name",
            type="double",
            value=0.1,
        ),
        command(
            "changes of what is named are subscribed",
            [
                subscription("analog-input,1", 42, issueConfirmedNotifications=False, lifetime=600),
                subscription(
                    "binary-output,4", 43, issueConfirmedNotifications=False, lifetime=600
                ),
            ],
            settings,
            "subscribe_cov",
            names=["supply", "supply_state", "fan"],
        ),
        command(
            "a subscription as it is asked for",
            [
                subscription(
                    "analog-input,1",
                    42,
                    issueConfirmedNotifications=True,
                    lifetime=0,
                    process_id=70000,
                )
            ],
            {},
            "subscribe_cov",
            objects=["analog-input,1"],
            confirmed=True,
            lifetime_s=0,
            process_id=70000,
        ),
        command(
            "a subscription is ended",
            [subscription("analog-input,1", 42)],
            {},
            "subscribe_cov",
            objects=["analog-input,1"],
            cancel=True,
        ),
        command(
            "everybody is asked",
            [broadcast(npdu_bytes(apdu_bytes(WhoIsRequest()), **everybody))],
            {},
            "who_is",
        ),
        command(
            "some are asked",
            [broadcast(npdu_bytes(apdu_bytes(range_of), **everybody))],
            {},
            "who_is",
            low=100,
            high=4194303,
        ),
    ]
