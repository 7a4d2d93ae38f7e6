use std::collections::BTreeMap;
use std::sync::Arc;

use flux_registry::{
    Device, DeviceEntry, Document, JsonMapping, ProductEntry, ScriptCheck, ScriptKind, TimeUnit,
    compile,
};
use flux_types::{Coded, DeviceId, ErrorKind, Problem, ProductId, Telemetry, Value};
use proptest::prelude::*;
use serde_json::json;

use super::*;

const RECEIVED_NS: i64 = 1_700_000_000_000_000_000;

struct NoScripts;

impl ScriptCheck for NoScripts {
    fn check(&self, _: ScriptKind, _: &str) -> Vec<Problem> {
        Vec::new()
    }
}

/// The devices `own`, `other` and `stranger`; a payload of `own` may name `other` too.
fn devices() -> [Arc<Device>; 3] {
    let product: ProductId = "00000000-0000-4000-8000-000000000001".parse().unwrap();
    let keys = ["own", "other", "stranger"];
    let mut document = Document::initial();
    let entry: ProductEntry = serde_json::from_value(json!({"id": product})).unwrap();
    document.products.push(entry);
    document.devices.extend(keys.iter().map(|key| {
        let json = json!({"id": DeviceId::random(), "key": key, "product": product});
        serde_json::from_value::<DeviceEntry>(json).unwrap()
    }));
    let snapshot = compile(document, &NoScripts).unwrap();
    keys.map(|key| Arc::clone(snapshot.device_by_key(flux_types::TenantId(1), key).unwrap()))
}

fn spec(
    device: Option<&str>,
    ts: Option<(&str, TimeUnit)>,
    values: Option<&[(&str, &str)]>,
) -> JsonMapping {
    JsonMapping {
        device: device.map(str::to_owned),
        ts: ts.map(|(path, _)| path.to_owned()),
        ts_unit: ts.map_or(TimeUnit::Ms, |(_, unit)| unit),
        values: values.map(|values| {
            values.iter().map(|(name, path)| ((*name).to_owned(), (*path).to_owned())).collect()
        }),
    }
}

fn run(spec: &JsonMapping, payload: &[u8]) -> Result<(Decoded, Vec<Telemetry>), DecodeError> {
    run_with(&Decoder::compile(spec).unwrap(), payload)
}

fn run_with(decoder: &Decoder, payload: &[u8]) -> Result<(Decoded, Vec<Telemetry>), DecodeError> {
    let [own, other, _] = devices();
    let named = |key: &str| (key == "other").then(|| Arc::clone(&other));
    let context = DecodeContext { device: &own, received_ns: RECEIVED_NS, named: &named };
    let mut out = Vec::new();
    let decoded = decoder.decode(&context, payload, &mut out);
    if decoded.is_err() {
        assert!(out.is_empty(), "an error leaves nothing behind");
    }
    decoded.map(|decoded| (decoded, out))
}

/// The samples as JSON objects, `@ts` in milliseconds where it is not the time of receipt, which is a
/// nanosecond later for each.
fn shown(spec: &JsonMapping, payload: &str) -> serde_json::Value {
    let (_, samples) = run(spec, payload.as_bytes()).unwrap();
    let one = |(place, sample): (i64, &Telemetry)| {
        let mut object: serde_json::Map<_, _> =
            sample.values.iter().map(|(name, value)| (name.to_string(), value.to_json())).collect();
        assert_eq!(object.len(), sample.values.len(), "a name stands once");
        if sample.ts_ns != RECEIVED_NS + place {
            object.insert("@ts".into(), (sample.ts_ns / 1_000_000).into());
        }
        if sample.device_key.as_str() != "own" {
            object.insert("@device".into(), sample.device_key.as_str().into());
        }
        serde_json::Value::Object(object)
    };
    match samples.as_slice() {
        [sample] => one((0, sample)),
        samples => (0..).zip(samples).map(one).collect(),
    }
}

fn flat(payload: &str) -> serde_json::Value {
    shown(&JsonMapping::default(), payload)
}

fn flat_error(payload: &str) -> DecodeError {
    run(&JsonMapping::default(), payload.as_bytes()).unwrap_err()
}

#[test]
fn every_scalar_of_a_flat_object_is_a_value() {
    let payload = r#" {"t": 21.5, "n": -3, "on": true, "state": "idle", "gone": null} "#;
    let (decoded, samples) = run(&JsonMapping::default(), payload.as_bytes()).unwrap();
    assert_eq!(decoded, Decoded { samples: 1, refused: 0 });
    let expected: [(&str, Value); 4] =
        [("t", 21.5.into()), ("n", (-3).into()), ("on", true.into()), ("state", "idle".into())];
    let values: Vec<_> = samples[0].values.iter().map(|(n, v)| (&**n, v.clone())).collect();
    assert_eq!(values, expected);
    assert_eq!(samples[0].ts_ns, RECEIVED_NS);
    assert_eq!(samples[0].device_key.as_str(), "own");
}

#[test]
fn nested_objects_are_joined_by_dots_and_arrays_kept() {
    assert_eq!(
        flat(r#"{"a": {"b": {"c": 1}, "d": 2}, "e": [1, {"f": null}], "g": {}, "h": 3}"#),
        json!({"a.b.c": 1, "a.d": 2, "e": [1, {"f": null}], "h": 3})
    );
    assert_eq!(flat(r#"{"": {"": 1}, "a": 2}"#), json!({".": 1, "a": 2}));
}

#[test]
fn name_that_stands_twice_has_the_last_value_in_the_first_place() {
    assert_eq!(flat(r#"{"a": 1, "b": 2, "a": 3}"#), json!({"a": 3, "b": 2}));
    assert_eq!(flat(r#"{"a": {"b": 1}, "a.b": 2}"#), json!({"a.b": 2}));
    let many: Vec<String> = (0..100).map(|i| format!("\"v{}\": {i}", i % 40)).collect();
    let shown = flat(&format!("{{{}}}", many.join(",")));
    assert_eq!(shown.as_object().unwrap().len(), 40);
    assert_eq!((&shown["v0"], &shown["v19"], &shown["v39"]), (&json!(80), &json!(99), &json!(79)));
}

#[test]
fn escaped_names_and_texts_are_read() {
    assert_eq!(
        flat(r#"{"caf\u00e9": "a\n\ud83d\ude00", "é": "ß"}"#),
        json!({"café": "a\n😀", "é": "ß"})
    );
}

#[test]
fn numbers_keep_their_kind_and_never_become_infinite() {
    let payload = r#"{"max": 9223372036854775807, "over": 18446744073709551615,
                      "far": 123456789012345678901234567890, "small": 1e-400, "e": 1e3, "z": -0}"#;
    let (_, samples) = run(&JsonMapping::default(), payload.as_bytes()).unwrap();
    let value = |name| samples[0].value(name).unwrap().clone();
    assert_eq!(value("max"), Value::I64(i64::MAX));
    assert_eq!(value("over"), Value::F64(18_446_744_073_709_551_615.0));
    assert_eq!(value("far"), Value::F64(1.234_567_890_123_456_8e29));
    assert_eq!(value("small"), Value::F64(0.0));
    assert_eq!(value("e"), Value::F64(1000.0));
    let error = flat_error("{\"a\": 1,\n \"t\": 1e999}");
    let DecodeError::Malformed { message, line, .. } = &error else { panic!("{error}") };
    assert_eq!((message.as_str(), *line), ("number out of range", 2));
    for word in ["NaN", "Infinity", "-Infinity"] {
        assert_eq!(flat_error(&format!("{{\"t\": {word}}}")).code(), "decode.malformed", "{word}");
    }
}

#[test]
fn envelope_is_values_and_perhaps_ts() {
    assert_eq!(
        flat(r#"{"ts": 1000, "values": {"t": 1, "n": {"m": 2}}}"#),
        json!({"@ts": 1000, "t": 1, "n.m": 2})
    );
    assert_eq!(
        flat(r#"{"values": {"t": 1, "ts": 5}, "ts": 1000}"#),
        json!({"@ts": 1000, "t": 1, "ts": 5})
    );
    assert_eq!(flat(r#"{"values": {"t": 1}}"#), json!({"t": 1}));
    assert_eq!(flat(r#"{"values": {"t": 1}, "ts": null}"#), json!({"t": 1}));
    assert_eq!(
        flat(r#"[{"ts": 1000, "values": {"t": 1}}, {"ts": 2000, "values": {"t": 2}}]"#),
        json!([{"@ts": 1000, "t": 1}, {"@ts": 2000, "t": 2}])
    );
}

#[test]
fn what_only_looks_like_an_envelope_is_flat() {
    assert_eq!(flat(r#"{"ts": 1000, "t": 1}"#), json!({"ts": 1000, "t": 1}));
    assert_eq!(
        flat(r#"{"ts": 1000, "values": {"t": 1}, "x": 2}"#),
        json!({"ts": 1000, "values.t": 1, "x": 2})
    );
    assert_eq!(flat(r#"{"x": 2, "values": {"t": 1}}"#), json!({"values.t": 1, "x": 2}));
    assert_eq!(flat(r#"{"values": [1], "ts": 1}"#), json!({"values": [1], "ts": 1}));
    assert_eq!(flat(r#"{"values": 1}"#), json!({"values": 1}));
    assert_eq!(
        flat(r#"{"values": {"t": 1}, "values": {"u": 2}}"#),
        json!({"values.t": 1, "values.u": 2})
    );
    assert_eq!(flat(r#"{"values": {"t": 1}, "ts": {"a": 1}}"#), json!({"values.t": 1, "ts.a": 1}));
    assert_eq!(flat(r#"{"values": {"t": 1}, "ts": [1]}"#), json!({"values.t": 1, "ts": [1]}));
    assert_eq!(flat(r#"{"a": {"values": {"t": 1}}}"#), json!({"a.values.t": 1}));
    let wrong = flat_error(r#"{"ts": "yesterday", "values": {"t": 1}}"#);
    assert_eq!(wrong.code(), "decode.time");
}

#[test]
fn array_at_the_top_is_several_samples() {
    assert_eq!(flat(r#"[{"t": 1}, {"t": 2}, {}]"#), json!([{"t": 1}, {"t": 2}]));
    assert_eq!(flat_error(r#"[{"t": 1}, 2]"#), DecodeError::NotAnObject { found: "a number" });
    assert_eq!(flat_error("[[]]"), DecodeError::NotAnObject { found: "an array in an array" });
    assert_eq!(flat_error("[{}, {}]"), DecodeError::Nothing);
    assert_eq!(flat_error("[]"), DecodeError::Nothing);
}

#[test]
fn payload_that_is_no_object_says_what_it_is() {
    for (payload, found) in [
        ("1", "a number"),
        ("-1", "a number"),
        ("1.5", "a number"),
        ("\"x\"", "text"),
        ("true", "a boolean"),
        ("null", "null"),
    ] {
        assert_eq!(flat_error(payload), DecodeError::NotAnObject { found }, "{payload}");
    }
    assert_eq!(flat_error("{}"), DecodeError::Nothing);
    assert_eq!(flat_error(r#"{"a": null}"#), DecodeError::Nothing);
    assert_eq!(flat_error("{}").kind(), ErrorKind::Invalid);
}

#[test]
fn malformed_json_is_told_by_line_and_column() {
    let DecodeError::Malformed { message, line, column } = flat_error("{\"a\": 1,\n \"b\" 2}")
    else {
        panic!("malformed")
    };
    assert_eq!((message.as_str(), line, column), ("expected `:`", 2, 6));
    for payload in ["", "{", "{\"a\":1}}", "{\"a\":1} x", "{'a':1}", "{\"a\":01}", "[{\"a\":1}"] {
        assert_eq!(flat_error(payload).code(), "decode.malformed", "{payload}");
    }
    let error = run(&JsonMapping::default(), b"{\"a\": \"\xff\"}").unwrap_err();
    assert_eq!(error, DecodeError::NotUtf8 { offset: 7 });
}

#[test]
fn mapped_values_are_found_by_their_paths() {
    let values = [
        ("temperature", "data.t"),
        ("first", "list[0].v"),
        ("second", "list[1].v"),
        ("whole", "list"),
    ];
    let spec = spec(None, None, Some(&values));
    assert_eq!(
        shown(
            &spec,
            r#"{"x": 1, "list": [{"v": 5, "w": 0}, {"v": 6}, 7], "data": {"t": 21.5, "u": 2}}"#
        ),
        json!({"temperature": 21.5, "first": 5, "second": 6, "whole": [{"v": 5, "w": 0}, {"v": 6}, 7]})
    );
    // what is not there, null or of another shape is no value
    assert_eq!(shown(&spec, r#"{"data": {"t": 1}, "list": null}"#), json!({"temperature": 1}));
    assert_eq!(shown(&spec, r#"{"data": 3, "list": [1]}"#), json!({"whole": [1]}));
    for payload in ["{}", r#"{"data": 1}"#, r#"{"data": [1]}"#, r#"{"other": 1}"#] {
        assert_eq!(run(&spec, payload.as_bytes()).unwrap_err(), DecodeError::Nothing, "{payload}");
    }
}

#[test]
fn arrays_are_walked_without_being_kept() {
    let spec = spec(None, None, Some(&[("a", "m[1][0].x"), ("b", "m[2]")]));
    assert_eq!(shown(&spec, r#"{"m": [[9], [{"x": 1}, 2], "s", 4]}"#), json!({"a": 1, "b": "s"}));
}

#[test]
fn array_at_the_top_is_one_sample_where_a_path_begins_with_an_index() {
    let spec = spec(None, Some(("[0]", TimeUnit::S)), Some(&[("t", "[1].t")]));
    assert_eq!(shown(&spec, r#"[10, {"t": 1}]"#), json!({"@ts": 10_000, "t": 1}));
}

#[test]
fn time_is_read_in_its_unit_with_or_without_mapped_values() {
    let mapped = spec(None, Some(("at", TimeUnit::Rfc3339)), Some(&[("t", "t")]));
    assert_eq!(
        shown(&mapped, r#"{"at": "1970-01-01T00:00:01Z", "t": 1}"#),
        json!({"@ts": 1000, "t": 1})
    );
    let unmapped = spec(None, Some(("meta.at", TimeUnit::S)), None);
    assert_eq!(
        shown(&unmapped, r#"{"meta": {"at": 2, "x": 3}, "ts": 7, "values": {"t": 1}}"#),
        json!({"@ts": 2000, "meta.x": 3, "ts": 7, "values.t": 1})
    );
    assert_eq!(shown(&unmapped, r#"{"meta": {"at": null}, "t": 1}"#), json!({"t": 1}));
    let error = run(&mapped, br#"{"at": 12, "t": 1}"#).unwrap_err();
    assert_eq!(error.to_string(), "the time 12 is not text like 2024-05-01T12:00:00Z (RFC 3339)");
    let error = run(&unmapped, br#"{"meta": {"at": 1e18}, "t": 1}"#).unwrap_err();
    assert_eq!(error.code(), "decode.time");
}

#[test]
fn payload_names_devices_and_those_refused_are_counted() {
    let by_path = spec(Some("dev"), None, Some(&[("t", "t")]));
    assert_eq!(shown(&by_path, r#"{"dev": "other", "t": 1}"#), json!({"@device": "other", "t": 1}));
    assert_eq!(shown(&by_path, r#"{"dev": "own", "t": 1}"#), json!({"t": 1}));
    assert_eq!(shown(&by_path, r#"{"t": 1}"#), json!({"t": 1}));
    let payload = br#"[{"dev": "stranger", "t": 1}, {"dev": "other", "t": 2}, {"dev": 7, "t": 3}]"#;
    let (decoded, samples) = run(&by_path, payload).unwrap();
    assert_eq!(decoded, Decoded { samples: 1, refused: 2 });
    assert_eq!(samples[0].device_key.as_str(), "other");
    // a payload of nothing but refused samples is no error: it was understood
    let (decoded, samples) = run(&by_path, br#"{"dev": "stranger", "t": 1}"#).unwrap();
    assert_eq!((decoded.refused, samples.len()), (1, 0));
    for name in ["true", "1.5", "{}", "[]"] {
        let payload = format!("{{\"dev\": {name}, \"t\": 1}}");
        let error = run(&by_path, payload.as_bytes()).unwrap_err();
        assert_eq!(error.code(), "decode.device_name", "{name}");
    }
    let unmapped = spec(Some("dev"), None, None);
    assert_eq!(
        shown(&unmapped, r#"{"dev": "other", "ts": 1000, "values": {"t": 1}}"#),
        json!({"@device": "other", "@ts": 1000, "t": 1})
    );
}

#[test]
fn limits_hold_and_leave_nothing_behind() {
    let limits = DecodeLimits {
        payload_bytes_max: 200,
        depth_max: 2,
        values_max: 3,
        samples_max: 2,
        name_bytes_max: 6,
        ..DecodeLimits::default()
    };
    let decoder = Decoder::compile_within(&JsonMapping::default(), limits).unwrap();
    let error = |payload: &str| run_with(&decoder, payload.as_bytes()).unwrap_err();
    assert_eq!(error(&" ".repeat(201)), DecodeError::TooLarge { bytes: 201, max: 200 });
    assert_eq!(error(r#"{"a":{"b":{"c":1}}}"#), DecodeError::TooDeep { max: 2 });
    assert_eq!(error(r#"{"a":1,"b":2,"c":3,"d":4}"#), DecodeError::TooManyValues { max: 3 });
    assert_eq!(
        error(r#"{"values":{"a":1,"b":2,"c":3},"ts":1,"x":1}"#),
        DecodeError::TooManyValues { max: 3 }
    );
    assert_eq!(error(r#"[{"a":1},{"a":2},{"a":3}]"#), DecodeError::TooManySamples { max: 2 });
    for long in [r#"{"abcdefg":1}"#, r#"{"abc":{"def":1}}"#, r#"{"values":{"a":1},"x":1}"#] {
        assert_eq!(error(long).code(), "decode.name_too_long", "{long}");
    }
    assert!(run_with(&decoder, br#"[{"a":{"b":1},"c":2,"d":3},{"abcdef":1}]"#).is_ok());
}

#[test]
fn arrays_nested_without_end_are_refused() {
    let deep = format!("{{\"a\":{}{}}}", "[".repeat(10_000), "]".repeat(10_000));
    assert_eq!(flat_error(&deep).code(), "decode.malformed");
    let deep = format!("{}1{}", "{\"a\":".repeat(10_000), "}".repeat(10_000));
    assert_eq!(flat_error(&deep), DecodeError::TooDeep { max: 16 });
    // unmapped parts are passed over, however deep, without a call for each level
    let mapped = spec(None, None, Some(&[("t", "t")]));
    assert_eq!(run(&mapped, deep.as_bytes()).unwrap_err(), DecodeError::Nothing);
}

#[test]
fn wrong_paths_are_told_all_at_once() {
    let spec = spec(Some("a..b"), Some(("[x]", TimeUnit::S)), Some(&[("ok", "a"), ("p/q", "")]));
    let problems = Decoder::compile(&spec).unwrap_err();
    let pointers: Vec<_> = problems.iter().map(|problem| problem.pointer.as_str()).collect();
    assert_eq!(pointers, ["/device", "/ts", "/values/p~1q"]);
    let empty = JsonMapping { values: Some(BTreeMap::new()), ..Default::default() };
    assert_eq!(Decoder::compile(&empty).unwrap_err()[0].pointer, "/values");
    let nameless = self::spec(None, Some(("[0]", TimeUnit::S)), None);
    assert_eq!(Decoder::compile(&nameless).unwrap_err()[0].code, "decode.values");
}

#[test]
fn names_are_shared_between_payloads_and_bounded() {
    let limits = DecodeLimits { names_kept_max: 8, ..DecodeLimits::default() };
    let decoder = Decoder::compile_within(&JsonMapping::default(), limits).unwrap();
    let (_, first) = run_with(&decoder, br#"{"a": 1, "b": 2}"#).unwrap();
    let (_, second) = run_with(&decoder, br#"{"b": 3, "a": 4}"#).unwrap();
    assert!(Arc::ptr_eq(&first[0].values[0].0, &second[0].values[1].0));
    for i in 0..100 {
        let payload = format!("{{\"n{i}\": 1, \"a\": 2, \"m\": {{\"k{i}\": 1}}}}");
        let (_, samples) = run_with(&decoder, payload.as_bytes()).unwrap();
        assert_eq!(samples[0].value("a"), Some(&Value::I64(2)));
        assert_eq!(&*samples[0].values[2].0, format!("m.k{i}"));
    }
    assert!(decoder.names.borrow().kept() <= 8);
}

#[test]
fn decoder_goes_on_after_a_broken_payload() {
    let decoder = Decoder::compile(&JsonMapping::default()).unwrap();
    for broken in [r#"{"a": {"b": "#, r#"{"a": {"b": 1}, "c": x}"#, r#"{"values": {"a": {"b": }"#] {
        run_with(&decoder, broken.as_bytes()).unwrap_err();
        let (_, samples) = run_with(&decoder, br#"{"t": 1}"#).unwrap();
        assert_eq!(&*samples[0].values[0].0, "t");
    }
}

/// What the flat rules say of a parsed object, written as plainly as can be.
fn flattened(json: &serde_json::Value, name: &str, out: &mut BTreeMap<String, serde_json::Value>) {
    match json {
        serde_json::Value::Null => {}
        serde_json::Value::Object(object) => {
            for (key, value) in object {
                let joined = if name.is_empty() { key.clone() } else { format!("{name}.{key}") };
                flattened(value, &joined, out);
            }
        }
        other => {
            out.insert(name.to_owned(), other.clone());
        }
    }
}

fn json_value() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        (-1e12..1e12).prop_map(|real: f64| real.into()),
        "[a-zé\"\\\\\n]{0,6}".prop_map(Into::into),
    ];
    leaf.prop_recursive(4, 32, 6, |inner| {
        let name = "[a-d]{1,2}";
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Into::into),
            prop::collection::btree_map(name, inner, 0..6)
                .prop_map(|map| serde_json::Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn flat_decode_agrees_with_flattening_the_parsed_tree(
        object in prop::collection::btree_map("[a-d]{1,2}", json_value(), 0..6),
    ) {
        let object = serde_json::Value::Object(object.into_iter().collect());
        let mut expected = BTreeMap::new();
        flattened(&object, "", &mut expected);
        match run(&JsonMapping::default(), object.to_string().as_bytes()) {
            Ok((_, samples)) => {
                let found: BTreeMap<String, serde_json::Value> = samples[0].values.iter()
                    .map(|(name, value)| (name.to_string(), value.to_json())).collect();
                prop_assert_eq!(found, expected);
            }
            Err(error) => {
                prop_assert_eq!(error, DecodeError::Nothing);
                prop_assert!(expected.is_empty());
            }
        }
    }

    #[test]
    fn no_bytes_make_the_decoder_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = run(&JsonMapping::default(), &bytes);
    }

    #[test]
    fn no_near_json_makes_the_decoder_panic(text in r#"[\[\]{}:,"a0-9.eE\-tsvlu \\]{0,60}"#) {
        let mapped = spec(Some("a"), Some(("ts", TimeUnit::Ms)), Some(&[("t", "v[0].a"), ("u", "v")]));
        let _ = run(&JsonMapping::default(), text.as_bytes());
        let _ = run(&mapped, text.as_bytes());
    }
}
