"""Replies of every function, and frames that are none."""

from __future__ import annotations

from typing import Any

from book import TRANSACTION, Book
from meter import CHANGED, ENCODED, METER, METERED, TYPE, exchange, registers
from pymodbus.pdu import ExceptionResponse
from pymodbus.pdu import bit_message as bits
from pymodbus.pdu import diag_message as diag
from pymodbus.pdu import file_message as file
from pymodbus.pdu import mei_message as mei
from pymodbus.pdu import other_message as other
from pymodbus.pdu import register_message as reg


def fill(book: Book) -> None:
    """Add all of them."""
    _written(book)
    _reports(book)
    _identified(book)
    _counters(book)
    _files(book)
    _exceptions(book)
    _others(book)
    _damaged(book)


def _said(book: Book, name: str, request: Any, reply: Any, **expected: Any) -> None:
    book.decode(name, ENCODED, book.frame(reply), request=book.frame(request), **expected)


def _written(book: Book) -> None:
    coil = {"registers": [{"name": "pump", "table": "coil", "address": 5}]}
    for on in (True, False):
        book.decode(
            f"a coil was switched {'on' if on else 'off'}",
            ENCODED,
            book.frame(bits.WriteSingleCoilResponse(address=5, bits=[on])),
            request=book.frame(bits.WriteSingleCoilRequest(address=5, bits=[on])),
            settings=coil,
            values={"pump": on},
        )
    setpoint = {"registers": [{"name": "setpoint", "address": 9, "scale": 0.5}]}
    book.decode(
        "a register was written",
        ENCODED,
        book.frame(reg.WriteSingleRegisterResponse(address=9, registers=[43])),
        request=book.frame(reg.WriteSingleRegisterRequest(address=9, registers=[43])),
        settings=setpoint,
        values={"setpoint": 21.5},
    )
    book.decode(
        "a unit that writes something else is not believed",
        ENCODED,
        book.frame(reg.WriteSingleRegisterResponse(address=9, registers=[40])),
        request=book.frame(reg.WriteSingleRegisterRequest(address=9, registers=[43])),
        settings=setpoint,
        error="mismatch",
    )
    words = registers(TYPE.FLOAT32, 21.5)
    write = reg.WriteMultipleRegistersRequest(address=9, registers=words)
    settings = {"registers": [{"name": "setpoint", "address": 9, "type": "f32"}]}
    book.decode(
        "registers were written",
        ENCODED,
        book.frame(reg.WriteMultipleRegistersResponse(address=9, count=2)),
        request=book.frame(write),
        settings=settings,
        values={"setpoint": 21.5},
    )
    book.decode(
        "other registers were written",
        ENCODED,
        book.frame(reg.WriteMultipleRegistersResponse(address=11, count=2)),
        request=book.frame(write),
        settings=settings,
        error="mismatch",
    )
    coils = [True, False, True]
    book.decode(
        "coils were written",
        ENCODED,
        book.frame(bits.WriteMultipleCoilsResponse(address=0, count=3)),
        request=book.frame(bits.WriteMultipleCoilsRequest(address=0, bits=coils)),
        values={"coil_0": True, "coil_1": False, "coil_2": True},
    )
    book.decode(
        "a bit was written, which is known, and its neighbour, which is not",
        ENCODED,
        book.frame(reg.MaskWriteRegisterResponse(address=3, and_mask=0xFFF7, or_mask=0x0008)),
        request=book.frame(
            reg.MaskWriteRegisterRequest(address=3, and_mask=0xFFF7, or_mask=0x0008)
        ),
        settings={
            "registers": [
                {"name": "run", "address": 3, "type": "bool", "bit": 3},
                {"name": "hold", "address": 3, "type": "bool", "bit": 4},
                {"name": "word", "address": 3},
            ]
        },
        values={"run": True},
    )
    book.decode(
        "registers were written, others read",
        ENCODED,
        book.frame(reg.ReadWriteMultipleRegistersResponse(registers=[2304])),
        request=book.frame(
            reg.ReadWriteMultipleRegistersRequest(
                read_address=0, read_count=1, write_address=9, write_registers=[1, 2]
            )
        ),
        settings=METER,
        values={"voltage": 230.4},
    )


def _reports(book: Book) -> None:
    _said(
        book,
        "exception status of pymodbus",
        other.ReadExceptionStatusRequest(),
        other.ReadExceptionStatusResponse(status=0x12),
        values={"exception_status": 0x12},
    )
    _said(
        book,
        "event counter of pymodbus",
        other.GetCommEventCounterRequest(),
        other.GetCommEventCounterResponse(count=0x1234, status=False),
        values={"busy": True, "event_count": 0x1234},
    )
    _said(
        book,
        "event log of pymodbus",
        other.GetCommEventLogRequest(),
        other.GetCommEventLogResponse(
            status=True, event_count=3, message_count=4, events=[0x40, 0x20]
        ),
        values={
            "busy": False,
            "event_count": 3,
            "message_count": 4,
            "events": {"$bytes": "4020"},
        },
    )
    _said(
        book,
        "server id of pymodbus",
        other.ReportDeviceIdRequest(),
        other.ReportDeviceIdResponse(identifier=b"Pymodbus"),
        values={"server_id": {"$bytes": (b"Pymodbus" + b"\xff").hex()}},
    )


def _identified(book: Book) -> None:
    information = {
        0: b"Pymodbus",
        1: b"PM",
        2: b"3.16",
        3: b"https://example.com/pm",
        4: b"Server",
        0x80: b"\xff\xfe",
    }
    _said(
        book,
        "extended identification of pymodbus",
        mei.ReadDeviceInformationRequest(read_code=3),
        mei.ReadDeviceInformationResponse(read_code=3, information=information),
        values={
            "conformity_level": 0x83,
            "vendor_name": "Pymodbus",
            "product_code": "PM",
            "revision": "3.16",
            "vendor_url": "https://example.com/pm",
            "product_name": "Server",
            "object_128": {"$bytes": "fffe"},
        },
    )
    # Too much for one frame: the rest is asked for with the object named.
    long = {0: b"A" * 120, 1: b"B" * 110, 2: b"C" * 100}
    _said(
        book,
        "identification that goes on",
        mei.ReadDeviceInformationRequest(read_code=1),
        mei.ReadDeviceInformationResponse(read_code=1, information=long),
        values={
            "conformity_level": 0x83,
            "vendor_name": "A" * 120,
            "product_code": "B" * 110,
            "next_object": 2,
        },
    )
    _said(
        book,
        "another identification than was asked for",
        mei.ReadDeviceInformationRequest(read_code=1),
        mei.ReadDeviceInformationResponse(read_code=2, information={0: b"x"}),
        error="mismatch",
    )


def _counters(book: Book) -> None:
    counters = [
        (
            diag.ReturnDiagnosticRegisterRequest,
            diag.ReturnDiagnosticRegisterResponse,
            "diagnostic_register",
        ),
        (
            diag.ReturnBusMessageCountRequest,
            diag.ReturnBusMessageCountResponse,
            "bus_message_count",
        ),
        (
            diag.ReturnBusCommunicationErrorCountRequest,
            diag.ReturnBusCommunicationErrorCountResponse,
            "bus_communication_error_count",
        ),
        (
            diag.ReturnBusExceptionErrorCountRequest,
            diag.ReturnBusExceptionErrorCountResponse,
            "bus_exception_error_count",
        ),
        (
            diag.ReturnDeviceMessageCountRequest,
            diag.ReturnDeviceMessageCountResponse,
            "server_message_count",
        ),
        (
            diag.ReturnDeviceNoResponseCountRequest,
            diag.ReturnDeviceNoResponseCountResponse,
            "server_no_response_count",
        ),
        (diag.ReturnDeviceNAKCountRequest, diag.ReturnDeviceNAKCountResponse, "server_nak_count"),
        (
            diag.ReturnDeviceBusyCountRequest,
            diag.ReturnDeviceBusyCountResponse,
            "server_busy_count",
        ),
        (
            diag.ReturnDeviceBusCharacterOverrunCountRequest,
            diag.ReturnDeviceBusCharacterOverrunCountResponse,
            "bus_character_overrun_count",
        ),
    ]
    for number, (request, reply, name) in enumerate(counters, start=40):
        _said(book, f"diagnostics: {name}", request(0), reply(number), values={name: number})
    _said(
        book,
        "diagnostics: counters cleared",
        diag.ClearCountersRequest(0),
        diag.ClearCountersResponse(0),
    )
    _said(
        book,
        "diagnostics: data sent back",
        diag.ReturnQueryDataRequest(b"\x12\x34"),
        diag.ReturnQueryDataResponse(b"\x12\x34"),
    )
    _said(
        book,
        "diagnostics: other data sent back",
        diag.ReturnQueryDataRequest(b"\x12\x34"),
        diag.ReturnQueryDataResponse(b"\x12\x35"),
        error="mismatch",
    )
    _said(
        book,
        "diagnostics: another counter than was asked for",
        diag.ReturnBusMessageCountRequest(0),
        diag.ReturnDeviceBusyCountResponse(5),
        error="mismatch",
    )


def _files(book: Book) -> None:
    asked = file.ReadFileRecordRequest(
        records=[
            file.FileRecord(file_number=4, record_number=1, record_length=4),
            file.FileRecord(file_number=3, record_number=9, record_length=2),
        ]
    )
    records = [
        file.FileRecord(record_data=b"\x0d\xfe\x00\x20"),
        file.FileRecord(record_data=b"\x33\xcd"),
    ]
    book.decode(
        "file records of pymodbus",
        ENCODED,
        book.frame(file.ReadFileRecordResponse(records=records)),
        request=book.frame(asked),
        values={"file_4_1": [0x0DFE, 0x20], "file_3_9": [0x33CD]},
    )
    for name, answered in (
        ("fewer", records[:1]),
        ("more", [*records, records[1]]),
        ("other", records[::-1]),
    ):
        book.decode(
            f"{name} file records than were asked for",
            ENCODED,
            book.frame(file.ReadFileRecordResponse(records=answered)),
            request=book.frame(asked),
            error="mismatch",
        )
    written = file.FileRecord(file_number=4, record_number=7, record_data=b"\x06\xaf\x04\xbe")
    book.decode(
        "file records were written",
        ENCODED,
        book.frame(file.WriteFileRecordResponse(records=[written])),
        request=book.frame(file.WriteFileRecordRequest(records=[written])),
    )
    book.decode(
        "a queue of pymodbus",
        ENCODED,
        book.frame(file.ReadFifoQueueResponse(values=[1, 2, 3])),
        request=book.frame(file.ReadFifoQueueRequest(address=0x1234)),
        settings={"address_base": "modicon"},
        values={"fifo_44661": [1, 2, 3]},
    )


def _exceptions(book: Book) -> None:
    request, _ = exchange()
    for exception in (1, 2, 3, 4, 5, 6, 8, 10, 11, 99):
        book.decode(
            f"exception {exception}",
            ENCODED,
            book.frame(ExceptionResponse(3, exception)),
            request=book.frame(request),
            settings=METER,
            error="exception",
        )
    book.decode(
        "an exception as values",
        ENCODED,
        book.frame(ExceptionResponse(3, 2)),
        request=book.frame(request),
        settings={"exception_values": True},
        values={
            "exception_function": 3,
            "exception_code": 2,
            "exception": "illegal data address",
        },
        error="exception",
    )
    book.decode(
        "an exception of another function",
        ENCODED,
        book.frame(ExceptionResponse(4, 2)),
        request=book.frame(request),
        error="not_mine",
    )


def _others(book: Book) -> None:
    request, reply = exchange()

    def refused(name: str, frame: bytes, error: str) -> None:
        book.decode(
            name,
            ENCODED,
            frame,
            request=book.frame(request),
            settings=METER | {"devices": {"2": "meter-2"}, "unit": 1},
            error=error,
        )

    refused("a reply of another unit", book.frame(reply, unit=2), "not_mine")
    refused(
        "a reply of another function",
        book.frame(reg.ReadInputRegistersResponse(registers=reply.registers)),
        "not_mine",
    )
    refused(
        "a reply with fewer registers",
        book.frame(reg.ReadHoldingRegistersResponse(registers=reply.registers[:3])),
        "mismatch",
    )
    refused(
        "a reply with more registers",
        book.frame(reg.ReadHoldingRegistersResponse(registers=[*reply.registers, 0])),
        "mismatch",
    )
    refused(
        "a reply that counts its bytes wrongly", book.frame(b"\x03\x08\x00\x01\x00\x02"), "length"
    )
    refused("a reply without data", book.frame(b"\x03"), "length")
    book.decode(
        "a request that is none",
        CHANGED,
        book.frame(reply),
        request=book.frame(b"\x03\x00\x00\x00"),
        settings=METER,
        error="request",
    )
    book.decode(
        "a function of the maker's own",
        ENCODED,
        book.frame(b"\x41\x01\x02\x03"),
        request=book.frame(b"\x41\x09"),
        values={"function_65": {"$bytes": "010203"}},
    )
    if book.is_rtu:
        book.decode(
            "a broadcast is answered by nobody",
            ENCODED,
            book.frame(reg.WriteSingleRegisterResponse(address=9, registers=[43]), unit=0),
            request=book.frame(reg.WriteSingleRegisterRequest(address=9, registers=[43]), unit=0),
            error="not_mine",
        )
        return
    refused(
        "a reply of another transaction", book.frame(reply, transaction=TRANSACTION + 1), "not_mine"
    )
    book.decode(
        "unit 0 answers like any other",
        ENCODED,
        book.frame(reply, unit=0),
        request=book.frame(request, unit=0),
        settings=METER | {"unit": 0},
        values=METERED,
    )


def _damaged(book: Book) -> None:
    request, reply = exchange()
    frame = book.frame(reply)

    def damaged(name: str, frame: bytes, error: str) -> None:
        book.decode(name, CHANGED, frame, request=book.frame(request), settings=METER, error=error)

    damaged("nothing at all", b"", "length")
    damaged("a single byte", frame[:1], "length")
    if book.is_rtu:
        damaged("a changed byte", frame[:4] + bytes([frame[4] ^ 0x10]) + frame[5:], "crc")
        damaged("a check with its bytes swapped", frame[:-2] + frame[-1:] + frame[-2:-1], "crc")
        damaged("a frame without its last byte", frame[:-1], "crc")
        damaged("a frame with a byte too many", frame + b"\x01", "crc")
        # The check of a frame with its check is zero, and stays zero with zeros.
        damaged("a zero byte too many fools the check alone", frame + b"\x00", "length")
        damaged("two frames in one", frame + frame, "crc")
        damaged("more bytes than any frame has", frame + bytes(256), "length")
    else:
        damaged("a frame without its last byte", frame[:-1], "length")
        damaged("a frame with a byte too many", frame + b"\x00", "length")
        damaged("two frames in one", frame + frame, "length")
        damaged("another protocol", frame[:3] + b"\x01" + frame[4:], "protocol")
        damaged("a header alone", frame[:7], "length")
    other_reply = book.frame(reply, unit=2)
    book.batch(
        "a batch goes on behind a frame that cannot be read",
        CHANGED,
        [frame, frame[:2], other_reply, frame],
        [
            {"messages": [{"values": METERED}]},
            {"error": "length"},
            {"error": "not_mine"},
            {"messages": [{"values": METERED}]},
        ],
        request=book.frame(request),
        settings=METER,
    )
