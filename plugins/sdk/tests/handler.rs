//! A handler as the host sees it: every function, and hostile bytes to each.

use flux_plugin_sdk::testing::{Call, Outcome, written};
use flux_plugin_sdk::{
    Command, Context, Effect, Json, Message, Output, PluginError, PluginHandler, StandardMessage,
    Value, export_plugin, guest,
};

/// Adds up the bytes of a source's inputs in its state.
struct Adder;

impl PluginHandler for Adder {
    fn on_decode(raw: &[u8]) -> StandardMessage {
        flux_plugin_sdk::standard_message::<Self>(raw)
    }

    fn decode(ctx: &Context<'_>, raw: &[u8], out: &mut Output<'_>) -> Result<(), PluginError> {
        let [byte] = raw else { return Err(PluginError::new("adder.length", "one byte")) };
        let sum = ctx.state().first().copied().unwrap_or(0).wrapping_add(*byte);
        out.message(ctx.device()).value("sum", sum).value("is", ctx.topic());
        out.set_state(&[sum]);
        Ok(())
    }

    fn encode(
        _: &Context<'_>,
        command: &Command<'_>,
        out: &mut Output<'_>,
    ) -> Result<(), PluginError> {
        match command.name {
            "add" => out.frame(&[command.param("byte")?]),
            "reset" => {
                for byte in command.param::<Option<Vec<u8>>>("to")?.unwrap_or_default() {
                    out.frame(&[0, byte]);
                }
            }
            _ => return Err(command.unknown()),
        }
        Ok(())
    }

    fn on_action(
        _: &Context<'_>,
        message: Message,
        firing: &Json,
        out: &mut Output<'_>,
    ) -> Result<(), PluginError> {
        let rule = firing.get("rule_name").and_then(Json::as_str).unwrap_or("?");
        out.effect(&Effect::raise_alarm(rule, "major", &message.device).with("count", 1));
        Ok(())
    }
}

export_plugin!(Adder, encode, on_msg, on_action);

/// The simplest handler there can be.
struct Simple;

impl PluginHandler for Simple {
    fn on_decode(raw: &[u8]) -> StandardMessage {
        let values = raw.iter().map(|byte| (format!("b{byte}"), f64::from(*byte))).collect();
        StandardMessage { device_id: "d".to_owned(), values }
    }
}

export_plugin!(Simple);

fn sums(outcomes: &[Outcome]) -> Vec<Option<f64>> {
    outcomes.iter().map(|outcome| outcome.messages.first()?.number("sum")).collect()
}

#[test]
fn each_input_of_a_batch_finds_the_state_the_one_before_left() {
    let outcomes = Call::new().state(&[10]).decode_batch::<Adder>(&[&[1], &[2], &[], &[3]]);
    assert_eq!(sums(&outcomes), [Some(11.0), Some(13.0), None, Some(16.0)]);
    assert_eq!(outcomes[2].error_code(), "adder.length");
    assert_eq!(outcomes[3].state.as_deref(), Some(&[16][..]));
}

#[test]
fn a_batch_of_nothing_says_nothing() {
    assert!(Call::new().decode_batch::<Adder>(&[]).is_empty());
}

#[test]
fn what_the_context_tells_arrives() {
    let outcome = Call::new().device("a-1").topic("plant/é").decode::<Adder>(&[7]);
    let message = &outcome.messages[0];
    assert_eq!(message.device, "a-1");
    assert_eq!(message.value("is"), Some(&Value::from("plant/é")));
    Call::new().request(&[]).received_ns(5).source("s").with_context(|ctx| {
        assert_eq!((ctx.request(), ctx.received_ns(), ctx.source()), (Some(&[][..]), 5, "s"));
    });
    Call::new().with_context(|ctx| assert_eq!((ctx.request(), ctx.device()), (None, "")));
}

#[test]
fn a_handler_with_one_function_decodes() {
    let outcome = Call::new().decode::<Simple>(&[3]);
    assert_eq!(outcome.messages[0].device, "d");
    assert_eq!(outcome.messages[0].number("b3"), Some(3.0));
    assert_eq!(Call::new().decode::<Simple>(&[]), Outcome::default());
    assert_eq!(Call::new().encode::<Simple>("x", "{}").error_code(), "command.unknown");
}

#[test]
fn commands_are_encoded_into_frames() {
    assert_eq!(Call::new().encode::<Adder>("add", r#"{"byte": 9}"#).frames, [[9]]);
    let frames = Call::new().encode::<Adder>("reset", r#"{"to": [1, 2]}"#).frames;
    assert_eq!(frames, [[0, 1], [0, 2]]);
    assert_eq!(Call::new().encode::<Adder>("reset", "null").error, None);
}

#[test]
fn a_wrong_parameter_is_named() {
    for (params, text) in [
        ("{}", "/params/byte: is missing"),
        ("null", "/params/byte: is missing"),
        (r#"{"byte": 256}"#, "/params/byte: must be a whole number from 0 to 255"),
        (r#"{"byte": "1"}"#, "/params/byte: must be a whole number from 0 to 255"),
    ] {
        let error = Call::new().encode::<Adder>("add", params).error.unwrap();
        assert_eq!((&*error.code, &*error.text), ("command.params", text));
    }
}

#[test]
fn a_message_without_a_processor_passes_as_it_is() {
    let message = Message::of("m-1")
        .at(42)
        .tagged("line", "north")
        .with("on", true)
        .with("count", -3)
        .with("level", 0.5)
        .with("mode", "auto")
        .with("raw", &b"\x00\xff"[..])
        .with("more", Value::Json("{\"a\":1}".to_owned()))
        .with("since", Value::Time(7));
    assert_eq!(Call::new().on_msg::<Simple>(&message).messages, [message]);
}

#[test]
fn a_firing_may_have_effects() {
    let call = Call::new().subject(r#"{"rule_name": "hot"}"#);
    let effects = call.on_action::<Adder>(&Message::of("m-1")).effects;
    assert_eq!(
        effects[0].fields.to_string(),
        r#"{"alarm":"hot","severity":"major","text":"m-1","count":1}"#
    );
    assert!(Call::new().on_action::<Simple>(&Message::of("m-1")).effects.is_empty());
    let undecoded = written(|out| guest::run(guest::on_action::<Adder>, &[], &[], out));
    assert_eq!((undecoded.effects.len(), undecoded.error), (1, None));
}

#[test]
fn what_has_no_room_is_left_out_and_said() {
    let long = "n".repeat(256);
    let outcome = written(|out| {
        out.message("").value("a", 1).value(&long, 2).value("b", 3);
        out.message(&long).tag("x", "y").value("c", 4);
        out.message("").value("d", 5).tag("late", "tag");
    });
    assert_eq!(outcome.error_code(), "sdk.output");
    assert_eq!(outcome.messages.len(), 2);
    assert_eq!(outcome.messages[0], Message::of("").with("a", 1).with("b", 3));
    assert_eq!(outcome.messages[1], Message::of("").with("d", 5));
}

#[test]
fn what_is_not_finite_does_not_arrive() {
    let outcome = written(|out| {
        out.message("").value("a", f64::NAN).value("b", f32::INFINITY).value("c", 1.0);
    });
    assert_eq!(outcome.messages, [Message::of("").with("c", 1.0)]);
}

/// Every function, with every prefix of good bytes and with bytes turned over: an answer or an
/// error, never a panic, and always an output the host can read.
#[test]
fn hostile_bytes_are_answered_in_order() {
    let context: &[u8] = b"\x02\x02\x00\x00\x00ab\x04\x0a\x00\x00\x00\x01\0\0\0\0\0\0\0{}";
    let message = b"\x01d\x00\x00\x00\x00\x00\x00\x00\x80\x01\x00\x01t\x01\x00x\x01\x00\x01v\x02\
        \x05\x00\x00\x00\x00\x00\x00\x00";
    let batch = b"\x02\x00\x00\x00\x01\x00\x00\x00\x07\x01\x00\x00\x00\x08";
    let command = br#"{"command": "add", "params": {"byte": 5}}"#;
    let functions: [(guest::Function, &[u8]); 5] = [
        (guest::decode::<Adder>, b"\x07"),
        (guest::decode_batch::<Adder>, batch),
        (guest::encode::<Adder>, command),
        (guest::on_msg::<Adder>, message),
        (guest::on_action::<Adder>, message),
    ];
    for (function, input) in functions {
        let good = written(|out| guest::run(function, context, input, out));
        assert_eq!(good.error, None);
        for len in 0..input.len() {
            let _ = written(|out| guest::run(function, context, &input[..len], out));
        }
        for len in 0..context.len() {
            let _ = written(|out| guest::run(function, &context[..len], input, out));
        }
        for (at, bit) in (0..input.len()).flat_map(|at| (0..8).map(move |bit| (at, bit))) {
            let mut turned = input.to_vec();
            turned[at] ^= 1 << bit;
            let _ = written(|out| guest::run(function, context, &turned, out));
        }
    }
}
