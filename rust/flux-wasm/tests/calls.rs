//! Calls as workers make them: what guests are told, what becomes of their answers, where instances
//! come from.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

mod guests;

use std::sync::Arc;

use flux_plugin_abi::{EffectKind, OutputWriter, ValueRef};
use flux_types::Value;
use flux_wasm::{
    Abi, Context, FailureReason, Function, Limits, Mode, Options, Package, PluginError, Plugins,
    Settings, Sink, write_message,
};
use guests::{ALLOC, CALL, DEALLOC, decoding, module, parrot, patient, plugin, plugin_within};
use serde_json::json;

/// What a parrot's answer comes to.
fn decoded(output: &[u8]) -> Result<Sink, PluginError> {
    let (_plugins, plugin) = plugin_within(parrot(), patient());
    let mut sink = Sink::default();
    plugin.lease()?.decode(&Context::default(), output, &mut sink)?;
    Ok(sink)
}

fn first_values(sink: &Sink) -> Vec<(Arc<str>, Value)> {
    sink.items().flat_map(|item| item.messages()).flat_map(|message| message.to_values()).collect()
}

#[test]
fn four_registers_become_four_values() {
    let (_plugins, plugin) = plugin(guests::registers());
    let mut sink = Sink::default();
    let mut lease = plugin.lease().unwrap();
    let outcome =
        lease.decode(&Context::default(), &[0, 1, 0, 2, 1, 0, 0xff, 0xff], &mut sink).unwrap();
    assert_eq!((outcome.items, outcome.messages), (0..1, 1));
    let values = first_values(&sink);
    let expected = [("a", 1), ("b", 2), ("c", 256), ("d", 65_535)];
    let expected = expected.map(|(name, number)| (Arc::from(name), Value::I64(number)));
    assert_eq!(values, expected);
}

#[test]
fn a_batch_is_one_call_and_each_input_has_its_item() {
    let (_plugins, plugin) = plugin(guests::registers());
    let mut sink = Sink::default();
    let inputs: Vec<Vec<u8>> = (0..600_u16).map(|n| n.to_be_bytes().repeat(4)).collect();
    let mut inputs: Vec<&[u8]> = inputs.iter().map(Vec::as_slice).collect();
    inputs[7] = b"short";
    let outcome = plugin.lease().unwrap().decode_batch(&Context::default(), &inputs, &mut sink);
    assert_eq!((outcome.items, outcome.messages, outcome.failed), (0..600, 599, 0));
    for (index, item) in sink.items().enumerate() {
        let firsts: Vec<_> =
            item.messages().map(|message| message.values().next().unwrap().1).collect();
        let expected = if index == 7 { vec![] } else { vec![Value::I64(index as i64)] };
        assert_eq!(firsts, expected);
    }
    let stats = plugin.stats();
    assert_eq!((stats.calls, stats.items), (3, 600), "600 inputs are three calls of up to 256");
}

#[test]
fn a_poisoned_input_of_a_batch_costs_no_other() {
    // a batch function that traps as soon as there is a 1, and a single one that traps on it
    let decode = format!(
        "(func (export \"decode\") {CALL}
           (if (i32.eq (i32.load8_u (local.get $ptr)) (i32.const 1)) (then (unreachable)))
           (i64.const 0))
         (func (export \"decode_batch\") {CALL} (unreachable))"
    );
    let (_plugins, plugin) = plugin_within(module(&[ALLOC, DEALLOC, &decode]), patient());
    let mut sink = Sink::default();
    let inputs: [&[u8]; 4] = [&[0], &[1], &[2], &[3]];
    let outcome = plugin.lease().unwrap().decode_batch(&Context::default(), &inputs, &mut sink);
    assert_eq!((outcome.items, outcome.failed), (0..4, 1));
    let failed: Vec<_> = sink.items().map(|item| item.failure().is_some()).collect();
    assert_eq!(failed, [false, true, false, false]);
}

#[test]
fn guests_are_told_what_the_context_says() {
    let (_plugins, plugin) = plugin(guests::mirror());
    let mut lease = plugin.lease().unwrap();
    let settings =
        [json!({ "unit": 1 }), json!({ "unit": 17, "name": "x".repeat(3000) }), json!(null)]
            .map(|json| Settings::new(&json));
    for round in 0..20_usize {
        let context = Context {
            settings: settings[round % 3].view(),
            source: "device:7/conn".into(),
            topic: "plant/line/meter".into(),
            device: "meter".into(),
            received_ns: round as i64,
            request: (round % 2 == 0).then_some(&[1, 3, 0, 0, 0, 4][..]),
            state: &b"0123456789"[..round % 10],
            subject: "{}".into(),
        };
        let told = lease.call(Function::Decode, &context, &vec![0; round * 100]).unwrap();
        assert_eq!(Context::read(&told), Ok(context), "round {round}");
    }
}

#[test]
fn every_form_of_answer_reads_the_same() {
    let mut binary = Vec::new();
    let mut output = OutputWriter::new(&mut binary);
    let mut message = output.message("m1", Some(5)).unwrap();
    message.tag("line", "3").unwrap();
    message.value("on", true).unwrap().value("t", 1.5).unwrap().value("s", "hi").unwrap();
    message.value("z", ValueRef::Json("[1]".into())).unwrap();
    drop(message);
    output.state(b"abc").unwrap();
    output.effect(EffectKind::Publish, r#"{"topic":"a/b"}"#).unwrap();
    output.error("crc", "bad checksum").unwrap();
    output.frame(&[1, 2]).unwrap();
    let message = json!({"device": "m1", "ts": 5, "tags": {"line": "3"},
        "values": {"on": true, "t": 1.5, "s": "hi", "z": [1], "nothing": null}});
    let json = json!({"messages": [message], "state": "YWJj", "frames": ["AQI="],
        "effects": [{"kind": "publish", "topic": "a/b"}],
        "error": {"code": "crc", "text": "bad checksum"}, "later": 1});
    let json = format!(" \n{json}");
    for output in [&binary, json.as_bytes()] {
        let sink = decoded(output).unwrap();
        let item = sink.item(0).unwrap();
        let message = item.messages().next().unwrap();
        assert_eq!(message.device().map(|key| &**key), Some("m1"));
        assert_eq!(message.ts_ns(), Some(5));
        let tags: Vec<_> = message.tags().map(|(n, v)| format!("{n}={v}")).collect();
        assert_eq!(tags, ["line=3"]);
        let mut values = message.to_values();
        values.sort_by(|a, b| a.0.cmp(&b.0));
        let z = Value::Json(Arc::new(json!([1])));
        let expected = [("on", Value::Bool(true)), ("s", "hi".into()), ("t", 1.5.into()), ("z", z)];
        assert_eq!(values, expected.map(|(name, value)| (Arc::from(name), value)));
        assert_eq!(sink.state(), Some(&b"abc"[..]));
        assert_eq!(item.frames(), [vec![1_u8, 2]]);
        assert_eq!(item.effects()[0].kind, EffectKind::Publish);
        assert_eq!(item.effects()[0].fields["topic"], "a/b");
        assert_eq!(&*item.reported().unwrap().code, "crc");
    }
}

#[test]
fn the_short_forms_of_json_are_messages() {
    for output in [
        r#"{"device_id":"m","values":{"t":1}}"#,
        r#"[{"device_id":"m","values":{"t":1}}]"#,
        r#"{"messages":[{"device":"m","values":{"t":1}}]}"#,
    ] {
        let sink = decoded(output.as_bytes()).unwrap();
        assert_eq!(first_values(&sink), [("t".into(), Value::I64(1))], "{output}");
    }
    assert_eq!(decoded(b"[]").unwrap().messages_len(), 0);
    assert_eq!(decoded(b"{}").unwrap().messages_len(), 0);
    assert_eq!(decoded(b"  \n").unwrap().messages_len(), 0);
}

#[test]
fn json_of_the_wrong_shape_is_refused_with_its_reason() {
    for (output, reason) in [
        ("{", "not JSON"),
        ("hello", "begins with 0x68"),
        (r#"{"messages":{}}"#, "messages is an object; expected an array"),
        (r#"{"messages":[1]}"#, "a message is a number"),
        (r#"{"values":[1]}"#, "values is an array"),
        (r#"{"values":{"":1}}"#, "a name of no bytes"),
        (r#"{"ts":1.5,"values":{}}"#, "ts is a number; expected whole nanoseconds"),
        (r#"{"device":7,"values":{}}"#, "device is a number"),
        (r#"{"state":"?"}"#, "state is no base64"),
        (r#"{"effects":[{"kind":"reboot"}]}"#, "expected one of command, publish"),
        (r#"{"error":"bad"}"#, "error is text"),
    ] {
        let error = decoded(output.as_bytes()).unwrap_err();
        assert_eq!(error.reason(), FailureReason::Output);
        assert!(error.to_string().contains(reason), "{output}: {error}");
    }
}

#[test]
fn a_plugins_own_error_is_no_failed_call_and_stands_beside_what_could_be_read() {
    let output = r#"{"messages":[{"values":{"t":1}}],"error":{"code":"crc","text":"bad"}}"#;
    let (_plugins, plugin) = plugin(parrot());
    let mut sink = Sink::default();
    for _ in 0..200 {
        let outcome = plugin
            .lease()
            .unwrap()
            .decode(&Context::default(), output.as_bytes(), &mut sink)
            .unwrap();
        assert_eq!((outcome.reported, outcome.messages), (1, 1));
        sink.clear();
    }
    assert_eq!(plugin.stats().failures[FailureReason::Reported as usize], 200);
    assert_eq!(plugin.trips(), 0, "noise on a line is not the plugin's fault");
}

#[test]
fn values_that_are_no_numbers_are_dropped_and_counted() {
    let mut bytes = Vec::new();
    let mut output = OutputWriter::new(&mut bytes);
    let mut message = output.message("", None).unwrap();
    message.value("a", f64::NAN).unwrap().value("b", 2.0).unwrap();
    message.value("c", f64::INFINITY).unwrap();
    drop(message);
    let (_plugins, plugin) = plugin(parrot());
    let mut sink = Sink::default();
    let outcome = plugin.lease().unwrap().decode(&Context::default(), &bytes, &mut sink).unwrap();
    assert_eq!(outcome.values_dropped, 2);
    assert_eq!(first_values(&sink), [("b".into(), Value::F64(2.0))]);
    assert_eq!(plugin.stats().values_dropped, 2);
}

#[test]
fn of_a_name_that_stands_twice_the_last_value_counts() {
    let mut bytes = Vec::new();
    let mut output = OutputWriter::new(&mut bytes);
    for base in [1, 10] {
        let mut message = output.message("", None).unwrap();
        message.value("a", base).unwrap().value("b", base + 1).unwrap();
        message.value("a", base + 2).unwrap();
    }
    let sink = decoded(&bytes).unwrap();
    let values: Vec<_> = sink
        .items()
        .flat_map(|item| item.messages())
        .map(|message| message.values().map(|(n, v)| format!("{n}={:?}", v.as_f64())).collect())
        .collect::<Vec<Vec<_>>>();
    assert_eq!(values, [["a=Some(3.0)", "b=Some(2.0)"], ["a=Some(12.0)", "b=Some(11.0)"]]);
}

#[test]
fn limits_of_an_output_are_named() {
    let limits = Limits::default();
    let many = |count: usize, part: &str| format!("[{}]", vec![part; count].join(","));
    let values: Vec<_> = (0..=limits.values_max).map(|n| format!("\"v{n}\":1")).collect();
    let tags: Vec<_> = (0..=limits.tags_max).map(|n| format!("\"t{n}\":\"\"")).collect();
    for (output, limit) in [
        (many(limits.messages_max + 1, r#"{"values":{}}"#), "messages_max"),
        (format!("{{\"values\":{{{}}}}}", values.join(",")), "values_max"),
        (format!("{{\"values\":{{}},\"tags\":{{{}}}}}", tags.join(",")), "tags_max"),
        (format!("{{\"effects\":{}}}", many(65, r#"{"kind":"publish"}"#)), "effects_max"),
        (format!("{{\"frames\":{}}}", many(257, "\"\"")), "frames_max"),
        (format!("{{\"state\":\"{}\"}}", "AAAA".repeat(22_000)), "state_bytes_max"),
    ] {
        let error = decoded(output.as_bytes()).unwrap_err().to_string();
        assert!(error.contains(limit), "{limit}: {error}");
    }
    let error = decoded(&vec![b' '; limits.input_bytes_max + 1]).unwrap_err();
    assert!(error.to_string().contains("input_bytes_max"), "{error}");
    let name = "n".repeat(256);
    let error = decoded(format!("{{\"values\":{{\"{name}\":1}}}}").as_bytes()).unwrap_err();
    assert!(error.to_string().contains("at most 255"), "{error}");
}

#[test]
fn a_function_that_is_not_there_is_no_fault_of_the_plugin() {
    let (_plugins, plugin) = plugin(decoding("(i64.const 0)"));
    let mut sink = Sink::default();
    let error = plugin.lease().unwrap().encode(&Context::default(), b"{}", &mut sink).unwrap_err();
    assert!(matches!(error, PluginError::NotExported(Function::Encode)), "{error}");
    assert_eq!(plugin.stats().discarded, 0);
}

#[test]
fn messages_go_in_as_they_come_out() {
    // `on_msg` of this guest answers with its input as a MESSAGE section
    let on_msg = format!(
        r#"(func (export "decode") {CALL} (i64.const 0))
        (func (export "on_msg") {CALL}
          (i32.store8 (i32.const 4096) (i32.const 1))
          (i32.store8 (i32.const 4097) (i32.const 1))
          (i32.store (i32.const 4098) (local.get $len))
          (memory.copy (i32.const 4102) (local.get $ptr) (local.get $len))
          (i64.or (i64.const 0x8000100000000000)
            (i64.extend_i32_u (i32.add (local.get $len) (i32.const 6)))))"#
    );
    let (_plugins, plugin) = guests::plugin(module(&[ALLOC, DEALLOC, &on_msg]));
    let values: Vec<(Arc<str>, Value)> = vec![
        ("a".into(), Value::Bool(true)),
        ("b".into(), Value::I64(-1)),
        ("c".into(), Value::F64(0.5)),
        ("d".into(), "text".into()),
        ("e".into(), Value::Bytes(vec![1, 2].into())),
        ("f".into(), Value::Time(9)),
        ("g".into(), Value::Json(Arc::new(json!({"x": [1]})))),
    ];
    let mut body = Vec::new();
    write_message("dev", Some(3), values.iter().map(|(n, v)| (n, v)), &mut body).unwrap();
    let mut sink = Sink::default();
    plugin.lease().unwrap().on_msg(&Context::default(), &body, &mut sink).unwrap();
    assert_eq!(first_values(&sink), values);
}

#[test]
fn abi_zero_still_runs() {
    let (_plugins, plugin) = plugin(guests::abi_zero());
    assert_eq!(plugin.interface().unwrap().abi, Abi::V0);
    let mut sink = Sink::default();
    let mut lease = plugin.lease().unwrap();
    lease.on_msg(&Context::default(), b"{\"temperature\":21}", &mut sink).unwrap();
    let error = lease.on_msg(&Context::default(), b"", &mut sink).unwrap_err();
    assert!(matches!(error, PluginError::Failed(0)), "{error}");
    let error = lease.decode(&Context::default(), b"x", &mut sink).unwrap_err();
    assert!(matches!(error, PluginError::NotExported(Function::Decode)), "{error}");
}

#[test]
fn a_fresh_instance_forgets_and_a_reused_one_remembers() {
    // counts its calls in its memory and answers with the count, a frame of one byte
    let decode = format!(
        r#"(data (i32.const 4096) "\01\05\01\00\00\00")
           (func (export "decode") {CALL}
             (i32.store8 (i32.const 4102)
               (i32.add (i32.load8_u (i32.const 4102)) (i32.const 1)))
             (i64.const 0x8000100000000007))"#
    );
    let counting = module(&[ALLOC, DEALLOC, &decode]);
    for (manifest, expected) in
        [("mode = \"reuse\"", [1_u8, 2, 3]), ("mode = \"fresh\"", [1, 1, 1])]
    {
        let plugins = Plugins::open(Options::new(Limits::default())).unwrap();
        let mut package = Package::new(counting.clone());
        package.manifest = Some(manifest.as_bytes().to_vec());
        let status = plugins.install("p", &package).unwrap();
        let plugin = plugins.get("p").unwrap();
        let mut sink = Sink::default();
        for _ in 0..3 {
            plugin.lease().unwrap().decode(&Context::default(), &[], &mut sink).unwrap();
        }
        let counts: Vec<u8> = sink.items().map(|item| item.frames()[0][0]).collect();
        assert_eq!(counts, expected, "{manifest}");
        assert_eq!(status.mode == Mode::Fresh, manifest.contains("fresh"));
    }
}

#[test]
fn instances_are_made_when_wanted_kept_up_to_the_pool_size_and_bounded() {
    let limits = {
        let mut limits = Limits::default();
        limits.lease_wait_ms = 1;
        limits
    };
    let (_plugins, plugin) = plugin_within(guests::registers(), limits);
    assert_eq!(plugin.pool_stats().available, 1, "one, from when it was loaded");
    let mut sink = Sink::default();
    let mut leases: Vec<_> = (0..10).map(|_| plugin.lease().unwrap()).collect();
    for lease in &mut leases {
        lease.decode(&Context::default(), &[0; 8], &mut sink).unwrap();
    }
    assert_eq!(plugin.pool_stats().busy, 10);
    assert!(matches!(plugin.lease(), Err(PluginError::Busy { max: 10 })));
    drop(leases);
    let stats = plugin.pool_stats();
    assert_eq!((stats.available, stats.busy, stats.max_size), (4, 0, 4));
    assert_eq!((stats.hits, stats.misses), (1, 9));
    plugin.lease().unwrap().decode(&Context::default(), &[0; 8], &mut sink).unwrap();
    assert_eq!(plugin.pool_stats().hits, 2);
}

#[test]
fn worn_instances_are_replaced() {
    let mut limits = Limits::default();
    limits.instance_calls_max = 10;
    let (_plugins, plugin) = plugin_within(guests::registers(), limits);
    let mut sink = Sink::default();
    for _ in 0..100 {
        plugin.lease().unwrap().decode(&Context::default(), &[0; 8], &mut sink).unwrap();
        sink.clear();
    }
    assert_eq!(plugin.stats().recycled, 10);
    // grows by 6 MiB once
    let growing = decoding("(drop (memory.grow (i32.const 96))) (i64.const 0)");
    let (_plugins, plugin) = guests::plugin(growing);
    plugin.lease().unwrap().decode(&Context::default(), &[0], &mut sink).unwrap();
    assert_eq!(plugin.stats().recycled, 1);
    assert_eq!(plugin.pool_stats().available, 0);
}

#[test]
fn state_goes_through_a_batch_from_input_to_input() {
    // answers with its state and one byte more as its new state, and as a frame
    let decode = format!(
        r#"(func (export "decode") {CALL} (local $n i32)
          ;; the context ends with the state section: tag, length, bytes. Without one: 13 bytes
          (local.set $n (i32.sub (local.get $ctx_len) (i32.const 13)))
          (if (i32.gt_s (local.get $n) (i32.const 0))
            (then (local.set $n (i32.sub (local.get $n) (i32.const 5)))))
          (local.set $n (i32.add (local.get $n) (i32.const 1)))
          (i32.store8 (i32.const 4096) (i32.const 1))
          (i32.store8 (i32.const 4097) (i32.const 2))
          (i32.store (i32.const 4098) (local.get $n))
          (memory.fill (i32.const 4102) (i32.const 7) (local.get $n))
          (i64.or (i64.const 0x8000100000000000)
            (i64.extend_i32_u (i32.add (local.get $n) (i32.const 6)))))"#
    );
    let (_plugins, plugin) = guests::plugin(module(&[ALLOC, DEALLOC, &decode]));
    let mut sink = Sink::default();
    let inputs: [&[u8]; 5] = [b"1", b"2", b"3", b"4", b"5"];
    let mut lease = plugin.lease().unwrap();
    let outcome = lease.decode_batch(&Context::default(), &inputs, &mut sink);
    assert!(outcome.state_changed);
    assert_eq!(sink.state(), Some(&[7; 5][..]));
    sink.clear();
    let context = Context { state: &[7; 5], ..Context::default() };
    lease.decode_batch(&context, &inputs, &mut sink);
    assert_eq!(sink.state(), Some(&[7; 10][..]));
}

#[test]
fn durations_and_messages_are_counted() {
    let (_plugins, plugin) = plugin(guests::registers());
    let mut sink = Sink::default();
    for _ in 0..7 {
        let mut lease = plugin.lease().unwrap();
        for _ in 0..33 {
            lease.decode(&Context::default(), &[0; 8], &mut sink).unwrap();
            sink.clear();
        }
    }
    let stats = plugin.stats();
    assert_eq!((stats.calls, stats.messages), (231, 231));
    assert_eq!(stats.duration_buckets.iter().sum::<u64>(), 231, "every call has a bucket");
    assert!(stats.duration_ns > 0);
}
