"""Commands, and the requests pymodbus makes of the same."""

from __future__ import annotations

from typing import Any, Final

from book import Book
from meter import ENCODED, TYPE
from meter import registers as _words
from pymodbus.pdu import ModbusPDU
from pymodbus.pdu import bit_message as bits
from pymodbus.pdu import diag_message as diag
from pymodbus.pdu import file_message as file
from pymodbus.pdu import mei_message as mei
from pymodbus.pdu import other_message as other
from pymodbus.pdu import register_message as reg

REFUSED: Final = "written for this plugin: what the specification forbids"

PLANT: Final[dict[str, Any]] = {
    "registers": [
        {"name": "voltage", "address": 0, "scale": 0.1, "group": "fast"},
        {"name": "current", "address": 1, "type": "i16", "scale": 0.01, "group": "fast"},
        {"name": "energy", "address": 10, "type": "u32", "words": "little"},
        {"name": "setpoint", "address": 20, "type": "f32"},
        {"name": "mode", "address": 22, "enum": {"0": "off", "2": "auto"}},
        {"name": "label", "address": 30, "type": "string", "length": 7},
        {"name": "run", "address": 23, "type": "bool", "bit": 3},
        {"name": "temperature", "table": "input", "address": 5, "type": "i16", "scale": 0.1},
        {"name": "pump", "table": "coil", "address": 3, "group": "fast"},
        {"name": "valves", "table": "coil", "address": 8, "type": "bits", "length": 4},
        {"name": "door", "table": "discrete", "address": 16},
    ]
}


def _holding(address: int, count: int) -> ModbusPDU:
    return reg.ReadHoldingRegistersRequest(address=address, count=count)


def fill(book: Book) -> None:
    """Add all of them."""
    _reads(book)
    _writes(book)
    _orders(book)
    _units(book)
    _refused(book)


def _reads(book: Book) -> None:
    def read(name: str, params: dict[str, Any], pdus: list[Any], **settings: Any) -> None:
        book.encode(name, ENCODED, "read", params, pdus, settings=PLANT | settings)

    read(
        "everything is read with one request for each neighbourhood",
        {},
        [
            bits.ReadCoilsRequest(address=3, count=1),
            bits.ReadCoilsRequest(address=8, count=4),
            bits.ReadDiscreteInputsRequest(address=16, count=1),
            reg.ReadInputRegistersRequest(address=5, count=1),
            _holding(0, 2),
            _holding(10, 2),
            _holding(20, 4),
            _holding(30, 4),
        ],
    )
    read(
        "gaps that may be read along save requests",
        {},
        [
            bits.ReadCoilsRequest(address=3, count=9),
            bits.ReadDiscreteInputsRequest(address=16, count=1),
            reg.ReadInputRegistersRequest(address=5, count=1),
            _holding(0, 34),
        ],
        gap_max=8,
    )
    read(
        "a group is read",
        {"group": "fast"},
        [bits.ReadCoilsRequest(address=3, count=1), _holding(0, 2)],
    )
    read("one value is read", {"name": "energy"}, [_holding(10, 2)])
    read("some values are read", {"names": ["mode", "setpoint"]}, [_holding(20, 3)])
    read(
        "places are read as they are",
        {"table": "input", "address": 100, "count": 3},
        [reg.ReadInputRegistersRequest(address=100, count=3)],
    )
    read("one place is read", {"address": 7}, [_holding(7, 1)])
    read(
        "more places than a request reads",
        {"address": 0, "count": 300},
        [_holding(0, 125), _holding(125, 125), _holding(250, 50)],
    )
    read(
        "places are not cut within a value",
        {"address": 0, "count": 24},
        [_holding(0, 10), _holding(10, 11 - 1), _holding(20, 4)],
        registers_max=11,
    )
    read(
        "coils beyond a request's most",
        {"table": "coil", "address": 0, "count": 2500},
        [
            bits.ReadCoilsRequest(address=0, count=2000),
            bits.ReadCoilsRequest(address=2000, count=500),
        ],
    )
    read("the last places there are", {"address": 65411, "count": 125}, [_holding(65411, 125)])
    book.encode(
        "an address of the 40001 style",
        ENCODED,
        "read",
        {"address": 30108, "count": 2},
        [reg.ReadInputRegistersRequest(address=107, count=2)],
        settings={"address_base": "modicon"},
    )
    book.encode(
        "a first place that is 1",
        ENCODED,
        "read",
        {"address": 108},
        [_holding(107, 1)],
        settings={"address_base": 1},
    )


def _writes(book: Book) -> None:
    def write(name: str, value: Any, pdu: ModbusPDU, **settings: Any) -> None:
        title = f"{name} is written" + (", as several" if settings else "")
        book.encode(
            title,
            ENCODED,
            "write",
            {"name": name, "value": value},
            [pdu],
            settings=PLANT | settings,
        )

    write("voltage", 230.4, reg.WriteSingleRegisterRequest(address=0, registers=[2304]))
    write(
        "current",
        -1.5,
        reg.WriteSingleRegisterRequest(address=1, registers=_words(TYPE.INT16, -150)),
    )
    write(
        "energy",
        305419896,
        reg.WriteMultipleRegistersRequest(
            address=10, registers=_words(TYPE.UINT32, 305419896, "little")
        ),
    )
    write(
        "setpoint",
        21.5,
        reg.WriteMultipleRegistersRequest(address=20, registers=_words(TYPE.FLOAT32, 21.5)),
    )
    write("mode", "auto", reg.WriteSingleRegisterRequest(address=22, registers=[2]))
    write(
        "label",
        "PUMP 7",
        reg.WriteMultipleRegistersRequest(
            address=30, registers=[*_words(TYPE.STRING, "PUMP 7"), 0]
        ),
    )
    write("run", True, reg.MaskWriteRegisterRequest(address=23, and_mask=0xFFF7, or_mask=0x0008))
    write("pump", True, bits.WriteSingleCoilRequest(address=3, bits=[True]))
    write("valves", 5, bits.WriteMultipleCoilsRequest(address=8, bits=[True, False, True, False]))
    write(
        "pump", False, bits.WriteMultipleCoilsRequest(address=3, bits=[False]), single_writes=False
    )
    write(
        "voltage",
        230.4,
        reg.WriteMultipleRegistersRequest(address=0, registers=[2304]),
        single_writes=False,
    )
    book.encode(
        "registers are written as they are",
        ENCODED,
        "write",
        {"address": 40, "values": [1, 65535, -2]},
        [reg.WriteMultipleRegistersRequest(address=40, registers=[1, 65535, 65534])],
    )
    many = list(range(123))
    book.encode(
        "as many registers as a request writes",
        ENCODED,
        "write",
        {"address": 0, "values": many},
        [reg.WriteMultipleRegistersRequest(address=0, registers=many)],
    )
    states = [n % 3 == 0 for n in range(1968)]
    book.encode(
        "as many coils as a request writes",
        ENCODED,
        "write",
        {"table": "coil", "address": 0, "values": states},
        [bits.WriteMultipleCoilsRequest(address=0, bits=states)],
    )
    book.encode(
        "coils are written as they are",
        ENCODED,
        "write",
        {"table": "coil", "address": 5, "values": [1, 0, True]},
        [bits.WriteMultipleCoilsRequest(address=5, bits=[True, False, True])],
    )


def _orders(book: Book) -> None:
    def order(command: str, params: dict[str, Any], pdu: ModbusPDU | bytes, more: str = "") -> None:
        book.encode(f"{command}{more}", ENCODED, command, params, [pdu])

    order(
        "mask_write",
        {"address": 4, "and": 0xF2, "or": 0x25},
        reg.MaskWriteRegisterRequest(address=4, and_mask=0xF2, or_mask=0x25),
    )
    order(
        "read_write",
        {"address": 3, "count": 6, "write_address": 14, "values": [255, 255, 255]},
        reg.ReadWriteMultipleRegistersRequest(
            read_address=3, read_count=6, write_address=14, write_registers=[255, 255, 255]
        ),
    )
    order(
        "read_file",
        {"records": [{"file": 4, "record": 1, "count": 2}, {"file": 3, "record": 9, "count": 2}]},
        file.ReadFileRecordRequest(
            records=[
                file.FileRecord(file_number=4, record_number=1, record_length=4),
                file.FileRecord(file_number=3, record_number=9, record_length=4),
            ]
        ),
    )
    order(
        "write_file",
        {"records": [{"file": 4, "record": 7, "values": [0x06AF, 0x04BE, 0x100D]}]},
        file.WriteFileRecordRequest(
            records=[
                file.FileRecord(
                    file_number=4, record_number=7, record_data=bytes.fromhex("06af04be100d")
                )
            ]
        ),
    )
    order("read_fifo", {"address": 1246}, file.ReadFifoQueueRequest(address=1246))
    for level, code in (("basic", 1), ("regular", 2), ("extended", 3)):
        order(
            "identify",
            {"level": level},
            mei.ReadDeviceInformationRequest(read_code=code),
            f" {level}",
        )
    order(
        "identify",
        {"level": "object", "object": 5},
        mei.ReadDeviceInformationRequest(read_code=4, object_id=5),
        " by object",
    )
    order("diagnostics", {"function": 11}, diag.ReturnBusMessageCountRequest(0))
    order(
        "diagnostics",
        {"function": 0, "data": 0xA537},
        diag.ReturnQueryDataRequest(b"\xa5\x37"),
        " with data",
    )
    order("exception_status", {}, other.ReadExceptionStatusRequest())
    order("event_counter", {}, other.GetCommEventCounterRequest())
    order("event_log", {}, other.GetCommEventLogRequest())
    order("server_id", {}, other.ReportDeviceIdRequest())
    order("raw", {"pdu": "41 0102 FF"}, b"\x41\x01\x02\xff")


def _units(book: Book) -> None:
    devices = {"devices": {"3": "meter-3", "4": "meter-4"}}
    book.encode(
        "a command names its unit",
        ENCODED,
        "read",
        {"unit": 4, "address": 0},
        [_holding(0, 1)],
        settings=devices,
        unit=4,
    )
    book.encode(
        "a command for a device goes to its unit",
        ENCODED,
        "read",
        {"address": 0},
        [_holding(0, 1)],
        settings=devices,
        unit=3,
        device="meter-3",
    )
    book.encode(
        "a command for nobody known goes nowhere",
        REFUSED,
        "read",
        {"address": 0},
        settings=devices,
        error="command.params",
        device="gateway",
    )
    book.encode(
        "a command for an unknown unit",
        REFUSED,
        "read",
        {"unit": 5, "address": 0},
        settings=devices,
        error="command.params",
    )
    if book.is_rtu:
        book.encode(
            "a write to every unit",
            ENCODED,
            "write",
            {"unit": 0, "address": 9, "values": [43]},
            [reg.WriteSingleRegisterRequest(address=9, registers=[43])],
            unit=0,
        )
        book.encode(
            "nobody answers a read of every unit",
            REFUSED,
            "read",
            {"unit": 0, "address": 9},
            error="command.params",
        )
    else:
        book.encode(
            "unit 255 is the device itself",
            ENCODED,
            "read",
            {"address": 9},
            [_holding(9, 1)],
            settings={"unit": 255},
            unit=255,
        )


def _refused(book: Book) -> None:
    for name, command, params in (
        ("a name that is none", "read", {"name": "power"}),
        ("a group that is none", "read", {"group": "slow"}),
        ("a name and an address", "read", {"name": "voltage", "address": 0}),
        ("places beyond the table", "read", {"address": 65535, "count": 2}),
        ("no places", "read", {"address": 0, "count": 0}),
        ("a value beyond its register", "write", {"name": "voltage", "value": 6553.6}),
        ("a word that is none", "write", {"name": "mode", "value": "on"}),
        ("what can only be read", "write", {"name": "temperature", "value": 1}),
        ("inputs as they are", "write", {"table": "input", "address": 0, "values": [1]}),
        ("more registers than a request writes", "write", {"address": 0, "values": [0] * 124}),
        (
            "more coils than a request writes",
            "write",
            {"table": "coil", "address": 0, "values": [0] * 1969},
        ),
        ("a register beyond 16 bits", "write", {"address": 0, "values": [65536]}),
        ("nothing to write", "write", {"address": 0, "values": []}),
        ("no value", "write", {"name": "voltage"}),
        ("a parameter that is none", "read", {"adress": 0}),
        ("a request without a function code", "raw", {"pdu": ""}),
        ("a reply's function code", "raw", {"pdu": "83 02"}),
        ("half a byte", "raw", {"pdu": "03 0"}),
        ("a PDU beyond 253 bytes", "raw", {"pdu": "41" * 254}),
        (
            "a record beyond 9999",
            "read_file",
            {"records": [{"file": 1, "record": 10000, "count": 1}]},
        ),
        (
            "more records than a frame holds",
            "read_file",
            {"records": [{"file": 1, "record": 0, "count": 123}]},
        ),
        (
            "more to write than a frame holds",
            "write_file",
            {"records": [{"file": 1, "record": 0, "values": [0] * 123}]},
        ),
        (
            "more to read and write than a frame holds",
            "read_write",
            {"address": 0, "count": 1, "write_address": 0, "values": [0] * 122},
        ),
    ):
        book.encode(
            f"{command} refuses {name}",
            REFUSED,
            command,
            params,
            settings=PLANT,
            error="command.params",
        )
    book.encode("a command that is none", REFUSED, "rea", {}, error="command.unknown")
    book.encode(
        "settings are checked before commands",
        REFUSED,
        "read",
        {},
        settings={"unit": 256},
        error="settings.invalid",
    )
