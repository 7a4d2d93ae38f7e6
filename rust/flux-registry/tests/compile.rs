//! What a document may not say, each told with its code and place.

#![allow(clippy::unwrap_used)] // this is a test, helpers and all

mod site;

use flux_registry::{ActionSpec, Document, Limits, compile_within};
use flux_types::{Generation, Qos, Severity};
use serde_json::{Value, json};
use site::{Scripts, changed, compile, digest, document, id, places, read, set, site};

#[track_caller]
fn refused(document: &Value, expected: &[(&str, &str)]) {
    let problems = compile(document).map(drop).unwrap_err();
    let mut found = places(&problems);
    found.sort_unstable();
    let mut expected = expected.to_vec();
    expected.sort_unstable();
    assert_eq!(found, expected, "{problems:#?}");
}

#[track_caller]
fn refused_change(pointer: &str, value: Value, code: &str) {
    refused(&changed(pointer, value), &[(code, pointer)]);
}

#[test]
fn site_compiles_and_comes_back_as_it_was() {
    let snapshot = site();
    assert_eq!(snapshot.generation(), Generation(1));
    let back = snapshot.to_document();
    assert_eq!(back.devices.len(), 4);
    assert_eq!(flux_registry::compile(back.clone(), &Scripts).unwrap().to_document(), back);
    // what was left out is written out
    let valve = &back.products[1];
    assert_eq!(serde_json::to_value(&valve.decode).unwrap()["ts_unit"], "ms");
    assert_eq!(back.products[2].topic_template, "v1/devices/{device}/telemetry");
    assert_eq!(serde_json::to_value(&snapshot).unwrap(), serde_json::to_value(&back).unwrap());
}

#[test]
fn empty_document_is_a_configuration() {
    assert_eq!(compile(&json!({})).unwrap().to_document(), Document::default());
    let initial = flux_registry::Snapshot::initial().to_document();
    assert_eq!(initial, Document::initial());
}

#[test]
fn key_is_the_id_where_none_is_given() {
    let mut document = document();
    set(&mut document, "/devices/1/key", Value::Null);
    let snapshot = compile(&document).unwrap();
    assert_eq!(snapshot.device(id(12).parse().unwrap()).unwrap().key.as_str(), id(12));
}

#[test]
fn all_problems_are_told_at_once() {
    let mut document = document();
    set(&mut document, "/products/0/topic_template", json!("v1/devices/+/telemetry"));
    set(&mut document, "/devices/1/key", json!("a/b"));
    set(&mut document, "/devices/2/secret_sha256", json!("secret"));
    set(&mut document, "/rules/0/trigger_script", json!("broken"));
    set(&mut document, "/rules/0/actions/0/max_age_ms", json!(0));
    set(&mut document, "/principals/0/publish/1", json!("a#"));
    // devices of the failed product and rules about it are not reported on top
    refused(
        &document,
        &[
            ("product.template", "/products/0/topic_template"),
            ("config.key", "/devices/1/key"),
            ("config.digest", "/devices/2/secret_sha256"),
            ("rule.compile", "/rules/0/trigger_script"),
            ("rule.action", "/rules/0/actions/0/max_age_ms"),
            ("principal.grant", "/principals/0/publish/1"),
        ],
    );
}

#[test]
fn wrong_shapes_are_told_at_once() {
    let mut document = document();
    set(&mut document, "/devices/0/enabled", json!("yes"));
    set(&mut document, "/devices/1/colour", json!("red"));
    set(&mut document, "/devices/2/id", json!("thirteen"));
    set(&mut document, "/devices/3/tags", json!({"a~/b": 1}));
    set(&mut document, "/rules/0/actions/1", json!({"type": "explode"}));
    set(&mut document, "/rules/1/actions", json!([{"url": "http://a/"}]));
    set(&mut document, "/products/0/decode/type", json!("xml"));
    set(&mut document, "/principals/0/publish", json!("all"));
    set(&mut document, "/generation", json!(-1));
    let problems = read(&document).unwrap_err();
    let mut found = places(&problems);
    found.sort_unstable();
    assert!(found.iter().all(|(code, _)| *code == "config.shape"));
    let pointers: Vec<_> = found.iter().map(|(_, pointer)| *pointer).collect();
    assert_eq!(
        pointers,
        [
            "/devices/0/enabled",
            "/devices/1/colour",
            "/devices/2/id",
            "/devices/3/tags/a~0~1b",
            "/generation",
            "/principals/0/publish",
            "/products/0/decode/type",
            "/rules/0/actions/1",
            "/rules/1/actions/0",
        ]
    );
}

#[test]
fn malformed_json_is_told_by_line_and_column() {
    for (text, line) in
        [("{\n\"generation\": }", Some(2)), (" []", None), ("", Some(1)), ("7", Some(1))]
    {
        let problems = Document::from_json(text.as_bytes()).unwrap_err();
        assert_eq!(problems.len(), 1, "{text}");
        assert_eq!(problems[0].line, line, "{text}");
        assert!(!problems[0].message.contains("line"), "the place is told apart");
    }
    let twice = br#"{"generation": 1, "generation": 2}"#;
    assert!(Document::from_json(twice).unwrap_err()[0].message.contains("duplicate field"));
}

#[test]
fn ids_stand_once() {
    let mut document = document();
    let mut twin = document["devices"][0].clone();
    twin["key"] = json!("thermo-9");
    set(&mut document, "/devices/-", twin);
    refused(&document, &[("config.duplicate_id", "/devices/4/id")]);
}

#[test]
fn tenants_are_numbered_and_named_once() {
    let tenant = |id: u32, name: &str| changed("/tenants/2", json!({"id": id, "name": name}));
    refused(&tenant(3, "acme"), &[("tenant.name_taken", "/tenants/2/name")]);
    refused(&tenant(0, "nought"), &[("tenant.id", "/tenants/2/id")]);
    refused(&tenant(3, "a@b"), &[("tenant.name", "/tenants/2/name")]);
    refused(&tenant(3, ""), &[("tenant.name", "/tenants/2/name")]);
    refused_change("/devices/0/tenant", json!(7), "config.tenant_unknown");
}

#[test]
fn names_to_sign_in_with_stand_once_in_a_tenant() {
    refused_change("/devices/1/key", json!("thermo-1"), "config.name_taken");
    refused_change("/principals/0/username", json!("thermo-1"), "config.name_taken");
    refused_change("/products/1/key", json!("thermometer"), "config.name_taken");
    // the other tenant has a `thermo-1` and a `thermometer` of its own
    assert!(compile(&document()).is_ok());
}

#[test]
fn keys_are_topic_levels_and_nobody_elses_id() {
    for wrong in ["", "a/b", "a b", "+", "#", "$SYS"] {
        refused_change("/devices/1/key", json!(wrong), "config.key");
    }
    refused_change("/devices/1/key", json!(id(11)), "config.key");
    refused_change("/principals/0/username", json!(id(11)), "config.key");
    assert!(compile(&changed("/devices/1/key", json!(id(12)))).is_ok());
}

#[test]
fn device_belongs_to_a_product_of_its_tenant() {
    refused_change("/devices/1/product", json!(id(9)), "device.product_unknown");
    refused_change("/devices/1/product", json!(id(3)), "device.product_unknown");
}

#[test]
fn digests_are_sixty_four_hexadecimal_digits() {
    for wrong in ["", "secret", &digest("x")[1..], &digest("x").replacen('a', "g", 64)] {
        let problems = compile(&changed("/devices/0/secret_sha256", json!(wrong))).unwrap_err();
        assert_eq!(places(&problems), [("config.digest", "/devices/0/secret_sha256")]);
        assert!(problems[0].hint.as_deref().unwrap().contains("SHA-256"), "{wrong}");
        assert!(!problems[0].to_string().contains("secret\""), "secrets are not repeated");
    }
    refused_change("/devices/0/secret_sha256_previous", json!("x"), "config.digest");
    assert!(
        compile(&changed("/devices/0/secret_sha256", json!(digest("x").to_uppercase()))).is_ok()
    );
}

#[test]
fn template_has_one_device_and_no_wildcards() {
    let pointer = "/products/0/topic_template";
    for (template, hint) in [
        ("v1/devices/telemetry", "put `{device}`"),
        ("v1/+/{device}/telemetry", "write `{name}`"),
        ("{device}/#", "write `{name}`"),
        ("{device}/{device}", "a name of its own"),
        ("{a}/{device}/{a}", "a name of its own"),
        ("x-{device}/t", "alone in its level"),
        ("{device/t", "alone in its level"),
        ("{}/{device}", "alone in its level"),
        ("{a b}/{device}", "alone in its level"),
        ("$SYS/{device}", "plant/{line}"),
        ("", "plant/{line}"),
    ] {
        let problems = compile(&changed(pointer, json!(template))).unwrap_err();
        assert_eq!(places(&problems), [("product.template", pointer)], "{template}");
        assert!(problems[0].hint.as_deref().unwrap().contains(hint), "{template}: {}", problems[0]);
    }
    refused_change(pointer, json!(format!("{{device}}/{}", "a".repeat(600))), "config.too_long");
}

#[test]
fn product_tells_its_own_topics_apart() {
    let code = "product.template_ambiguous";
    let same = json!("v1/devices/{device}/telemetry");
    refused_change("/products/0/command_topic_template", same.clone(), code);
    refused_change("/products/0/reply_topic_template", same, code);
    let wide = json!("v1/devices/{device}/{what}");
    refused(
        &changed("/products/0/reply_topic_template", wide),
        &[(code, "/products/0/reply_topic_template"), (code, "/products/0/command_topic_template")],
    );
}

#[test]
fn topic_never_names_two_devices() {
    // product 1 has the device in `v1/devices/{device}/telemetry`
    let code = "product.template_ambiguous";
    refused(
        &changed("/products/1/topic_template", json!("v1/{device}/{x}/telemetry")),
        &[(code, "/products/0/topic_template")],
    );
    let document = changed("/products/1/topic_template", json!("{a}/{b}/{c}/{device}"));
    let problems = compile(&document).unwrap_err();
    assert!(problems.iter().all(|problem| problem.code == code), "{problems:?}");
    // the same level is fine, whatever the others; so is another tenant
    assert!(
        compile(&changed("/products/1/topic_template", json!("{a}/{b}/{device}/telemetry")))
            .is_ok()
    );
    assert!(
        compile(&changed("/products/2/topic_template", json!("v1/{device}/{x}/telemetry"))).is_ok()
    );
    assert!(
        compile(&changed("/products/1/topic_template", json!("v2/{device}/{x}/telemetry"))).is_ok()
    );
}

#[test]
fn grants_are_filters_outside_what_is_the_servers() {
    for wrong in ["", "a#", "a/#/b", "+a", "$SYS/#", "$share/g/a"] {
        refused_change("/principals/0/publish/0", json!(wrong), "principal.grant");
    }
    refused_change("/principals/0/subscribe/0", json!("$share/g/a"), "principal.grant");
    let many: Vec<String> = (0..65).map(|i| format!("a/{i}")).collect();
    refused_change("/principals/0/subscribe", json!(many), "config.too_many");
}

#[test]
fn rule_names_known_sources() {
    refused_change("/rules/0/sources/products/0", json!(id(9)), "rule.source_unknown");
    refused_change("/rules/0/sources/products/0", json!(id(3)), "rule.source_unknown");
    refused_change("/rules/0/sources/devices/0", json!(id(14)), "rule.source_unknown");
    refused_change("/rules/0/sources/topics/0", json!("a+"), "rule.source");
    refused_change("/rules/0/sources/topics/0", json!("$SYS/#"), "rule.source");
    refused_change("/rules/0/version", json!(0), "rule.version");
}

#[test]
fn scripts_are_told_with_their_lines() {
    let problems = compile(&changed("/products/0/transform", json!("broken"))).unwrap_err();
    assert_eq!(places(&problems), [("rule.compile", "/products/0/transform")]);
    assert_eq!((problems[0].line, problems[0].column), (Some(1), Some(2)));
    refused_change("/rules/1/trigger_script", json!("broken"), "rule.compile");
    refused_change("/rules/1/trigger_script", json!(" ".repeat(70_000)), "config.too_long");
    refused_change("/products/0/decode/device", json!(".."), "decode.path");
}

#[test]
fn actions_are_read_in_any_case_and_compiled() {
    let snapshot = site();
    let rule = snapshot.rule(id(31).parse().unwrap()).unwrap();
    let [command, publish, raise, clear, webhook] = rule.actions.as_slice() else {
        panic!("{:?}", rule.actions)
    };
    assert!(matches!(command, ActionSpec::Command { device, command, max_age_ms: 30_000, .. }
        if device.as_str() == "valve-1" && command == "close"));
    assert!(
        matches!(publish, ActionSpec::Publish { topic, qos: Qos::AtLeastOnce, retain: false, .. }
        if topic.as_str() == "a/b")
    );
    assert!(matches!(raise, ActionSpec::RaiseAlarm { severity: Severity::Critical, .. }));
    assert!(matches!(clear, ActionSpec::ClearAlarm { alarm } if alarm == "overheat"));
    assert!(matches!(webhook, ActionSpec::Webhook { max_age_ms: 86_400_000, .. }));
}

#[test]
fn wrong_actions_are_told_by_their_field() {
    let wrong = |action: Value, field: &str| {
        let pointer = format!("/rules/0/actions/0{field}");
        refused(&changed("/rules/0/actions/0", action), &[("rule.action", &pointer)]);
    };
    wrong(json!({"type": "command", "device": "a/b", "command": "x"}), "/device");
    wrong(json!({"type": "command", "device": "a", "command": ""}), "/command");
    wrong(
        json!({"type": "command", "device": "a", "command": "x", "max_age_ms": 0}),
        "/max_age_ms",
    );
    let month_ms: u64 = 31 * 24 * 3_600_000;
    wrong(
        json!({"type": "command", "device": "a", "command": "x", "max_age_ms": month_ms}),
        "/max_age_ms",
    );
    wrong(json!({"type": "publish", "topic": "a/+"}), "/topic");
    wrong(json!({"type": "publish", "topic": "$SYS/a"}), "/topic");
    wrong(json!({"type": "publish", "topic": "a", "qos": 2}), "/qos");
    wrong(json!({"type": "publish", "topic": "a", "qos": 3}), "/qos");
    wrong(json!({"type": "raise_alarm", "alarm": ""}), "/alarm");
    wrong(json!({"type": "raise_alarm", "alarm": "a", "severity": "awful"}), "/severity");
    wrong(json!({"type": "clear_alarm", "alarm": ""}), "/alarm");
    for url in [
        "",
        "/x",
        "example.org",
        "ftp://a/b",
        "http://",
        "http:///x",
        "http://u:p@a/",
        "http://a:b/",
        "http://a:99999/",
        "http://a:0/",
        "http://a:/",
        "http://a b/",
    ] {
        wrong(json!({"type": "webhook", "url": url}), "/url");
    }
    for header in [("", "x"), ("a b", "x"), ("a", "x\ny"), ("Content-Length", "3")] {
        let headers: std::collections::BTreeMap<_, _> = [header].into();
        wrong(json!({"type": "webhook", "url": "http://a/", "headers": headers}), "/headers");
    }
    for url in ["https://example.org", "http://[::1]:8080/x?y=1", "http://10.0.0.1/"] {
        let action = json!({"type": "WEBHOOK", "url": url});
        assert!(compile(&changed("/rules/0/actions/0", action)).is_ok(), "{url}");
    }
}

#[test]
fn everything_has_a_limit() {
    let mut limits = Limits::default();
    limits.tenants_max = 1;
    limits.principals_max = 1;
    limits.products_max = 2;
    limits.devices_max = 3;
    limits.rules_max = 1;
    limits.topic_shapes_max = 5;
    limits.actions_max = 4;
    limits.rule_sources_max = 2;
    limits.tags_max = 0;
    limits.grants_max = 1;
    limits.json_bytes_max = 10;
    limits.decode_values_max = 0;
    let document = read(&document()).unwrap();
    let problems = compile_within(document, &Scripts, &limits).unwrap_err();
    let found = places(&problems);
    for expected in [
        ("config.too_many", "/tenants"),
        ("config.too_many", "/principals/0/publish"),
        ("config.too_many", "/devices/0/tags"),
        ("config.too_many", "/rules/0/sources"),
        ("config.too_many", "/rules/0/actions"),
        ("config.too_many", "/products/0/decode/values"),
        ("config.too_long", "/products/0/metadata"),
        ("config.too_long", "/env"),
    ] {
        assert!(found.contains(&expected), "{expected:?} in {found:?}");
    }
    let mut limits = Limits::default();
    limits.topic_shapes_max = 5;
    limits.devices_max = 3;
    let problems = compile_within(read(&site::document()).unwrap(), &Scripts, &limits).unwrap_err();
    assert_eq!(
        places(&problems),
        [("product.templates", "/products"), ("config.too_many", "/devices")]
    );
}

#[test]
fn thousands_of_problems_are_told_by_the_first_thousand() {
    let devices: Vec<Value> =
        (0..1500).map(|i| json!({"id": id(1000 + i), "product": id(1), "key": "a/b"})).collect();
    let problems = compile(&changed("/devices", json!(devices))).unwrap_err();
    assert_eq!(problems.len(), 1001);
    assert_eq!(problems[1000].code, "config.too_many_problems");
}

#[test]
fn plugins_need_no_more_than_a_possible_id() {
    let used =
        json!({"plugin": "modbus_rtu", "settings": {"registers": []}, "grants": ["publish"]});
    let mut document = document();
    let decode = json!({"type": "plugin", "plugin": "modbus_rtu", "settings": {"unit": 3}});
    set(&mut document, "/products/0/decode", decode);
    set(&mut document, "/products/0/plugin_chain", json!([used]));
    set(&mut document, "/rules/0/plugin_chain", json!([used, {"plugin": "sign"}]));
    let back = compile(&document).unwrap().to_document();
    let value = serde_json::to_value(&back).unwrap();
    assert_eq!(value["products"][0]["decode"]["settings"], json!({"unit": 3}));
    assert_eq!(value["products"][0]["plugin_chain"], json!([used]));
    assert_eq!(value["rules"][0]["plugin_chain"][1], json!({"plugin": "sign", "settings": {}}));
    set(&mut document, "/products/0/decode/plugin", json!("../modbus"));
    set(&mut document, "/rules/0/plugin_chain/1/plugin", json!(""));
    set(&mut document, "/rules/0/plugin_chain/0/grants", json!(["publish", "fly"]));
    set(&mut document, "/products/0/plugin_chain", json!(vec![used; 9]));
    refused(
        &document,
        &[
            ("plugin.id", "/products/0/decode/plugin"),
            ("config.too_many", "/products/0/plugin_chain"),
            ("plugin.id", "/rules/0/plugin_chain/1/plugin"),
            ("plugin.grant", "/rules/0/plugin_chain/0/grants/1"),
        ],
    );
}
