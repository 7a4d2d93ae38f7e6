//! A shard's rules: the right ones run, none sees what another did, runaway ones are tripped.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeSet;
use std::sync::Arc;

use flux_rules::{
    BreakerLimits, BreakerState, Compiler, Effect, Environment, Input, Limits, MessageSummary,
    Origin, RuleDefinition, RuleSet, Sources, TripCause,
};
use flux_types::{Coded, DeviceId, ProductId, RuleId, TenantId, Topic, TopicFilter, Value};
use proptest::prelude::*;

fn rule(script: &str) -> RuleDefinition {
    RuleDefinition {
        id: RuleId::random(),
        tenant: TenantId::DEFAULT,
        version: 1,
        name: script.to_owned(),
        script: script.to_owned(),
        sources: Sources::default(),
        enabled: true,
    }
}

fn set_of(definitions: &[RuleDefinition]) -> RuleSet {
    let limits = Limits { deadline: std::time::Duration::from_secs(20), ..Limits::default() };
    let breaker = BreakerLimits { busy_share_max: 1_000.0, ..BreakerLimits::default() };
    let (set, errors) = RuleSet::of(definitions, &limits, breaker, &Environment::default());
    assert_eq!(errors, []);
    set
}

fn origin(topic: &Topic) -> Origin<'_> {
    Origin { tenant: TenantId::DEFAULT, topic, product: None, device: None }
}

/// Runs all rules over one message; says what each answered, in the order they ran.
fn answers(set: &mut RuleSet, values: &[(Arc<str>, Value)], now_ns: u64) -> Vec<(String, bool)> {
    let topic = Topic::new("a/b").unwrap();
    let input = Input { topic: topic.as_str(), values, payload: Some(b"p"), ..Input::default() };
    let mut answers = Vec::new();
    set.evaluate(&origin(&topic), &input, now_ns, |decision| {
        assert_eq!(decision.evaluation.error, None, "{}", decision.rule.name);
        answers.push((decision.rule.name.clone(), decision.evaluation.triggered));
    });
    answers
}

fn temperature(celsius: f64) -> Vec<(Arc<str>, Value)> {
    vec![("temperature".into(), Value::F64(celsius)), ("count".into(), Value::I64(7))]
}

#[test]
fn a_rule_set_can_be_built_elsewhere_and_moved() {
    fn movable<T: Send + 'static>(_: &T) {}
    let mut set = set_of(&[rule("temperature > 30")]);
    movable(&set);
    let answers = std::thread::spawn(move || answers(&mut set, &temperature(31.0), 0)).join();
    assert_eq!(answers.unwrap(), [("temperature > 30".to_owned(), true)]);
    let compiler = Compiler::new(&Limits::default());
    let compiled = compiler.compile(&rule("count == 7")).unwrap();
    movable(&compiled);
    let mut set = set_of(&[]);
    set.upsert(compiled);
    assert_eq!(self::answers(&mut set, &temperature(1.0), 0).len(), 1);
}

#[test]
fn what_one_rule_does_to_the_message_no_other_sees() {
    let pristine = "temperature == 20.0 && msg.values.len() == 2 && msg.topic == \"a/b\"
                    && msg.payload == \"p\" && !(\"extra\" in msg.values) && env.user.len() == 0
                    && is_def_var(\"mine\") == false";
    let vandals = [
        "msg.values.temperature = 99; msg.values.extra = 1; msg.topic = \"x\"; false",
        "msg.values.remove(\"temperature\"); msg.values.clear(); false",
        "msg = 1; env = 2; false",
        "env.user.x = 1; env.site = \"elsewhere\"; false",
        "let mine = msg; mine.values.temperature = 1; mine.topic = \"x\"; false",
        "let m = msg.values; m.clear(); false",
        "fn vandal() { this.values.temperature = 0; } msg.vandal(); false",
        "fn vandal(m) { m.values.temperature = 0; } vandal(msg); false",
        "let f = || msg.values.temperature; f.call(); false",
        "clear(msg.values); remove(msg, \"values\"); false",
        "for v in msg.values.values() { v = 0; } false",
        "let msg = 5; let env = 6; msg == 6",
        "try { msg.values.temperature += 1; } catch {} false",
        "msg.values[\"temp\" + \"erature\"] = 0; msg.payload = (); false",
        "[1].for_each(|x| msg.values.clear()); false",
    ];
    let mut definitions = vec![rule(pristine)];
    for vandal in vandals {
        definitions.push(rule(vandal));
        definitions.push(rule(pristine));
    }
    let mut set = set_of(&definitions);
    for _ in 0..2 {
        let topic = Topic::new("a/b").unwrap();
        let values = temperature(20.0);
        let payload: Option<&[u8]> = Some(b"p");
        let input = Input { topic: topic.as_str(), values: &values, payload, ..Input::default() };
        let mut before = String::new();
        set.evaluate(&origin(&topic), &input, 0, |decision| {
            let expected = decision.rule.script == pristine;
            assert_eq!(decision.evaluation.triggered, expected, "after {before}: {decision:?}");
            before.clone_from(&decision.rule.name);
        });
    }
}

#[test]
fn nothing_is_kept_between_messages() {
    let mut set = set_of(&[rule("let seen = 0; seen += 1; msg.values.n = seen; n == 1")]);
    for _ in 0..3 {
        assert!(answers(&mut set, &temperature(1.0), 0)[0].1);
    }
    let mut set = set_of(&[rule("gone == ()")]);
    assert!(!answers(&mut set, &[("gone".into(), Value::I64(1))], 0)[0].1);
    assert!(answers(&mut set, &temperature(1.0), 0)[0].1);
}

#[test]
fn sources_are_alternatives() {
    let (product, device) = (ProductId::random(), DeviceId::random());
    let mut definition = rule("true");
    definition.sources = Sources {
        topics: vec!["plant/+/t".parse().unwrap(), "plant/#".parse().unwrap()],
        products: vec![product],
        devices: vec![device],
    };
    let mut set = set_of(&[definition, rule("true")]);
    let mut selected = |topic: &str, product, device, tenant| {
        let topic = Topic::new(topic).unwrap();
        set.select(&Origin { tenant, topic: &topic, product, device }).count()
    };
    let mine = TenantId::DEFAULT;
    assert_eq!(selected("other", None, None, mine), 1);
    assert_eq!(selected("plant/1/t", None, None, mine), 2);
    assert_eq!(selected("other", Some(product), None, mine), 2);
    assert_eq!(selected("other", Some(ProductId::random()), Some(device), mine), 2);
    assert_eq!(selected("plant/1/t", Some(product), Some(device), mine), 2);
    assert_eq!(selected("plant/1/t", Some(product), Some(device), TenantId(9)), 0);
}

#[test]
fn rules_come_and_go() {
    let mut first = rule("true");
    let second = rule("count == 7");
    let mut set = set_of(&[first.clone(), second.clone()]);
    assert_eq!(set.len(), 2);
    first.version = 2;
    first.script = "false".into();
    first.name = "changed".into();
    set.compile(&first).unwrap();
    let mut got = answers(&mut set, &temperature(1.0), 0);
    got.sort();
    assert_eq!(got, [("changed".into(), false), ("count == 7".into(), true)]);
    assert_eq!(set.definition(first.id).unwrap().version, 2);
    let broken = RuleDefinition { script: "tru e".into(), ..first.clone() };
    let error = set.compile(&broken).unwrap_err();
    assert_eq!(error.code(), "rule.compile");
    assert!(error.to_string().contains(&first.id.to_string()));
    assert_eq!(set.len(), 2, "the rule that was there stays");
    assert!(set.remove(first.id) && !set.remove(first.id));
    first.enabled = false;
    set.compile(&first).unwrap();
    assert_eq!((set.len(), set.active()), (2, 1));
    assert_eq!(answers(&mut set, &temperature(1.0), 0).len(), 1);
}

#[test]
fn a_message_no_rule_looks_at_costs_no_evaluation() {
    let mut definition = rule("true");
    definition.sources.topics = vec!["x".parse().unwrap()];
    let mut set = set_of(&[definition]);
    let topic = Topic::new("a/b").unwrap();
    let input = Input { topic: "a/b", ..Input::default() };
    let summary = set.evaluate(&origin(&topic), &input, 0, |_| panic!("no rule looks at it"));
    assert_eq!(summary, MessageSummary::default());
}

#[test]
fn effects_of_one_rule_do_not_show_in_another() {
    let mut set =
        set_of(&[rule("raise_alarm(\"a\"); print(1)"), rule("clear_alarm(\"b\")"), rule("false")]);
    let topic = Topic::new("a/b").unwrap();
    let mut effects = Vec::new();
    let input = Input { topic: "a/b", ..Input::default() };
    let summary = set.evaluate(&origin(&topic), &input, 0, |decision| {
        effects.push((decision.evaluation.effects.clone(), decision.evaluation.logs.len()));
    });
    assert_eq!(summary.evaluated, 3);
    assert!(matches!(&effects[0], (list, 1) if matches!(list[..], [Effect::RaiseAlarm { .. }])));
    assert!(matches!(&effects[1], (list, 0) if matches!(list[..], [Effect::ClearAlarm { .. }])));
    assert_eq!(effects[2], (vec![], 0));
}

#[test]
fn a_runaway_rule_is_tripped_and_tried_again() {
    let runaway = rule("while temperature > 30 { }");
    let id = runaway.id;
    let mut set = set_of(&[runaway, rule("true")]);
    let topic = Topic::new("a/b").unwrap();
    let run = |set: &mut RuleSet, celsius: f64, now_ns: u64| {
        let values = temperature(celsius);
        let input = Input { topic: "a/b", values: &values, ..Input::default() };
        let mut trips = 0;
        let summary = set.evaluate(&origin(&topic), &input, now_ns, |decision| {
            trips += u32::from(decision.tripped);
        });
        (summary.evaluated, summary.failed, summary.tripped, trips)
    };
    assert_eq!(run(&mut set, 31.0, 1), (2, 1, 0, 0));
    assert_eq!(run(&mut set, 31.0, 2), (2, 1, 0, 0));
    assert_eq!(run(&mut set, 31.0, 3), (2, 1, 0, 1));
    assert_eq!(run(&mut set, 31.0, 4), (1, 0, 1, 0));
    assert_eq!(set.active(), 1);
    let status = set.statuses().find(|status| status.id == id).unwrap();
    assert!(matches!(status.breaker, BreakerState::Open { cause: TripCause::LimitHits, .. }));
    assert_eq!((status.trips, status.evaluated, status.failed), (1, 3, 3));
    let later = 4 + BreakerLimits::default().cool_down_ms * 1_000_000;
    assert_eq!(run(&mut set, 31.0, later), (2, 1, 0, 1), "tried once, tripped at once");
    assert_eq!(run(&mut set, 20.0, later + 1), (1, 0, 1, 0));
    assert_eq!(run(&mut set, 20.0, 2 * later), (2, 0, 0, 0));
    assert_eq!(set.active(), 2);
}

#[test]
fn a_mended_rule_runs_at_once() {
    let mut definition = rule("loop { }");
    let mut set = set_of(&[definition.clone()]);
    let topic = Topic::new("a/b").unwrap();
    let input = Input { topic: "a/b", ..Input::default() };
    for now_ns in 0..4 {
        set.evaluate(&origin(&topic), &input, now_ns, |_| {});
    }
    assert_eq!(set.active(), 0);
    definition.script = "true".into();
    definition.version = 2;
    set.compile(&definition).unwrap();
    assert_eq!(set.evaluate(&origin(&topic), &input, 5, |_| {}).triggered, 1);
}

#[test]
fn a_rule_of_the_configuration_document_is_read() {
    let id = RuleId::random();
    let definition: RuleDefinition = serde_json::from_value(serde_json::json!({
        "id": id, "tenant": 1, "version": 3, "name": "hot", "enabled": true,
        "trigger_script": "temperature > 30",
        "sources": {"topics": ["plant/#"], "products": [], "devices": []},
        "actions": [{"type": "raise_alarm", "alarm": "hot"}],
    }))
    .unwrap();
    assert_eq!((definition.id, definition.script.as_str()), (id, "temperature > 30"));
    assert_eq!(definition.sources.topics, ["plant/#".parse::<TopicFilter>().unwrap()]);
}

fn level() -> impl Strategy<Value = &'static str> {
    prop_oneof![Just("a"), Just("b"), Just("c"), Just("$s")]
}

fn filters() -> impl Strategy<Value = Vec<TopicFilter>> {
    let level = prop_oneof![3 => level(), 1 => Just("+")];
    let filter = (prop::collection::vec(level, 1..4), any::<bool>()).prop_filter_map(
        "not a filter",
        |(mut levels, hash)| {
            if hash {
                levels.push("#");
            }
            TopicFilter::new(&levels.join("/")).ok()
        },
    );
    prop::collection::vec(filter, 0..3)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(
        std::env::var("FLUX_RULES_CASES").ok().and_then(|n| n.parse().ok()).unwrap_or(64)
    ))]

    #[test]
    fn the_index_agrees_with_looking_at_every_rule(
        rules in prop::collection::vec(
            (filters(), prop::collection::vec(0..3_usize, 0..2), prop::collection::vec(0..3_usize, 0..2),
             1..3_u32, any::<bool>(), any::<bool>()), 0..20),
        topic in prop::collection::vec(level(), 1..4),
        product in prop::option::of(0..3_usize),
        device in prop::option::of(0..3_usize),
        tenant in 1..3_u32,
    ) {
        let products: Vec<ProductId> = (0..3).map(|_| ProductId::random()).collect();
        let devices: Vec<DeviceId> = (0..3).map(|_| DeviceId::random()).collect();
        let topic = Topic::new(&topic.join("/")).unwrap();
        let mut set = set_of(&[]);
        let compiler = Compiler::new(&Limits::default());
        let mut expected = BTreeSet::new();
        for (topics, of_products, of_devices, of_tenant, enabled, removed) in rules {
            let mut definition = rule("true");
            definition.tenant = TenantId(of_tenant);
            definition.enabled = enabled;
            definition.sources = Sources {
                products: of_products.iter().map(|at| products[*at]).collect(),
                devices: of_devices.iter().map(|at| devices[*at]).collect(),
                topics,
            };
            let sources = &definition.sources;
            let wanted = sources.is_everything()
                || sources.topics.iter().any(|filter| filter.matches(topic.as_str()))
                || product.is_some_and(|at| sources.products.contains(&products[at]))
                || device.is_some_and(|at| sources.devices.contains(&devices[at]));
            set.upsert(compiler.compile(&definition).unwrap());
            if removed {
                set.remove(definition.id);
            } else if wanted && enabled && of_tenant == tenant {
                expected.insert(definition.id);
            }
        }
        let origin = Origin {
            tenant: TenantId(tenant),
            topic: &topic,
            product: product.map(|at| products[at]),
            device: device.map(|at| devices[at]),
        };
        let found: Vec<RuleId> = set.select(&origin).map(|rule| rule.id).collect();
        prop_assert_eq!(found.len(), expected.len(), "no rule twice");
        prop_assert_eq!(found.into_iter().collect::<BTreeSet<_>>(), expected);
    }
}
