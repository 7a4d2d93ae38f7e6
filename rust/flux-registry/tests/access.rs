//! Who may sign in, publish and subscribe.

#![allow(clippy::unwrap_used)] // this is a test, helpers and all

mod site;

use flux_registry::{DeniedReason, Grants, Identity, Principal, Snapshot, Standing};
use flux_types::{Coded, ErrorKind};
use serde_json::{Value, json};
use site::{DEFAULT, apply, changed, compile, digest, filter, id, registry, site, topic};

fn sign_in(snapshot: &Snapshot, name: &str, secret: &str) -> (Principal, Grants) {
    let principal = snapshot.authenticate(name, secret.as_bytes()).unwrap();
    let grants = snapshot.grants(&principal).unwrap();
    (principal, grants)
}

fn denied(snapshot: &Snapshot, name: &str, secret: &str) -> DeniedReason {
    snapshot.authenticate(name, secret.as_bytes()).unwrap_err().reason()
}

#[test]
fn device_signs_in_by_key_or_id_and_in_its_tenant() {
    let site = site();
    for name in ["thermo-1", "thermo-1@default", &id(11), &format!("{}@default", id(11))] {
        let (principal, _) = sign_in(&site, name, "t1");
        assert_eq!(principal.identity, Identity::Device(id(11).parse().unwrap()), "{name}");
        assert_eq!(principal.source.as_str(), format!("device:{}", id(11)));
        assert_eq!(principal.source_of("any").as_str(), principal.source.as_str());
        assert_eq!(principal.device.unwrap().key.as_str(), "thermo-1");
    }
    let (principal, _) = sign_in(&site, "thermo-1@acme", "acme");
    assert_eq!(principal.identity, Identity::Device(id(14).parse().unwrap()));
    assert_eq!(denied(&site, &id(14), "acme"), DeniedReason::UnknownName);
    assert_eq!(denied(&site, "thermo-1@nowhere", "t1"), DeniedReason::UnknownName);
    assert_eq!(denied(&site, &id(11).replace('-', ""), "t1"), DeniedReason::UnknownName);
}

#[test]
fn name_that_ends_like_a_tenant_needs_its_own_tenant_added() {
    let site = compile(&changed("/devices/0/key", json!("x@acme"))).unwrap();
    assert_eq!(denied(&site, "x@acme", "t1"), DeniedReason::UnknownName);
    sign_in(&site, "x@acme@default", "t1");
    let site = compile(&changed("/devices/0/key", json!("x@y"))).unwrap();
    sign_in(&site, "x@y", "t1");
}

#[test]
fn account_signs_in_by_its_name_and_each_client_is_a_source() {
    let (principal, _) = sign_in(&site(), "dashboard", "d");
    assert_eq!(principal.identity, Identity::Account(id(21).parse().unwrap()));
    assert_eq!(principal.source_of("c1").as_str(), format!("account:{}/c1", id(21)));
    assert!(principal.device.is_none());
}

#[test]
fn everybody_turned_away_gets_the_same_answer() {
    let mut document = changed("/devices/2/enabled", json!(false));
    site::set(&mut document, "/principals/0/enabled", json!(false));
    let site = compile(&document).unwrap();
    let long = "x".repeat(2000);
    let cases = [
        ("nobody", "x", DeniedReason::UnknownName),
        ("", "", DeniedReason::UnknownName),
        ("thermo-2", "", DeniedReason::NoSecret),
        ("thermo-1", "", DeniedReason::WrongSecret),
        ("thermo-1", "T1", DeniedReason::WrongSecret),
        ("thermo-1", &digest("t1"), DeniedReason::WrongSecret),
        ("thermo-1", &long, DeniedReason::WrongSecret),
        ("valve-1", "x", DeniedReason::WrongSecret),
        ("valve-1", "v1", DeniedReason::Disabled),
        ("dashboard", "d", DeniedReason::Disabled),
    ];
    for (name, secret, reason) in cases {
        let error = site.authenticate(name, secret.as_bytes()).unwrap_err();
        assert_eq!(error.reason(), reason, "{name}");
        assert_eq!(error.to_string(), "the user name or the password is wrong");
        assert_eq!((error.code(), error.kind()), ("auth.denied", ErrorKind::Denied));
    }
}

#[test]
fn empty_secret_is_accepted_only_if_it_is_the_secret() {
    let site = compile(&changed("/devices/0/secret_sha256", json!(digest("")))).unwrap();
    sign_in(&site, "thermo-1", "");
    assert_eq!(denied(&site, "thermo-1", &"x".repeat(2000)), DeniedReason::WrongSecret);
}

#[test]
fn a_secret_alone_names_its_device_while_nobody_else_has_it() {
    let registry = registry();
    let of = |token: &str| {
        let found = registry.snapshot().authenticate_token(token.as_bytes());
        found.map(|principal| principal.identity).map_err(|denied| denied.reason())
    };
    let device = |number: u32| Ok(Identity::Device(id(number).parse().unwrap()));
    let nobody = Err(DeniedReason::UnknownName);
    assert_eq!((of("t1"), of("acme")), (device(11), device(14)));
    assert_eq!((of("d"), of(""), of(&"x".repeat(2_000))), (nobody, nobody, nobody), "no device's");
    // another secret, the one before still accepted
    let changing = json!({"devices": [{"id": id(11), "product": id(1), "key": "thermo-1",
        "secret_sha256": digest("new"), "secret_sha256_previous": digest("t1")}]});
    apply(&registry, changing, json!({})).unwrap();
    assert_eq!((of("t1"), of("new")), (device(11), device(11)));
    let changed = json!({"devices": [
        {"id": id(11), "product": id(1), "key": "thermo-1", "secret_sha256": digest("new")},
        {"id": id(12), "product": id(1), "key": "thermo-2", "secret_sha256": digest("new")}]});
    apply(&registry, changed, json!({})).unwrap();
    assert_eq!((of("t1"), of("new")), (nobody, nobody), "two devices have it");
    let disabled = json!({"devices": [{"id": id(12), "product": id(1), "key": "thermo-2",
        "secret_sha256": digest("other"), "enabled": false}]});
    apply(&registry, disabled, json!({})).unwrap();
    assert_eq!((of("new"), of("other")), (device(11), Err(DeniedReason::Disabled)));
    apply(&registry, json!({}), json!({"devices": [id(11), id(12)], "rules": [id(31)]})).unwrap();
    assert_eq!((of("new"), of("other")), (nobody, nobody));
}

#[test]
fn device_speaks_on_its_own_topics_only() {
    let site = site();
    let (_, thermo) = sign_in(&site, "thermo-1", "t1");
    for allowed in ["v1/devices/thermo-1/telemetry", "v1/devices/thermo-1/replies"] {
        assert!(thermo.may_publish(&topic(allowed)), "{allowed}");
    }
    for refused in [
        "v1/devices/thermo-2/telemetry",
        "v1/devices/thermo-1/commands",
        "v1/devices/thermo-1",
        "v1/devices/thermo-1/telemetry/x",
        "plant/3/thermo-1/telemetry",
        "$SYS/x",
        "x",
        "v1/devices//telemetry",
    ] {
        assert!(!thermo.may_publish(&topic(refused)), "{refused}");
    }
    assert!(thermo.may_subscribe(&filter("v1/devices/thermo-1/commands")));
    for refused in [
        "v1/devices/+/commands",
        "v1/devices/#",
        "#",
        "v1/devices/thermo-1/#",
        "v1/devices/thermo-1/+",
        "v1/devices/thermo-2/commands",
        "v1/devices/thermo-1/telemetry",
        "v1/devices/thermo-1/commands/#",
        "$SYS/#",
    ] {
        assert!(!thermo.may_subscribe(&filter(refused)), "{refused}");
    }
    let (_, valve) = sign_in(&site, "valve-1", "v1");
    assert!(valve.may_publish(&topic("plant/any/valve-1/telemetry")));
    assert!(!valve.may_publish(&topic("plant//valve-1/telemetry")));
    assert!(valve.may_subscribe(&filter("plant/+/valve-1/commands")));
    assert!(valve.may_subscribe(&filter("plant/3/valve-1/commands")));
    assert!(!valve.may_subscribe(&filter("plant/+/+/commands")));
}

#[test]
fn account_does_what_its_filters_cover() {
    let site = site();
    let (_, dashboard) = sign_in(&site, "dashboard", "d");
    assert!(dashboard.may_publish(&topic("plant")) && dashboard.may_publish(&topic("plant/a/b")));
    assert!(!dashboard.may_publish(&topic("plants")) && !dashboard.may_publish(&topic("$SYS/a")));
    assert!(dashboard.may_subscribe(&filter("#")) && dashboard.may_subscribe(&filter("a/+/#")));
    assert!(!dashboard.may_subscribe(&filter("$SYS/#")));
    let (_, nodered) = sign_in(&site, "nodered@acme", "n");
    assert!(!nodered.may_publish(&topic("a")));
    assert!(nodered.may_subscribe(&filter("$SYS/#")) && nodered.may_subscribe(&filter("a/+")));
    assert!(!nodered.may_subscribe(&filter("a/#")) && !nodered.may_subscribe(&filter("#")));
}

#[test]
fn anonymous_does_everything_but_what_is_the_servers() {
    let site = site();
    let nobody = site.anonymous();
    assert_eq!((nobody.identity, nobody.tenant), (Identity::Anonymous, DEFAULT));
    assert_eq!(nobody.source_of("c").as_str(), "anonymous/c");
    let grants = site.grants(&nobody).unwrap();
    assert!(grants.may_publish(&topic("a")) && !grants.may_publish(&topic("$SYS/a")));
    assert!(grants.may_subscribe(&filter("#")) && !grants.may_subscribe(&filter("$SYS/#")));
}

#[test]
fn payload_names_whom_its_source_may_publish_for() {
    let site = site();
    let device = |key: &str| {
        let device = site.device_by_key(DEFAULT, key).unwrap();
        (device, site.product(device.product).unwrap())
    };
    let speaks = |grants: &Grants, key: &str| grants.may_speak_for(device(key).0, device(key).1);
    let (_, thermo) = sign_in(&site, "thermo-1", "t1");
    assert!(
        speaks(&thermo, "thermo-1") && !speaks(&thermo, "thermo-2") && !speaks(&thermo, "valve-1")
    );
    let (_, dashboard) = sign_in(&site, "dashboard", "d");
    assert!(speaks(&dashboard, "thermo-2") && speaks(&dashboard, "valve-1"));
    let (_, nodered) = sign_in(&site, "nodered@acme", "n");
    assert!(!speaks(&nodered, "thermo-1"));
    // one line of the plant is not all topics of a device that may be in any
    let one_line = json!(["plant/3/+/telemetry"]);
    let narrow = compile(&changed("/principals/0/publish", one_line)).unwrap();
    let (_, grants) = sign_in(&narrow, "dashboard", "d");
    assert!(!speaks(&grants, "valve-1"));
}

#[track_caller]
fn after(upsert: Value, delete: Value, name: &str, secret: &str) -> (bool, Standing) {
    let registry = registry();
    let (principal, grants) = sign_in(&registry.current(), name, secret);
    let applied = apply(&registry, upsert, delete).unwrap();
    let touched = applied.changes.touches(&principal, &grants);
    (touched, applied.snapshot.standing(&principal))
}

fn device(number: usize, field: &str, value: Value) -> Value {
    let mut device = site::document()["devices"][number].clone();
    device[field] = value;
    json!({"devices": [device]})
}

#[test]
fn connected_device_goes_when_it_is_removed_disabled_or_its_secret_changes() {
    let gone = |(touched, standing): (bool, Standing)| match standing {
        Standing::Gone(reason) => (touched, reason),
        Standing::Stays(_) => panic!("it stays"),
    };
    // a rule names device 11 as a source and goes with it
    let delete = json!({"devices": [id(11)], "rules": [id(31)]});
    assert_eq!(gone(after(json!({}), delete, "thermo-1", "t1")), (true, DeniedReason::Removed));
    let disable = device(0, "enabled", json!(false));
    assert_eq!(gone(after(disable, json!({}), "thermo-1", "t1")), (true, DeniedReason::Disabled));
    let secret = device(0, "secret_sha256", json!(digest("new")));
    assert_eq!(gone(after(secret, json!({}), "thermo-1", "t1")), (true, DeniedReason::WrongSecret));
    let none = device(0, "secret_sha256", Value::Null);
    assert_eq!(gone(after(none, json!({}), "thermo-1", "t1")), (true, DeniedReason::WrongSecret));
    let delete = json!({"principals": [id(21)]});
    assert_eq!(gone(after(json!({}), delete, "dashboard", "d")), (true, DeniedReason::Removed));
}

#[test]
fn connected_device_stays_while_its_secret_is_the_previous_one() {
    let mut upsert = device(0, "secret_sha256", json!(digest("new")));
    upsert["devices"][0]["secret_sha256_previous"] = json!(digest("t1"));
    let registry = registry();
    let (principal, _) = sign_in(&registry.current(), "thermo-1", "t1");
    let applied = apply(&registry, upsert, json!({})).unwrap();
    assert_eq!(applied.changes.secret_changed, [principal.identity]);
    assert!(matches!(applied.snapshot.standing(&principal), Standing::Stays(_)));
    for secret in ["new", "t1"] {
        sign_in(&applied.snapshot, "thermo-1", secret);
    }
    let upsert = device(0, "secret_sha256", json!(digest("new")));
    let applied = apply(&registry, upsert, json!({})).unwrap();
    assert!(matches!(
        applied.snapshot.standing(&principal),
        Standing::Gone(DeniedReason::WrongSecret)
    ));
}

#[test]
fn grants_follow_key_product_and_templates() {
    let stays = |(touched, standing): (bool, Standing)| match standing {
        Standing::Stays(grants) => (touched, grants),
        Standing::Gone(reason) => panic!("{reason}"),
    };
    let (touched, grants) =
        stays(after(device(0, "key", json!("new")), json!({}), "thermo-1", "t1"));
    assert!(touched && grants.may_publish(&topic("v1/devices/new/telemetry")));
    assert!(!grants.may_publish(&topic("v1/devices/thermo-1/telemetry")));

    let (touched, grants) =
        stays(after(device(0, "product", json!(id(2))), json!({}), "thermo-1", "t1"));
    assert!(touched && grants.may_publish(&topic("plant/3/thermo-1/telemetry")));

    let mut product = site::document()["products"][0].clone();
    product["topic_template"] = json!("t/{device}");
    let upsert = json!({"products": [product]});
    let (touched, grants) = stays(after(upsert.clone(), json!({}), "thermo-1", "t1"));
    assert!(touched && grants.may_publish(&topic("t/thermo-1")));
    assert_eq!(grants.generation().0, 2);
    let (touched, _) = stays(after(upsert, json!({}), "valve-1", "v1"));
    assert!(!touched, "another product's device is left alone");

    let (touched, _) =
        stays(after(device(0, "tags", json!({"a": "b"})), json!({}), "thermo-1", "t1"));
    assert!(!touched, "a label is no grant");
}
