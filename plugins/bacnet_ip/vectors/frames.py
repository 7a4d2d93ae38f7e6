"""How frames are made: bacpypes3's encoders, one behind the other."""

from __future__ import annotations

from typing import Any as Anything

from bacpypes3.apdu import (
    APDU,
    ReadPropertyACK,
    ReadPropertyRequest,
)
from bacpypes3.basetypes import (
    PropertyIdentifier,
)
from bacpypes3.constructeddata import Any
from bacpypes3.ipv4.bvll import ForwardedNPDU, OriginalBroadcastNPDU, OriginalUnicastNPDU
from bacpypes3.npdu import NPCI
from bacpypes3.pdu import IPv4Address
from bacpypes3.primitivedata import (
    BitString,
    CharacterString,
    ObjectIdentifier,
)

SOURCE = "bacpypes3 0.0.110"


class BitString5(BitString):
    """Five bits."""

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


def npdu_bytes(
    apdu: bytes, *, reply: bool = False, to: Anything = None, of: Anything = None
) -> bytes:
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


def vector(
    name: str, frame: str, expect: dict[str, Anything], **context: Anything
) -> dict[str, Anything]:
    made: dict[str, Anything] = {"name": name, "source": SOURCE}
    if context:
        made["context"] = context
    return made | {"input": {"hex": frame}, "expect": expect}


def values(**values: Anything) -> dict[str, Anything]:
    return {"messages": [{"values": values}]}


def read_ack(
    obj: str, prop: str, value: Anything, index: int | None = None, invoke_id: int = 7
) -> str:
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
