//! Frames into values.
//!
//! Owns holding a reply against its request, and finding what a frame means that nobody asked for.
//! Must never make values of a frame that does not fit.

use flux_plugin_sdk::{Context, Output, PluginError};

use crate::error::{code, error};
use crate::function::{self, code as functions};
use crate::map::{self, Map, Unsolicited};
use crate::point::{NotDecimal, Places, Point, Reading};
use crate::request::{Range, Request};
use crate::settings::Unmapped;
use crate::table::{PLACES, Table};
use crate::transport::{self, Adu, Scan, Transport};

mod files;
mod reports;

/// Values of one message: what hosts take by default is 1024.
const VALUES_MAX: usize = 1000;

/// Decodes one frame: against the request in the context, or by what the settings say of frames
/// that nobody asked for. Of the latter several may stand in one input, one behind the other.
///
/// # Errors
/// The codes of [`crate::code`].
pub fn decode<T: Transport>(
    ctx: &Context<'_>,
    raw: &[u8],
    out: &mut Output<'_>,
) -> Result<(), PluginError> {
    let setup = map::of::<T>(ctx)?;
    match ctx.request() {
        Some(request) => answered::<T>(&setup.map, request, raw, out),
        None => unasked::<T>(&setup.map, raw, out),
    }
}

fn answered<T: Transport>(
    map: &Map,
    request: &[u8],
    raw: &[u8],
    out: &mut Output<'_>,
) -> Result<(), PluginError> {
    let request = transport::request::<T>(request)?;
    let reply = T::open(raw)?;
    transport::belongs::<T>(&request, &reply)?;
    let answer = Answer { map, unit: reply.unit, device: map.device(reply.unit)? };
    if reply.function() & functions::EXCEPTION != 0 {
        return answer.exception(reply.pdu, out);
    }
    if let Some(range) = Range::read(request.pdu) {
        return answer.values(range, counted(reply.pdu, range.bytes())?, out);
    }
    match Request::read(request.pdu) {
        Some(asked) => answer.reply(&asked, request.pdu, reply.pdu, out),
        None => Err(no_request(request.pdu)),
    }
}

#[cold]
fn no_request(pdu: &[u8]) -> PluginError {
    let text = match pdu.first() {
        Some(code) => {
            let (name, len) = (function::name(*code), pdu.len());
            format!("the request, {name} ({code}) of {len} bytes, is none that may be sent")
        }
        None => "the request is empty".to_owned(),
    };
    error(code::REQUEST, text)
}

/// The data of a reply that counts its bytes.
#[inline]
fn counted(pdu: &[u8], expected: usize) -> Result<&[u8], PluginError> {
    match pdu {
        [_, bytes, data @ ..] if data.len() == usize::from(*bytes) && data.len() == expected => {
            Ok(data)
        }
        _ => Err(miscounted(pdu, expected)),
    }
}

#[cold]
fn miscounted(pdu: &[u8], expected: usize) -> PluginError {
    match pdu {
        [_, bytes, data @ ..] if data.len() == usize::from(*bytes) => {
            error(code::MISMATCH, format!("brings {bytes} bytes, {expected} were asked for"))
        }
        [_, bytes, data @ ..] => {
            let text = format!("announces {bytes} bytes of data, {} are there", data.len());
            error(code::LENGTH, text)
        }
        _ => wrong_length(pdu),
    }
}

#[cold]
fn wrong_length(pdu: &[u8]) -> PluginError {
    let code = pdu.first().copied().unwrap_or_default();
    let text = format!("{} bytes are no reply to {} ({code})", pdu.len(), function::name(code));
    error(code::LENGTH, text)
}

#[cold]
fn mismatch(what: &str) -> PluginError {
    error(code::MISMATCH, format!("answers another request: {what}"))
}

/// What a unit says.
#[derive(Clone, Copy)]
struct Answer<'m> {
    map: &'m Map,
    unit: u8,
    device: &'m str,
}

impl<'m> Answer<'m> {
    /// The reply to anything but a plain read.
    fn reply(
        &self,
        asked: &Request<'_>,
        request: &[u8],
        reply: &[u8],
        out: &mut Output<'_>,
    ) -> Result<(), PluginError> {
        match *asked {
            Request::Read(range) | Request::ReadWrite(range) => {
                self.values(range, counted(reply, range.bytes())?, out)
            }
            Request::WriteOne(table, place, value) => {
                echoed(request, reply)?;
                self.written_one(table, place, value, out)
            }
            Request::WriteMany(range, data) => {
                echoed(request.get(..5).unwrap_or_default(), reply)?;
                self.values(range, data, out)
            }
            Request::MaskWrite { place, and, or } => {
                echoed(request, reply)?;
                self.masked(place, and, or, out)
            }
            Request::WriteFile => echoed(request, reply),
            Request::ReadFile(records) => self.files(records, reply, out),
            Request::ReadFifo(place) => self.fifo(place, reply, out),
            Request::Identify(code) => self.identification(code, reply, out),
            Request::Diagnostics(function) => self.diagnostics(function, request, reply, out),
            Request::Plain => self.report(reply, out),
            Request::Other => {
                let [code, data @ ..] = reply else { return Err(wrong_length(reply)) };
                out.message(self.device).value(&format!("function_{code}"), data);
                Ok(())
            }
        }
    }

    /// An exception response (Application Protocol V1.1b3, 7): the function with its highest bit
    /// set, and why.
    #[cold]
    fn exception(&self, pdu: &[u8], out: &mut Output<'_>) -> Result<(), PluginError> {
        let &[function, exception] = pdu else { return Err(wrong_length(pdu)) };
        let function = function & !functions::EXCEPTION;
        let why = function::exception_name(exception);
        if self.map.exception_values {
            out.message(self.device)
                .value("exception_function", function)
                .value("exception_code", exception)
                .value("exception", why);
        }
        let (unit, name) = (self.unit, function::name(function));
        let text = format!("unit {unit} answers {name} ({function}) with {exception}, {why}");
        Err(error(code::EXCEPTION, text))
    }

    /// What some places of a table hold, as values.
    #[inline]
    fn values(&self, range: Range, data: &[u8], out: &mut Output<'_>) -> Result<(), PluginError> {
        let Range { table, start, count } = range;
        let places = Places { table, start, end: start + count, data };
        // A message without values would say that the unit reported nothing.
        let described = if self.points(&places).any(|point| point.is_certain) {
            let mut message = out.message(self.device);
            let mut described = Ok(());
            for point in self.points(&places) {
                if let Some(plain) = point.plain {
                    point.report_plain(plain, &places, &mut message);
                    continue;
                }
                match point.read(&places) {
                    Ok(Some(reading)) => point.report(reading, &mut message),
                    Ok(None) => {}
                    Err(why) => described = described.and_then(|()| Err(unreadable(point, &why))),
                }
            }
            described
        } else {
            self.uncertain(&places, self.points(&places), out)
        };
        if self.map.unmapped == Unmapped::Raw {
            self.raw_values(&places, out);
        }
        described
    }

    /// The unit's points that lie within some places, in order.
    #[inline]
    fn points(&self, places: &Places<'_>) -> impl Iterator<Item = &'m Point> {
        let (end, unit) = (places.end, self.unit);
        let points = self.map.starting_in(places).iter();
        points.filter(move |point| point.end <= end && point.is_of(unit))
    }

    /// The values of points of which perhaps none has one.
    fn uncertain<'p>(
        &self,
        places: &Places<'p>,
        points: impl Iterator<Item = &'p Point>,
        out: &mut Output<'_>,
    ) -> Result<(), PluginError> {
        let mut described = Ok(());
        let mut readings = Vec::new();
        for point in points {
            match point.read(places) {
                Ok(reading) => readings.extend(reading.map(|reading| (point, reading))),
                Err(why) => described = described.and_then(|()| Err(unreadable(point, &why))),
            }
        }
        self.report_all(&readings, out);
        described
    }

    fn report_all(&self, readings: &[(&Point, Reading<'_>)], out: &mut Output<'_>) {
        if readings.is_empty() {
            return;
        }
        let mut message = out.message(self.device);
        for (point, reading) in readings {
            point.report(*reading, &mut message);
        }
    }

    /// Places that no point describes, each as a value named after it.
    fn raw_values(&self, places: &Places<'_>, out: &mut Output<'_>) {
        let (table, word) = (places.table, places.table.word());
        let mut described = places.start;
        let mut points = self.points(places).peekable();
        let bare: Vec<u32> = (places.start..places.end)
            .filter(|place| {
                while let Some(point) = points.next_if(|point| point.start <= *place) {
                    described = described.max(point.end);
                }
                *place >= described
            })
            .collect();
        for places_of_one in bare.chunks(VALUES_MAX) {
            let mut message = out.message(self.device);
            for place in places_of_one {
                let name = format!("{word}_{}", self.map.base.written(table, *place));
                match places.raw(*place) {
                    Some(Raw::Bit(bit)) => message.value(&name, bit),
                    Some(Raw::Register(register)) => message.value(&name, register),
                    None => &mut message,
                };
            }
        }
    }

    /// The coil or register that one request wrote.
    fn written_one(
        &self,
        table: Table,
        start: u32,
        value: [u8; 2],
        out: &mut Output<'_>,
    ) -> Result<(), PluginError> {
        let range = Range { table, start, count: 1 };
        match table {
            // 6.5: FF00 is on, 0000 is off.
            Table::Coil => self.values(range, &[u8::from(value[0] != 0)], out),
            _ => self.values(range, &value, out),
        }
    }

    /// What a mask write has set for certain: points all of whose bits it wrote.
    fn masked(
        &self,
        place: u32,
        and: u16,
        or: u16,
        out: &mut Output<'_>,
    ) -> Result<(), PluginError> {
        let data = or.to_be_bytes();
        let places = Places { table: Table::Holding, start: place, end: place + 1, data: &data };
        let written = self.points(&places).filter(|point| point.bits_used() & and == 0);
        self.uncertain(&places, written, out)
    }
}

/// A place as it is, without a meaning.
enum Raw {
    Bit(bool),
    Register(u16),
}

impl Places<'_> {
    fn raw(&self, place: u32) -> Option<Raw> {
        if self.table.is_bits() {
            return self.bit(place).map(Raw::Bit);
        }
        let at = place.checked_sub(self.start)? as usize * 2;
        let bytes = self.data.get(at..at + 2)?.first_chunk()?;
        Some(Raw::Register(u16::from_be_bytes(*bytes)))
    }
}

#[cold]
fn unreadable(point: &Point, why: &NotDecimal) -> PluginError {
    error(code::VALUE, format!("{:?} {why}", point.name))
}

/// Writes are answered with what was asked (6.5, 6.6, 6.15, 6.16), or its beginning (6.11, 6.12).
fn echoed(expected: &[u8], reply: &[u8]) -> Result<(), PluginError> {
    if reply == expected {
        Ok(())
    } else if reply.len() == expected.len() {
        Err(mismatch("what it wrote is not what was asked"))
    } else {
        Err(wrong_length(reply))
    }
}

// --- without a request ------------------------------------------------------------------------

fn unasked<T: Transport>(map: &Map, raw: &[u8], out: &mut Output<'_>) -> Result<(), PluginError> {
    let mut rest = raw;
    loop {
        let wrong = match T::open(rest) {
            Ok(frame) => return unasked_one(map, &frame, out),
            Err(wrong) => wrong,
        };
        let Scan::Frame(len) = T::scan(rest, None) else { return Err(wrong) };
        let (frame, behind) = rest.split_at(len.min(rest.len()));
        let decoded = T::open(frame).and_then(|frame| unasked_one(map, &frame, out));
        if behind.is_empty() {
            return decoded;
        }
        if let Err(error) = decoded {
            out.error(&error);
        }
        rest = behind;
    }
}

fn unasked_one(map: &Map, frame: &Adu<'_>, out: &mut Output<'_>) -> Result<(), PluginError> {
    let answer = Answer { map, unit: frame.unit, device: map.device(frame.unit)? };
    let code = frame.function();
    if code & functions::EXCEPTION != 0 {
        return answer.exception(frame.pdu, out);
    }
    if Table::read_by(code).is_some() {
        return answer.volunteered(frame.pdu, out);
    }
    let wanted = |entry: &&Unsolicited| entry.is_of(frame.unit, code);
    match (Request::read(frame.pdu), map.unsolicited.iter().find(wanted)) {
        (Some(Request::WriteOne(table, place, value)), Some(_)) => {
            answer.written_one(table, place, value, out)
        }
        (Some(Request::WriteMany(range, data)), Some(_)) if range.start + range.count <= PLACES => {
            answer.values(range, data, out)
        }
        _ => Err(answer.not_described(frame.pdu)),
    }
}

impl Unsolicited {
    fn is_of(&self, unit: u8, function: u8) -> bool {
        self.function == function && self.unit.is_none_or(|own| own == unit)
    }

    /// How many places such a frame brings, if it is one with so many bytes of data.
    fn count(&self, table: Table, bytes: usize) -> Option<u32> {
        let most = if table.is_bits() { bytes * 8 } else { bytes / 2 };
        let most = u32::try_from(most).ok()?;
        let count = self.count.unwrap_or(most.min(PLACES - self.start));
        let range = Range { table, start: self.start, count };
        (count > 0 && range.bytes() == bytes && self.start + count <= PLACES).then_some(count)
    }
}

impl Answer<'_> {
    /// What looks like a reply to a read, and means what the settings say.
    fn volunteered(&self, pdu: &[u8], out: &mut Output<'_>) -> Result<(), PluginError> {
        let (code, data) = match pdu {
            [code, bytes, data @ ..] if data.len() == usize::from(*bytes) => (*code, data),
            _ => return Err(wrong_length(pdu)),
        };
        let found = self.map.unsolicited.iter().find_map(|entry| {
            let table = Table::read_by(code).filter(|_| entry.is_of(self.unit, code))?;
            let count = entry.count(table, data.len())?;
            Some(Range { table, start: entry.start, count })
        });
        match found {
            Some(range) => self.values(range, data, out),
            None => Err(self.not_described(pdu)),
        }
    }

    #[cold]
    fn not_described(&self, pdu: &[u8]) -> PluginError {
        let (unit, code, len) = (self.unit, pdu.first().copied().unwrap_or_default(), pdu.len());
        let name = function::name(code);
        let text = format!(
            "nobody asked unit {unit} for {name} ({code}), and no entry of /unsolicited fits its \
             {len} bytes"
        );
        error(code::UNASKED, text)
    }
}
