//! More than can be done: a rule that runs to its limit, shards that lag, rings without room,
//! subscribers that take nothing. Nothing stalls, and nothing acknowledged is left undecided.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

mod plant;

use std::time::{Duration, Instant};

use flux_log::disk::SimDisk;
use flux_pipeline::views::FiringQuery;
use flux_pipeline::{PipelineSettings, Refusal};
use flux_types::{Position, Qos};
use plant::{PATIENCE, Plant, TENANT, counter_id, eventually, log_options, registry};
use serde_json::{Value, json};

const RUNAWAY: &str = "33333333-3333-4333-8333-333333333337";
const EACH: &str = "33333333-3333-4333-8333-333333333338";

fn rule(id: &str, script: &str, device: usize) -> Value {
    json!({"id": id, "tenant": 1, "version": 1, "name": id, "enabled": true,
           "trigger_script": script, "sources": {"devices": [counter_id(device)]}, "actions": []})
}

fn firings(plant: &Plant, rule: &str) -> usize {
    let query = FiringQuery {
        rule: Some(rule.parse().unwrap()),
        limit: usize::MAX,
        ..FiringQuery::default()
    };
    plant.pipeline.views().firings.lock().list(TENANT, &query).len()
}

#[test]
fn runaway_rule_is_tripped_while_sources_wait_and_everything_is_decided() {
    let rules = json!([
        rule(RUNAWAY, "let n = 0; while true { n += 1; } n > 0", 0),
        rule(EACH, "seq > 0", 1)
    ]);
    let settings = PipelineSettings { lag_records_max: 50, ..PipelineSettings::default() };
    let disk = SimDisk::new(1);
    let mut plant = Plant::start(log_options(&disk), settings, &registry(&rules)).unwrap();
    let (mut number, mut paused, mut last) = (0_u64, 0, Position::START);
    let until = Instant::now() + PATIENCE;
    while number < 2_000 {
        assert!(Instant::now() < until, "stalled at {number}");
        let batch = [
            plant.count(0, number + 1, Qos::AtLeastOnce),
            plant.count(1, number + 1, Qos::AtLeastOnce),
        ];
        match plant.ingest.accept(&batch, |_, position| last = position) {
            Ok(()) => number += 1,
            Err(Refusal::Busy) => {
                paused += 1;
                std::thread::sleep(Duration::from_micros(100));
            }
            Err(other) => panic!("{other}"),
        }
        // what was in flight when the limit was met comes on top
        let lag = plant.pipeline.health().lag_records;
        assert!(lag < 50 + 4_000, "{lag}");
    }
    assert!(paused > 0, "sources were never paused");
    assert!(plant.log.wait_committed(last, PATIENCE).unwrap());
    plant.wait_decided();
    eventually("the other rule has fired for each", || {
        (firings(&plant, EACH) == 2_000).then_some(())
    });
    let counted = plant.pipeline.counters().read();
    assert!(counted.rules_failed >= 3, "{counted:?}");
    assert!(counted.rules_passed_over > 0, "its breaker opened: {counted:?}");
    assert_eq!(counted.messages_decided, 4_000);
    assert!(plant.pipeline.health().outbox_alive);
    assert!(plant.stop());
}

#[test]
fn flood_without_promise_through_a_ring_of_one_neither_stalls_nor_reorders() {
    let rules = json!([rule(EACH, "seq > 0", 3)]);
    let settings = PipelineSettings { ring_capacity: 1, ..PipelineSettings::default() };
    let disk = SimDisk::new(2);
    let mut plant = Plant::start(log_options(&disk), settings, &registry(&rules)).unwrap();
    let mut under_way: Option<Position> = None;
    let mut number = 0_u64;
    let until = Instant::now() + PATIENCE;
    while number < 5_000 {
        assert!(Instant::now() < until, "stalled at {number}");
        // as network workers have it: at once only while nothing of the source waits
        let waits = under_way.is_some_and(|position| position > plant.ingest.committed());
        let promised = number.is_multiple_of(50);
        let qos = if promised { Qos::AtLeastOnce } else { Qos::AtMostOnce };
        let mut incoming = plant.count(3, number + 1, qos);
        incoming.at_once = !promised && !waits;
        let goes_at_once = incoming.at_once;
        let mut at = Position::START;
        match plant.ingest.accept(&[incoming], |_, position| at = position) {
            Ok(()) => {
                number += 1;
                if !goes_at_once {
                    under_way = Some(at);
                }
            }
            Err(Refusal::Busy) => drop(plant.log.wait_room(Duration::from_millis(1))),
            Err(other) => panic!("{other}"),
        }
    }
    plant.wait_decided();
    eventually("each has fired", || (firings(&plant, EACH) == 5_000).then_some(()));
    let latest = plant.pipeline.views().latest.device(counter_id(3).parse().unwrap()).unwrap();
    assert_eq!(latest.values["seq"].value.to_json(), json!(5_000));
    assert!(plant.stop());
}
