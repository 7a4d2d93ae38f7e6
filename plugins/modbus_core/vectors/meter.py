"""A meter, and what pymodbus makes of its values: what most vectors are about."""

from __future__ import annotations

from typing import Any, Final

from book import PYMODBUS
from pymodbus.client.mixin import ModbusClientMixin
from pymodbus.pdu import register_message as reg

ENCODED: Final = f"{PYMODBUS}: PDU classes and framers"
CHANGED: Final = f"{PYMODBUS}: PDU classes and framers, then changed by hand"
TYPE: Final = ModbusClientMixin.DATATYPE
METER: Final[dict[str, Any]] = {
    "registers": [
        {"name": "voltage", "address": 0, "scale": 0.1, "unit_text": "V"},
        {"name": "current", "address": 1, "type": "i16", "scale": 0.01},
        {"name": "energy", "address": 2, "type": "u32", "words": "little"},
    ]
}
METERED: Final[dict[str, Any]] = {"voltage": 230.4, "current": -1.5, "energy": 305419896}


def registers(kind: Any, value: Any, order: Any = "big") -> list[int]:
    """A value in registers, by pymodbus."""
    return ModbusClientMixin.convert_to_registers(value, kind, word_order=order)


def exchange() -> tuple[reg.ReadHoldingRegistersRequest, reg.ReadHoldingRegistersResponse]:
    """The meter is asked for all it has, and answers."""
    words = registers(TYPE.UINT16, 2304) + registers(TYPE.INT16, -150)
    words += registers(TYPE.UINT32, 305419896, "little")
    request = reg.ReadHoldingRegistersRequest(address=0, count=4)
    return request, reg.ReadHoldingRegistersResponse(registers=words)
