"""What devices say unasked."""

from __future__ import annotations

from typing import Any as Anything

from bacpypes3.apdu import (
    ConfirmedCOVNotificationRequest,
    IAmRequest,
    SimpleAckPDU,
    UnconfirmedCOVNotificationRequest,
    WhoIsRequest,
)
from bacpypes3.basetypes import (
    PropertyIdentifier,
    PropertyValue,
    Segmentation,
    StatusFlags,
)
from bacpypes3.constructeddata import Any
from bacpypes3.ipv4.bvll import Result
from bacpypes3.pdu import GlobalBroadcast, RemoteStation
from bacpypes3.primitivedata import (
    Real,
)
from frames import (
    apdu_bytes,
    broadcast,
    forwarded,
    npdu_bytes,
    object_id,
    unicast,
    values,
    vector,
)
from objects import OBJECTS


def cov(kind: type, device: str = "device,1234") -> Anything:
    return kind(
        subscriberProcessIdentifier=1,
        initiatingDeviceIdentifier=object_id(device),
        monitoredObjectIdentifier=object_id("analog-input,1"),
        timeRemaining=300,
        listOfValues=[
            PropertyValue(
                propertyIdentifier=PropertyIdentifier("present-value"), value=Any(Real(22.25))
            ),
            PropertyValue(
                propertyIdentifier=PropertyIdentifier("status-flags"),
                value=Any(StatusFlags([0, 0, 0, 0])),
            ),
        ],
    )


FLAGS = {"in_alarm": False, "fault": False, "overridden": False, "out_of_service": False}


def notifications() -> list[Anything]:
    named = {"supply": 22.25} | {f"supply_{flag}": value for flag, value in FLAGS.items()}
    made = {"analog_input_1": 22.25} | {
        f"analog_input_1_{flag}": value for flag, value in FLAGS.items()
    }
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
    who = {
        "device_instance": 1234,
        "max_apdu_length": 1476,
        "segmentation": "segmented-both",
        "vendor_id": 999,
    }
    announcement = npdu_bytes(apdu_bytes(i_am), to=GlobalBroadcast())
    return [
        vector("a notification", unicast(npdu_bytes(plain)), values(**made)),
        vector(
            "a notification of a named object",
            unicast(npdu_bytes(plain)),
            values(**named),
            settings={"objects": OBJECTS},
        ),
        vector(
            "a notification of a named device",
            unicast(npdu_bytes(plain)),
            {"messages": [{"device": "ahu-1", "values": made}]},
            settings={"devices": devices},
        ),
        vector(
            "a device may be called by its instance",
            unicast(npdu_bytes(plain)),
            {"messages": [{"device": "1234", "values": made}]},
            settings={"other_devices": "instance"},
        ),
        vector(
            "other devices can be left out",
            unicast(npdu_bytes(plain)),
            {},
            settings={"other_devices": "drop", "devices": {"1": "a"}},
        ),
        vector(
            "a confirmed notification is acknowledged",
            unicast(npdu_bytes(confirmed, reply=True)),
            values(**made) | {"frames": [unicast(npdu_bytes(ack))]},
        ),
        vector(
            "a confirmed notification from behind a router is acknowledged there",
            unicast(npdu_bytes(confirmed, reply=True, of=router)),
            values(**made) | {"frames": [unicast(npdu_bytes(ack, to=router))]},
        ),
        vector(
            "acknowledging can be left to others",
            unicast(npdu_bytes(confirmed, reply=True)),
            values(**made),
            settings={"acknowledge": False},
        ),
        vector(
            "I-Am",
            broadcast(announcement),
            {"messages": [{"device": "ahu-1", "values": who}]},
            settings={"devices": devices},
        ),
        vector("I-Am by way of a BBMD", forwarded(announcement), values(**who)),
        vector(
            "I-Am can be left out", broadcast(announcement), {}, settings={"announcements": False}
        ),
        vector(
            "Who-Is says nothing",
            broadcast(npdu_bytes(apdu_bytes(WhoIsRequest()), to=GlobalBroadcast())),
            {},
        ),
        vector(
            "a result of a BBMD that is good says nothing",
            bytes(Result(0).encode().pduData).hex(),
            {},
        ),
        vector(
            "a result of a BBMD that is bad",
            bytes(Result(0x30).encode().pduData).hex(),
            {"error": "bacnet.bvlc"},
        ),
    ]
