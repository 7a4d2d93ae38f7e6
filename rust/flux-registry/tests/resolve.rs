//! From topics to devices and back.

#![allow(clippy::unwrap_used)] // this is a test, helpers and all

mod site;

use std::collections::BTreeMap;

use flux_registry::{RenderError, Tags, TopicKind, TopicTemplate, Unmatched, compile_within};
use flux_types::{Key, TenantId};
use proptest::prelude::*;
use serde_json::{Value, json};
use site::{DEFAULT, changed, compile, filter, id, site, topic};

#[test]
fn topic_leads_to_device_product_and_kind() {
    let site = site();
    let found = |tenant, text: &str| {
        let topic = topic(text);
        site.resolve(tenant, &topic)
            .map(|r| (r.kind, r.device.id.to_string(), r.product.id.to_string()))
    };
    use TopicKind::{Command, Reply, Telemetry};
    assert_eq!(found(DEFAULT, "v1/devices/thermo-1/telemetry"), Ok((Telemetry, id(11), id(1))));
    assert_eq!(found(DEFAULT, "v1/devices/thermo-2/replies"), Ok((Reply, id(12), id(1))));
    assert_eq!(found(DEFAULT, "v1/devices/thermo-1/commands"), Ok((Command, id(11), id(1))));
    assert_eq!(found(DEFAULT, "plant/9/valve-1/telemetry"), Ok((Telemetry, id(13), id(2))));
    assert_eq!(found(TenantId(2), "v1/devices/thermo-1/telemetry"), Ok((Telemetry, id(14), id(3))));
}

#[test]
fn topic_without_a_device_says_why() {
    let site = compile(&changed("/devices/2/enabled", json!(false))).unwrap();
    let why = |tenant, text: &str| site.resolve(tenant, &topic(text)).map(drop).unwrap_err();
    for text in [
        "a",
        "v1/devices/thermo-1",
        "v1/devices/thermo-1/state",
        "/",
        "v1/devices/thermo-1/telemetry/x",
    ] {
        assert_eq!(why(DEFAULT, text), Unmatched::NoTemplate, "{text}");
    }
    assert_eq!(why(DEFAULT, "v1/devices/nobody/telemetry"), Unmatched::UnknownDevice);
    assert_eq!(why(DEFAULT, "v1/devices/dashboard/telemetry"), Unmatched::UnknownDevice);
    // a device is found under its own product's topics only
    assert_eq!(why(DEFAULT, "plant/3/thermo-1/telemetry"), Unmatched::UnknownDevice);
    assert_eq!(why(DEFAULT, "plant/3/valve-1/telemetry"), Unmatched::DisabledDevice);
    assert_eq!(why(TenantId(2), "plant/3/valve-1/telemetry"), Unmatched::NoTemplate);
    assert_eq!(why(TenantId(9), "v1/devices/thermo-1/telemetry"), Unmatched::NoTemplate);
}

#[test]
fn products_share_templates_and_the_device_decides() {
    let template = json!("{area}/{line}/{device}/telemetry");
    let site = compile(&changed("/products/0/topic_template", template)).unwrap();
    let text = topic("plant/7/valve-1/telemetry");
    let valve = site.resolve(DEFAULT, &text).unwrap();
    assert_eq!(valve.product.key.as_str(), "valve");
    assert_eq!(valve.captures(&text).collect::<Vec<_>>(), [("line", "7")]);
    let text = topic("plant/7/thermo-1/telemetry");
    let thermo = site.resolve(DEFAULT, &text).unwrap();
    assert_eq!(thermo.product.key.as_str(), "thermometer");
    assert_eq!(thermo.captures(&text).collect::<Vec<_>>(), [("area", "plant"), ("line", "7")]);
}

#[test]
fn commands_go_where_key_and_tags_say() {
    let site = site();
    let device = |key: &str| site.device_by_key(DEFAULT, key).unwrap();
    assert_eq!(
        site.command_topic(device("thermo-2")).unwrap().as_str(),
        "v1/devices/thermo-2/commands"
    );
    assert_eq!(site.command_topic(device("valve-1")).unwrap().as_str(), "plant/3/valve-1/commands");
    assert_eq!(site.reply_topic(device("valve-1")).unwrap().as_str(), "plant/3/valve-1/replies");
    assert_eq!(
        site.telemetry_topic(device("valve-1")).unwrap().as_str(),
        "plant/3/valve-1/telemetry"
    );
    let with_tags = |tags: Value| {
        let site = compile(&changed("/devices/2/tags", tags)).unwrap();
        let device = site.device_by_key(DEFAULT, "valve-1").unwrap();
        site.command_topic(device).unwrap_err()
    };
    assert_eq!(with_tags(json!({})), RenderError::MissingTag("line".into()));
    for wrong in ["", "a/b", "+", "#", "\0"] {
        assert_eq!(with_tags(json!({"line": wrong})), RenderError::TagNotALevel("line".into()));
    }
}

#[test]
fn lookups_agree_on_who_is_who() {
    let site = site();
    assert_eq!(site.tenant_id("acme"), Some(TenantId(2)));
    assert_eq!(site.tenant_name(TenantId(2)).map(|name| &**name), Some("acme"));
    assert_eq!(site.product_by_key(TenantId(2), "thermometer").unwrap().id.to_string(), id(3));
    assert!(site.product_by_key(TenantId(2), "valve").is_none());
    assert!(site.device_by_key(DEFAULT, "dashboard").is_none());
    assert_eq!(
        (site.devices().len(), site.products().len(), site.accounts().len(), site.rules().len()),
        (4, 3, 2, 2)
    );
    assert_eq!(site.env()["site"], "plant-7");
}

fn level() -> impl Strategy<Value = String> {
    prop_oneof![Just("a"), Just("b"), Just("{x}"), Just("{y}"), Just("{device}")]
        .prop_map(str::to_owned)
}

fn template() -> impl Strategy<Value = TopicTemplate> {
    prop::collection::vec(level(), 1..5)
        .prop_filter_map("a template", |levels| TopicTemplate::parse(&levels.join("/")).ok())
}

fn names() -> impl Strategy<Value = String> {
    prop::collection::vec(prop_oneof![Just("a"), Just("b"), Just("d"), Just("")], 1..5)
        .prop_map(|levels| levels.join("/"))
        .prop_filter("no topic is empty", |text| !text.is_empty())
}

proptest! {
    #[test]
    fn two_templates_that_match_one_topic_overlap(a in template(), b in template(), text in names()) {
        let one = |template: &TopicTemplate| {
            let device = text.split('/').nth(template.device_level()).filter(|name| !name.is_empty());
            device.is_some_and(|device| template.matches(&text, device))
        };
        if one(&a) && one(&b) {
            prop_assert!(a.overlaps(&b) && b.overlaps(&a));
        }
        prop_assert!(a.overlaps(&a));
    }

    #[test]
    fn filter_that_is_covered_matches_the_templates_topics_only(
        template in template(), text in names(), wild in prop::collection::vec(any::<bool>(), 5), device in "[abd]",
    ) {
        let levels = text.split('/').zip(&wild).map(|(level, wild)| if *wild { "+" } else { level });
        let filter = filter(&levels.collect::<Vec<_>>().join("/"));
        // `+` matches an empty level, which no capture is; such topics are nobody's
        if template.covers(&filter, &device) && filter.matches(&text) && !text.split('/').any(str::is_empty) {
            prop_assert!(template.matches(&text, &device));
        }
    }

    #[test]
    fn rendered_topic_leads_back_to_its_device(template in template(), key in "[abd]", x in "[abd]", y in "[abd]") {
        let tags = BTreeMap::from([("x".to_owned(), x), ("y".to_owned(), y)]).into();
        let text = template.render(&Key::new(&key).unwrap(), &tags).unwrap();
        prop_assert!(template.matches(text.as_str(), &key));
        for (name, level) in template.captures(text.as_str()) {
            prop_assert_eq!(Tags::get(&tags, name), Some(level));
        }
    }

    /// The search by levels must find what matching every device with every template would.
    #[test]
    fn resolve_agrees_with_trying_everything(
        templates in prop::collection::vec((template(), template(), template()), 1..4),
        text in names(),
    ) {
        let products: Vec<Value> = templates.iter().enumerate().map(|(n, (a, b, c))| json!({
            "id": id(u32::try_from(n).unwrap()), "topic_template": a.as_str(),
            "command_topic_template": b.as_str(), "reply_topic_template": c.as_str(),
        })).collect();
        let devices: Vec<Value> = ["a", "b", "d"].iter().enumerate().map(|(n, key)| json!({
            "id": id(100 + u32::try_from(n).unwrap()), "key": key, "product": id(u32::try_from(n % templates.len()).unwrap()),
        })).collect();
        let document = json!({"tenants": [{"id": 1, "name": "t"}], "products": products, "devices": devices});
        let document = site::read(&document).unwrap();
        let limits = flux_registry::Limits::default();
        let Ok(site) = compile_within(document, &site::Scripts, &limits) else { return Ok(()) };
        let mut expected = Vec::new();
        for device in site.devices() {
            let product = site.product(device.product).unwrap();
            if let Some(kind) = product.topic_kind(&text, device.key.as_str()) {
                expected.push((kind, device.id));
            }
        }
        prop_assert!(expected.len() <= 1, "one topic names one device: {expected:?}");
        let topic = topic(&text);
        let found = site.resolve(DEFAULT, &topic).ok().map(|r| (r.kind, r.device.id));
        prop_assert_eq!(found, expected.first().copied());
    }
}
