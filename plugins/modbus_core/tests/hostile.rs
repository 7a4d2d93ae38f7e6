//! Bytes no device sends, but a line or a network may: every recorded frame cut, changed and mixed.
//!
//! What may come of them is an error with a code, or nothing. Never a panic, never an output the
//! host cannot read, and on a serial line never a value.

#![allow(clippy::unwrap_used)] // a test from the first line to the last

use std::marker::PhantomData;
use std::path::Path;

use flux_plugin_sdk::testing::{Call, Outcome};
use flux_plugin_sdk::{
    Command, Context, Json, Output, PluginError, PluginHandler, StandardMessage,
};
use modbus_core::{Rtu, Scan, Tcp, Transport, decode, encode};

struct Plugin<T>(PhantomData<T>);

impl<T: Transport> PluginHandler for Plugin<T> {
    fn on_decode(raw: &[u8]) -> StandardMessage {
        flux_plugin_sdk::standard_message::<Self>(raw)
    }

    fn decode(ctx: &Context<'_>, raw: &[u8], out: &mut Output<'_>) -> Result<(), PluginError> {
        decode::<T>(ctx, raw, out)
    }

    fn encode(
        ctx: &Context<'_>,
        command: &Command<'_>,
        out: &mut Output<'_>,
    ) -> Result<(), PluginError> {
        encode::<T>(ctx, command, out)
    }
}

/// A recorded `decode`.
struct Recorded {
    name: String,
    settings: String,
    request: Option<Vec<u8>>,
    frame: Vec<u8>,
}

impl Recorded {
    fn call(&self) -> Call {
        let call = Call::new().settings(&self.settings);
        match &self.request {
            Some(request) => call.request(request),
            None => call,
        }
    }
}

fn vectors(plugin: &str, file: &str) -> Vec<Json> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../{plugin}/vectors/{file}"));
    let text = std::fs::read_to_string(path).unwrap();
    text.parse::<Json>().unwrap().items().unwrap().to_vec()
}

fn recorded(plugin: &str, file: &str) -> Vec<Recorded> {
    let hex = |json: &Json| {
        let digits: Vec<u8> = json.as_str().unwrap().bytes().collect();
        let pair = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16);
        digits.chunks(2).map(|digits| pair(digits).unwrap()).collect::<Vec<u8>>()
    };
    let one = |vector: &Json| {
        Some(Recorded {
            name: vector.get("name").and_then(Json::as_str).unwrap().to_owned(),
            settings: vector.at("/context/settings").map(Json::to_string).unwrap_or_default(),
            request: vector.at("/context/request").map(hex),
            frame: vector.at("/input/hex").map(hex)?,
        })
    };
    vectors(plugin, file).iter().filter_map(one).collect()
}

/// Frames of every kind, without those that are as long as can be: they take their time.
fn short(plugin: &str, file: &str) -> Vec<Recorded> {
    let mut all = recorded(plugin, file);
    all.retain(|one| one.frame.len() <= 100);
    assert!(all.len() > 15);
    all
}

fn flips(frame: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    (0..frame.len() * 8).map(|bit| {
        let mut changed = frame.to_vec();
        changed[bit / 8] ^= 1 << (bit % 8);
        changed
    })
}

fn is_refused(outcome: &Outcome) -> bool {
    outcome.messages.is_empty() && outcome.error.is_some()
}

#[test]
fn a_reply_cut_anywhere_is_no_reply() {
    for (one, is_rtu) in both("replies.json").chain(both("values.json")) {
        // The beginning of what was recorded with bytes too many is a frame.
        if one.name.contains("too many") || one.name.contains("two frames") {
            continue;
        }
        for len in 0..one.frame.len() {
            let outcome = decoded(&one, &one.frame[..len], is_rtu);
            assert!(is_refused(&outcome), "{} at {len}: {outcome:?}", one.name);
        }
    }
}

#[test]
fn a_serial_reply_with_one_bit_changed_is_no_reply() {
    let values = short("modbus_rtu", "values.json");
    for one in short("modbus_rtu", "replies.json").into_iter().chain(values) {
        // Some recorded frames are wrong, and one bit may mend them.
        if Rtu::open(&one.frame).is_err() {
            continue;
        }
        for changed in flips(&one.frame) {
            let outcome = one.call().decode::<Plugin<Rtu>>(&changed);
            assert!(is_refused(&outcome), "{}: {outcome:?}", one.name);
        }
    }
}

#[test]
fn any_changed_bit_is_answered_in_order() {
    for file in ["replies.json", "values.json", "unasked.json", "specification.json"] {
        for one in short("modbus_tcp", file) {
            for changed in flips(&one.frame) {
                let _ = one.call().decode::<Plugin<Tcp>>(&changed);
            }
        }
    }
    for one in short("modbus_rtu", "unasked.json") {
        for changed in flips(&one.frame) {
            let _ = one.call().decode::<Plugin<Rtu>>(&changed);
        }
    }
}

/// Changed PDUs with a right check: what a broken unit sends, not a broken line.
#[test]
fn any_changed_pdu_with_a_right_check_is_answered_in_order() {
    let values = short("modbus_rtu", "values.json");
    for one in short("modbus_rtu", "replies.json").into_iter().chain(values) {
        let Ok(adu) = Rtu::open(&one.frame) else { continue };
        for pdu in flips(adu.pdu).chain((1..adu.pdu.len()).map(|len| adu.pdu[..len].to_vec())) {
            let mut frame = Vec::new();
            Rtu::seal(modbus_core::Adu { pdu: &pdu, ..adu }, &mut frame);
            let _ = one.call().decode::<Plugin<Rtu>>(&frame);
        }
    }
}

#[test]
fn any_changed_request_is_answered_in_order() {
    for (one, is_rtu) in both("replies.json") {
        let request = one.request.clone().unwrap_or_default();
        let cut = (0..request.len()).map(|len| request[..len].to_vec());
        for request in cut.chain(flips(&request)) {
            let call = Call::new().settings(&one.settings).request(&request);
            let _ = match is_rtu {
                true => call.decode::<Plugin<Rtu>>(&one.frame),
                false => call.decode::<Plugin<Tcp>>(&one.frame),
            };
        }
    }
}

#[test]
fn random_bytes_are_answered_in_order() {
    let (rtu, tcp) = (recorded("modbus_rtu", "unasked.json"), short("modbus_tcp", "replies.json"));
    let mut dice = Dice(0x9e37_79b9);
    for round in 0..20_000 {
        let len = dice.below(if round % 10 == 0 { 600 } else { 24 });
        let mut bytes: Vec<u8> = (0..len).map(|_| dice.byte()).collect();
        // Mostly what begins like a frame.
        if let [first, second, ..] = &mut bytes[..] {
            (*first, *second) = (dice.byte() % 3, dice.byte() % 48);
        }
        let _ = rtu[dice.below(rtu.len())].call().decode::<Plugin<Rtu>>(&bytes);
        let _ = tcp[dice.below(tcp.len())].call().decode::<Plugin<Tcp>>(&bytes);
        let request = rtu[0].request.as_deref();
        for scan in [Rtu::scan(&bytes, request), Rtu::scan(&bytes, None), Tcp::scan(&bytes, None)] {
            if let Scan::Frame(count) | Scan::Skip(count) = scan {
                assert!((1..=bytes.len()).contains(&count), "{scan:?} of {} bytes", bytes.len());
            }
        }
    }
}

/// A thousand of the shortest frames: one message for each at most, and an end.
#[test]
fn many_frames_in_one_input_come_to_an_end() {
    let one = &recorded("modbus_rtu", "unasked.json")[0];
    let outcome = one.call().decode::<Plugin<Rtu>>(&one.frame.repeat(1000));
    assert_eq!((outcome.messages.len(), outcome.error), (1000, None));
}

#[test]
fn settings_cut_or_changed_are_answered_in_order() {
    let settings = r#"{"unit":1,"devices":{"3":"m-3"},"registers":[{"name":"a","table":"input",
        "address":30001,"type":"i32","words":"little","scale":0.1,"enum":{"1":"on"},"null":-1,
        "units":[3]}],"address_base":"modicon","unsolicited":[{"function":3,"address":40001}]}"#;
    let good = Call::new().settings(settings).decode::<Plugin<Rtu>>(&[]);
    assert_eq!(good.error_code(), "length", "{good:?}");
    for len in 1..settings.len() {
        let cut = Call::new().settings(&settings[..len]).decode::<Plugin<Rtu>>(&[]);
        assert_eq!(cut.error_code(), "settings.invalid", "{len}");
    }
    for (at, _) in settings.char_indices() {
        for byte in ["9", "\"", "{", "-", "e"] {
            let mut changed = settings.to_owned();
            changed.replace_range(at..=at, byte);
            let _ = Call::new().settings(&changed).decode::<Plugin<Rtu>>(&[]);
        }
    }
}

/// Whatever is asked for: an error, or frames that are frames.
#[test]
fn changed_commands_make_frames_or_errors() {
    let values: Vec<Json> =
        ["null", "-1", "0", "65535", "65536", "1e300", "\"x\"", "[]", "[0]", "{}", "true"]
            .iter()
            .map(|text| text.parse().unwrap())
            .collect();
    for vector in vectors("modbus_rtu", "commands.json") {
        let settings = vector.at("/context/settings").map(Json::to_string).unwrap_or_default();
        let command = vector.at("/input/json/command").and_then(Json::as_str).unwrap();
        let params = vector.at("/input/json/params").unwrap();
        let call = Call::new().settings(&settings);
        for (name, _) in params.members().unwrap() {
            for value in &values {
                let mut changed = params.clone();
                changed.set(name, value.clone());
                let outcome = call.encode::<Plugin<Rtu>>(command, &changed.to_string());
                assert_ne!(outcome.error.is_some(), !outcome.frames.is_empty(), "{outcome:?}");
                assert!(outcome.frames.iter().all(|frame| Rtu::open(frame).is_ok()));
            }
        }
    }
}

// --- what the tests are made with ---------------------------------------------------------------

fn both(file: &str) -> impl Iterator<Item = (Recorded, bool)> {
    let rtu = short("modbus_rtu", file).into_iter().map(|one| (one, true));
    rtu.chain(short("modbus_tcp", file).into_iter().map(|one| (one, false)))
}

fn decoded(one: &Recorded, frame: &[u8], is_rtu: bool) -> Outcome {
    match is_rtu {
        true => one.call().decode::<Plugin<Rtu>>(frame),
        false => one.call().decode::<Plugin<Tcp>>(frame),
    }
}

/// A generator of its own: the same bytes each time, on every machine.
struct Dice(u32);

impl Dice {
    fn next(&mut self) -> usize {
        self.0 = self.0.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (self.0 >> 8) as usize
    }

    fn below(&mut self, end: usize) -> usize {
        self.next() % end
    }

    fn byte(&mut self) -> u8 {
        (self.next() & 0xff) as u8
    }
}
