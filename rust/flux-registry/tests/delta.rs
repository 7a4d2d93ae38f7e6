//! Changing step by step.

#![allow(clippy::unwrap_used)] // this is a test, helpers and all

mod site;

use std::collections::BTreeMap;
use std::sync::Arc;

use flux_registry::{
    ApplyError, Changes, Delta, Document, Identity, Limits, Registry, Snapshot, compile_delta,
};
use flux_types::{Coded, ErrorKind, Generation};
use proptest::prelude::*;
use serde_json::{Value, json};
use site::{DEFAULT, Scripts, apply, digest, document, id, places, registry, topic};

#[track_caller]
fn refused(upsert: Value, delete: Value, expected: &[(&str, &str)]) {
    let registry = registry();
    let before = registry.snapshot();
    let error = apply(&registry, upsert, delete).unwrap_err();
    let mut found = places(error.problems());
    found.sort_unstable();
    let mut expected = expected.to_vec();
    expected.sort_unstable();
    assert_eq!(found, expected, "{error:#?}");
    assert!(Arc::ptr_eq(&before, &registry.snapshot()), "nothing changed");
}

#[test]
fn delta_is_put_in_force_and_what_was_held_stays_as_it_was() {
    let registry = registry();
    let held = registry.snapshot();
    let device = json!({"id": id(15), "key": "thermo-3", "product": id(1)});
    let applied =
        apply(&registry, json!({"devices": [device]}), json!({"devices": [id(12)]})).unwrap();
    assert_eq!(applied.snapshot.generation(), Generation(2));
    assert_eq!(registry.current().generation(), Generation(2));
    let known = |snapshot: &Snapshot, key: &str| snapshot.device_by_key(DEFAULT, key).is_some();
    assert!(known(&applied.snapshot, "thermo-3") && !known(&applied.snapshot, "thermo-2"));
    assert!(!known(&held, "thermo-3") && known(&held, "thermo-2"));
    assert_eq!(held.generation(), Generation(1));
}

#[test]
fn delta_from_another_generation_is_a_conflict() {
    let registry = registry();
    let delta = |base, generation| Delta {
        base_generation: Generation(base),
        generation: Generation(generation),
        ..Delta::default()
    };
    for (base, generation, code) in
        [(0, 2, "config.conflict"), (2, 3, "config.conflict"), (1, 1, "config.not_later")]
    {
        let error = registry.apply(delta(base, generation)).unwrap_err();
        assert_eq!((error.code(), error.kind()), (code, ErrorKind::Conflict));
    }
    assert_eq!(registry.apply(delta(1, 7)).unwrap().snapshot.generation(), Generation(7));
    let old = Document { generation: Generation(7), ..Document::initial() };
    assert!(matches!(registry.replace(old), Err(ApplyError::NotLater { .. })));
}

#[test]
fn delta_is_taken_whole_or_not_at_all() {
    let good = json!({"id": id(15), "key": "thermo-3", "product": id(1)});
    let bad = json!({"id": id(16), "key": "thermo-3", "product": id(9)});
    let rule = json!({"id": id(33), "trigger_script": "broken"});
    refused(
        json!({"devices": [good, bad], "rules": [rule]}),
        json!({}),
        &[
            ("device.product_unknown", "/upsert/devices/1/product"),
            ("rule.compile", "/upsert/rules/0/trigger_script"),
        ],
    );
}

#[test]
fn what_others_refer_to_cannot_go_alone() {
    refused(
        json!({}),
        json!({"products": [id(1)]}),
        &[("config.in_use", "/delete/products/0"), ("config.in_use", "/delete/products/0")],
    );
    refused(
        json!({}),
        json!({"devices": [id(12), id(11)]}),
        &[("config.in_use", "/delete/devices/1")],
    );
    refused(json!({}), json!({"tenants": [2]}), &[("config.in_use", "/delete/tenants/0")]);
    let registry = registry();
    let all =
        json!({"tenants": [2], "products": [id(3)], "devices": [id(14)], "principals": [id(22)]});
    let applied = apply(&registry, json!({}), all).unwrap();
    assert_eq!(applied.snapshot.tenant_id("acme"), None);
    assert_eq!(applied.changes.products_removed.len(), 1);
    assert_eq!(applied.changes.removed.len(), 2);
}

#[test]
fn nothing_is_deleted_that_is_not_there_or_given_too() {
    refused(
        json!({}),
        json!({"devices": [id(99)], "rules": [id(99)], "tenants": [9], "principals": [id(99)], "products": [id(99)]}),
        &[
            ("config.nothing_to_delete", "/delete/devices/0"),
            ("config.nothing_to_delete", "/delete/rules/0"),
            ("config.nothing_to_delete", "/delete/tenants/0"),
            ("config.nothing_to_delete", "/delete/principals/0"),
            ("config.nothing_to_delete", "/delete/products/0"),
        ],
    );
    let device = document()["devices"][1].clone();
    refused(
        json!({"devices": [device]}),
        json!({"devices": [id(12)]}),
        &[("config.given_and_deleted", "/delete/devices")],
    );
    refused(
        json!({}),
        json!({"devices": [id(12), id(12)]}),
        &[
            ("config.duplicate_id", "/delete/devices/1"),
            ("config.nothing_to_delete", "/delete/devices/1"),
        ],
    );
}

#[test]
fn entries_do_not_move_to_another_tenant() {
    let mut rule = document()["rules"][1].clone();
    rule["tenant"] = json!(2);
    refused(
        json!({"rules": [rule]}),
        json!({}),
        &[("config.tenant_moved", "/upsert/rules/0/tenant")],
    );
}

#[test]
fn template_that_clashes_is_told_where_it_was_given() {
    let product = json!({"id": id(4), "topic_template": "v1/{device}/{x}/telemetry"});
    refused(
        json!({"products": [product]}),
        json!({}),
        &[("product.template_ambiguous", "/upsert/products/0/topic_template")],
    );
}

#[test]
fn two_devices_may_swap_their_keys() {
    let registry = registry();
    let mut devices = document()["devices"].clone();
    devices[0]["key"] = json!("thermo-2");
    devices[1]["key"] = json!("thermo-1");
    let upsert = json!({"devices": [devices[0], devices[1]]});
    let applied = apply(&registry, upsert, json!({})).unwrap();
    let device = applied.snapshot.device_by_key(DEFAULT, "thermo-1").unwrap();
    assert_eq!(device.id.to_string(), id(12));
}

#[test]
fn wrong_shapes_of_a_delta_are_told_at_once() {
    let text = json!({"base_generation": "x", "upsert": {"devices": [{"id": 1}], "colours": []}, "delete": {"rules": ["x"]}});
    let problems = Delta::from_json(text.to_string().as_bytes()).unwrap_err();
    let pointers: Vec<_> = problems.iter().map(|problem| problem.pointer.as_str()).collect();
    assert_eq!(
        pointers,
        ["/upsert/devices/0/id", "/upsert/colours", "/delete/rules/0", "/base_generation"]
    );
}

#[test]
fn changes_name_what_is_different_and_nothing_else() {
    let registry = registry();
    let site = document();
    let upsert = json!({"devices": site["devices"], "products": site["products"], "rules": site["rules"],
                        "principals": site["principals"], "tenants": site["tenants"], "env": site["env"]});
    let applied = apply(&registry, upsert, json!({})).unwrap();
    let nothing =
        Changes { base_generation: Generation(1), generation: Generation(2), ..Changes::default() };
    assert_eq!(applied.changes, nothing);
    assert!(!applied.changes.rules_differ());

    let mut devices = site["devices"].clone();
    devices[0]["enabled"] = json!(false);
    devices[1]["secret_sha256"] = json!(digest("x"));
    devices[2]["tags"] = json!({});
    let mut account = site["principals"][0].clone();
    account["publish"] = json!([]);
    let mut product = site["products"][1].clone();
    product["metadata"] = json!({"a": 1});
    let upsert = json!({"devices": [devices[0], devices[1], devices[2]], "principals": [account], "products": [product], "env": {}});
    let applied = apply(&registry, upsert, json!({"rules": [id(32)]})).unwrap();
    let device = |n| id(n).parse().unwrap();
    let expected = Changes {
        base_generation: Generation(2),
        generation: Generation(3),
        disabled: vec![Identity::Device(device(11))],
        secret_changed: vec![Identity::Device(device(12))],
        grants_changed: vec![Identity::Account(id(21).parse().unwrap())],
        devices: vec![device(11), device(12), device(13)],
        products: vec![id(2).parse().unwrap()],
        rules_removed: vec![id(32).parse().unwrap()],
        env: true,
        ..Changes::default()
    };
    assert_eq!(applied.changes, expected);
}

#[test]
fn replacing_the_whole_tells_the_same_changes_as_the_delta() {
    let by_delta = registry();
    let product = json!({"id": id(2), "key": "valve", "topic_template": "w/{device}"});
    let device = json!({"id": id(15), "key": "new", "product": id(2)});
    let upsert = json!({"products": [product], "devices": [device]});
    let applied =
        apply(&by_delta, upsert, json!({"devices": [id(12)], "principals": [id(22)]})).unwrap();
    let whole = registry().replace(applied.snapshot.to_document()).unwrap();
    assert_eq!(whole.changes, applied.changes);
    assert_eq!(whole.changes.products_retopiced.len(), 1);
}

/// A small world in which most steps are possible: 3 products, 5 devices, 2 accounts, 3 rules.
#[derive(Debug, Clone)]
enum Step {
    Put(&'static str, u32, Value),
    Delete(&'static str, u32),
}

fn step() -> impl Strategy<Value = Step> {
    let key = |n: u32| format!("k{n}");
    let templates = ["v1/{device}/t", "{x}/{device}/t", "p/{line}/{device}", "v1/{device}/{y}"];
    prop_oneof![
        (1..4_u32, 0..4_usize, any::<bool>()).prop_map(move |(n, t, plain)| {
            let template = templates[t];
            let metadata = if plain { Value::Null } else { json!({"n": n}) };
            Step::Put("products", n, json!({"id": id(n), "key": key(n % 3), "topic_template": template,
                "command_topic_template": "c/{device}", "reply_topic_template": "r/{device}/x/y", "metadata": metadata}))
        }),
        (11..16_u32, 1..4_u32, 0..4_u32, any::<bool>()).prop_map(move |(n, product, k, enabled)| {
            Step::Put("devices", n, json!({"id": id(n), "key": key(k), "product": id(product), "enabled": enabled}))
        }),
        (21..23_u32, 0..5_u32).prop_map(move |(n, k)| {
            Step::Put("principals", n, json!({"id": id(n), "username": key(k), "publish": [format!("a/{k}")]}))
        }),
        (31..34_u32, prop::collection::vec(11..16_u32, 0..2)).prop_map(|(n, devices)| {
            let devices: Vec<String> = devices.into_iter().map(id).collect();
            Step::Put("rules", n, json!({"id": id(n), "trigger_script": "true", "sources": {"devices": devices}}))
        }),
        prop_oneof![
            (1..4_u32).prop_map(|n| Step::Delete("products", n)),
            (11..16_u32).prop_map(|n| Step::Delete("devices", n)),
            (21..23_u32).prop_map(|n| Step::Delete("principals", n)),
            (31..34_u32).prop_map(|n| Step::Delete("rules", n)),
        ],
    ]
}

/// What a document has, by section and id.
type World = BTreeMap<&'static str, BTreeMap<u32, Value>>;

fn deltas(base: u64, steps: &[Step]) -> (Delta, Vec<Step>) {
    let mut last: BTreeMap<(&str, u32), Step> = BTreeMap::new();
    for step in steps {
        let (Step::Put(section, n, _) | Step::Delete(section, n)) = step;
        last.insert((section, *n), step.clone());
    }
    let mut delta =
        json!({"base_generation": base, "generation": base + 1, "upsert": {}, "delete": {}});
    for ((section, n), step) in &last {
        let (part, item) = match step {
            Step::Put(_, _, entry) => ("upsert", entry.clone()),
            Step::Delete(..) => ("delete", json!(id(*n))),
        };
        let list = delta[part].as_object_mut().unwrap().entry(*section).or_insert(json!([]));
        list.as_array_mut().unwrap().push(item);
    }
    (serde_json::from_value(delta).unwrap(), last.into_values().collect())
}

fn whole(world: &World, generation: u64) -> Value {
    let mut document = json!({"generation": generation, "tenants": [{"id": 1, "name": "default"}]});
    for (section, entries) in world {
        document[*section] = entries.values().cloned().collect();
    }
    document
}

/// What can be asked of a snapshot, asked.
fn behaviour(snapshot: &Snapshot) -> Vec<String> {
    let mut told = Vec::new();
    for text in [
        "v1/k0/t", "v1/k1/t", "p/x/k2", "v1/k3/z", "c/k0", "c/k1", "r/k2/x/y", "k0/k1/t", "v1/kx/t",
    ] {
        let topic = topic(text);
        let found = snapshot.resolve(DEFAULT, &topic);
        told.push(format!("{text}: {:?}", found.map(|r| (r.kind, r.device.id, r.product.id))));
    }
    for name in ["k0", "k1", "k2", "k3", "k4"] {
        told.push(format!("{name}: {:?}", snapshot.authenticate(name, b"x").unwrap_err().reason()));
        told.push(format!("{name}: {:?}", snapshot.product_by_key(DEFAULT, name).map(|p| p.id)));
    }
    told
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(
        std::env::var("FLUX_TEST_CASES").ok().and_then(|n| n.parse().ok()).unwrap_or(200)
    ))]
    #[test]
    fn applying_deltas_comes_to_compiling_the_final_document(
        rounds in prop::collection::vec(prop::collection::vec(step(), 1..6), 1..12),
    ) {
        let registry = Registry::new(Arc::new(Scripts), Limits::default());
        let mut world = World::new();
        let mut applied = 0;
        for steps in &rounds {
            let base = registry.snapshot();
            let (delta, steps) = deltas(base.generation().0, steps);
            let mut candidate = world.clone();
            for step in &steps {
                match step {
                    Step::Put(section, n, entry) => drop(candidate.entry(section).or_default().insert(*n, entry.clone())),
                    Step::Delete(section, n) => drop(candidate.entry(section).or_default().remove(n)),
                }
            }
            let fresh = site::compile(&whole(&candidate, base.generation().0 + 1));
            let missing = steps.iter().any(|step| matches!(step, Step::Delete(section, n)
                if !world.get(section).is_some_and(|entries| entries.contains_key(n))));
            match registry.apply(delta.clone()) {
                Ok(made) => {
                    let fresh = fresh.map_err(|problems| TestCaseError::fail(format!("{problems:?}")))?;
                    prop_assert_eq!(made.snapshot.to_document(), fresh.to_document());
                    prop_assert_eq!(behaviour(&made.snapshot), behaviour(&fresh));
                    prop_assert_eq!(&made.changes, &made.snapshot.changes_since(&base));
                    world = candidate;
                    applied += 1;
                }
                Err(_) => {
                    prop_assert!(fresh.is_err() || missing, "refused what holds: {delta:?}");
                    prop_assert!(Arc::ptr_eq(&base, &registry.snapshot()));
                }
            }
        }
        prop_assert_eq!(registry.current().generation(), Generation(applied));
    }
}

#[test]
fn compiling_a_delta_leaves_its_base_alone() {
    let base = site::site();
    let before = base.to_document();
    let delta = json!({"base_generation": 1, "generation": 2, "delete": {"rules": [id(31)]}});
    let delta = Delta::from_json(delta.to_string().as_bytes()).unwrap();
    let next = compile_delta(&base, delta, &Scripts, &Limits::default()).unwrap();
    assert_eq!(next.snapshot.rules().len(), 1);
    assert_eq!(base.to_document(), before);
}
