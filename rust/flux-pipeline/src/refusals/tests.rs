#![allow(clippy::unwrap_used)]

use std::collections::HashSet;

use flux_bus::Doorbell;

use super::*;

const TENANT: TenantId = TenantId::DEFAULT;

fn refusing<'a>(address: &str, topic: &'a str) -> Refusing<'a> {
    Refusing {
        attempt: Attempt::Publish,
        tenant: TENANT,
        source: Some("device:1/c"),
        username: None,
        client_id: Some("c"),
        address: Some(address.parse().unwrap()),
        topic: Some(topic),
        code: "mqtt.not_authorized",
        reason: &"it may not",
    }
}

/// A board with a clock of the test's own.
#[derive(Default)]
struct Desk {
    board: Board,
    hasher: RandomState,
}

impl Desk {
    fn note(&mut self, refusing: &Refusing<'_>, now_ms: i64) -> Option<Refused> {
        let (key, slot) = (refusing.key(&self.hasher), refusing.source_slot(&self.hasher));
        self.board.note(refusing, key, slot, now_ms)
    }

    fn topics(&self) -> HashSet<&str> {
        self.board.entries.iter().filter_map(|entry| entry.refused.topic.as_deref()).collect()
    }
}

#[test]
fn same_refusal_again_is_a_count_whatever_port_it_comes_from() {
    let mut desk = Desk::default();
    let first = desk.note(&refusing("127.0.0.1:1", "a"), 1_000).unwrap();
    assert_eq!((first.count, first.first_ms, first.last_ms), (1, 1_000, 1_000));
    assert_eq!(desk.note(&refusing("127.0.0.1:2", "a"), 1_500), None, "told a moment ago");
    let third = desk.note(&refusing("127.0.0.1:3", "a"), 2_000).unwrap();
    assert_eq!((third.count, third.first_ms, third.last_ms), (3, 1_000, 2_000));
    assert_eq!(third.address.unwrap().port(), 3);
    assert_eq!(desk.board.entries.len(), 1);
}

#[test]
fn whoever_else_wants_something_else_is_another_refusal() {
    let mut desk = Desk::default();
    let base = refusing("127.0.0.1:1", "a");
    let others = [
        base,
        refusing("127.0.0.2:1", "a"),
        refusing("127.0.0.1:1", "b"),
        Refusing { attempt: Attempt::Subscribe, ..base },
        Refusing { tenant: TenantId(2), ..base },
        Refusing { source: Some("device:2/c"), ..base },
        Refusing { code: "mqtt.quota_exceeded", ..base },
    ];
    for other in &others {
        assert!(desk.note(other, 1_000).is_some());
    }
    assert_eq!(desk.board.entries.len(), others.len());
    // what a client makes up anew each time does not make it another
    assert!(desk.note(&Refusing { client_id: Some("d"), ..base }, 1_001).is_none());
}

#[test]
fn board_is_bounded_and_one_source_keeps_to_its_share_of_it() {
    let mut desk = Desk::default();
    let quiet: Vec<String> = (0..REFUSALS_LEN_MAX / 2).map(|n| format!("quiet/{n}")).collect();
    for (n, topic) in quiet.iter().enumerate() {
        let address = format!("10.0.0.{n}:1");
        desk.note(&refusing(&address, topic), n as i64 * 1_000).unwrap();
    }
    for n in 0..10_000_i64 {
        let topic = format!("loud/{n}");
        desk.note(&refusing("10.1.0.1:1", &topic), 1_000_000 + n * 200);
        assert!(desk.board.entries.len() <= REFUSALS_LEN_MAX);
        assert_eq!(desk.board.entries.len(), desk.board.keys.len());
    }
    let topics = desk.topics();
    let loud = topics.iter().filter(|topic| topic.starts_with("loud")).count();
    // the slots of some quiet ones may be the loud one's too
    let drowned = quiet.iter().filter(|topic| !topics.contains(topic.as_str())).count();
    assert!(drowned <= quiet.len() / 8, "{drowned} of {} are gone", quiet.len());
    assert!(loud >= REFUSALS_PER_SOURCE_MAX);
}

#[test]
fn new_ones_beyond_the_rate_are_counted_only_and_known_ones_always() {
    let mut desk = Desk::default();
    let rate = i64::from(NEW_REFUSALS_PER_SOURCE_S_MAX);
    for n in 0..100 {
        desk.note(&refusing("127.0.0.1:1", &format!("t/{n}")), 5_000 + n);
    }
    assert_eq!(desk.board.entries.len() as i64, rate);
    assert_eq!(desk.board.unlisted as i64, 100 - rate);
    desk.note(&refusing("127.0.0.1:1", "t/0"), 5_200);
    assert_eq!(desk.board.entries[0].refused.count, 2);
    assert!(desk.note(&refusing("127.0.0.1:1", "t/99"), 6_000).is_some(), "a new second");
}

#[test]
fn a_clock_set_back_silences_nobody() {
    let mut desk = Desk::default();
    assert!(desk.note(&refusing("127.0.0.1:1", "a"), 1_000_000).is_some());
    assert!(desk.note(&refusing("127.0.0.1:1", "a"), 5).is_some());
    assert!(desk.note(&refusing("127.0.0.1:1", "b"), -5).is_some());
}

#[test]
fn long_texts_are_cut_between_letters() {
    let long = "ä".repeat(100_000);
    let mut desk = Desk::default();
    let base = refusing("127.0.0.1:1", &long);
    let told = desk
        .note(&Refusing { source: Some(&long), username: Some(&long), reason: &long, ..base }, 0)
        .unwrap();
    for text in [told.topic.unwrap(), told.source.unwrap(), told.username.unwrap(), told.reason] {
        assert!(text.len() <= REFUSAL_TEXT_BYTES_MAX && text.ends_with('…'), "{}", text.len());
    }
}

#[test]
fn a_tenant_sees_its_own_and_is_told_live() {
    let live = Live::new(16).unwrap();
    let mut tap = live.tap(TENANT, Some("refused"), Doorbell::new()).unwrap();
    let refusals = Refusals::new(live, Instants::start());
    refusals.note(&refusing("127.0.0.1:1", "a"));
    refusals.note(&refusing("127.0.0.1:1", "b"));
    refusals.note(&refusing("127.0.0.1:1", "a"));
    refusals.note(&Refusing { tenant: TenantId(2), ..refusing("127.0.0.1:1", "c") });
    let listed = refusals.list(TENANT, 10).refused;
    let seen: Vec<_> =
        listed.iter().map(|one| (one.topic.as_deref().unwrap(), one.count)).collect();
    assert_eq!(seen, [("a", 2), ("b", 1)], "the last one first");
    assert_eq!(refusals.list(TENANT, 1).refused.len(), 1);
    let mut told = Vec::new();
    tap.tap.try_recv_batch(&mut told, 16).unwrap();
    assert_eq!(told.len(), 2);
}
