//! What decoding costs, without a sandbox: `cargo bench -p modbus_core`.
//!
//! Printed are nanoseconds a call from the bytes of the context and the input to those of the
//! output: the guest's own part of a call, as the host makes it. The least of several rounds
//! counts: others disturb a measurement, they never help it.

use std::hint::black_box;
use std::time::Instant;

use flux_plugin_abi as abi;
use flux_plugin_sdk::{
    Command, Context, Output, PluginError, PluginHandler, StandardMessage, guest,
};
use modbus_core::{Adu, Rtu, Tcp, Transport, decode, encode};

const ROUNDS: u32 = 4_000;
const CALLS: u32 = 500;

struct Plugin<T>(std::marker::PhantomData<T>);

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

fn measured(name: &str, mut call: impl FnMut()) {
    let mut best = f64::INFINITY;
    for _ in 0..ROUNDS {
        let start = Instant::now();
        for _ in 0..CALLS {
            call();
        }
        best = best.min(start.elapsed().as_secs_f64() * 1e9 / f64::from(CALLS));
    }
    println!("{name:<44} {best:8.1} ns");
}

fn frame<T: Transport>(pdu: &[u8]) -> Vec<u8> {
    let mut frame = Vec::new();
    T::seal(Adu { transaction: 7, unit: 1, pdu }, &mut frame);
    frame
}

fn decoding<T: Transport>(name: &str, settings: &str, request: &[u8], reply: &[u8]) {
    let (request, reply) = (frame::<T>(request), frame::<T>(reply));
    let mut ctx = Vec::new();
    let context = abi::Context {
        settings: abi::Settings { id: name.len() as u64, json: settings.into() },
        source: "5020/10.0.0.7:40112".into(),
        topic: "5020".into(),
        device: "meter-7".into(),
        received_ns: 1_700_000_000_000_000_000,
        request: Some(&request),
        ..abi::Context::default()
    };
    assert!(context.write(&mut ctx).is_ok());
    let mut bytes = abi::Buffer::new();
    let function = guest::decode::<Plugin<T>>;
    assert_eq!(function(&ctx, &reply, &mut Output::new(&mut bytes)), Ok(()), "{name}");
    assert!(bytes.as_bytes().len() > 1, "{name}");
    measured(name, || {
        let mut out = Output::new(&mut bytes);
        let _ = black_box(function(black_box(&ctx), black_box(&reply), &mut out));
    });
}

/// As many registers as are read, each a value.
fn registers(count: u16, more: &str) -> String {
    let one = |place| format!(r#"{{"name": "value_{place}", "address": {place}{more}}}"#);
    let registers: Vec<_> = (0..count).map(one).collect();
    format!(r#"{{"registers": [{}]}}"#, registers.join(","))
}

fn main() {
    let four = [4, 8, 0x09, 0x00, 0x01, 0xf4, 0x13, 0x88, 0xff, 0x9c];
    let asked = [4, 0, 0, 0, 4];
    let input = r#", "table": "input""#;
    let scaled = r#", "table": "input", "scale": 0.1"#;
    decoding::<Rtu>("RTU, four registers", &registers(4, input), &asked, &four);
    decoding::<Rtu>("RTU, four registers, scaled", &registers(4, scaled), &asked, &four);
    decoding::<Tcp>("TCP, four registers", &registers(4, input), &asked, &four);
    decoding::<Tcp>("TCP, four registers, scaled", &registers(4, scaled), &asked, &four);

    let mut many = vec![3, 250];
    many.resize(252, 0x11);
    let asked = [3, 0, 0, 0, 125];
    decoding::<Rtu>("RTU, 125 registers", &registers(125, ""), &asked, &many);
    decoding::<Rtu>("RTU, 125 registers of 1000", &registers(1000, ""), &asked, &many);

    let crc_of = vec![0x5a_u8; 13];
    measured("CRC of 13 bytes", || {
        black_box(modbus_core::crc16(black_box(&crc_of)));
    });

    let full = r#", "table": "input", "type": "i16", "scale": 0.1, "offset": -40, "unit_text": "V",
        "group": "fast", "null": -32768"#;
    compiling(&registers(1000, full));
}

/// The first call with new settings reads and checks them.
fn compiling(settings: &str) {
    let mut bytes = abi::Buffer::new();
    let mut best = f64::INFINITY;
    for id in 0..200 {
        let mut ctx = Vec::new();
        let context = abi::Context {
            settings: abi::Settings { id: 1000 + id, json: settings.into() },
            ..abi::Context::default()
        };
        assert!(context.write(&mut ctx).is_ok());
        let start = Instant::now();
        let _ = guest::decode::<Plugin<Rtu>>(&ctx, &[], &mut Output::new(&mut bytes));
        best = best.min(start.elapsed().as_secs_f64() * 1e6);
    }
    let name = format!("settings of 1000 registers, {} bytes", settings.len());
    println!("{name:<44} {best:8.1} us");
}
