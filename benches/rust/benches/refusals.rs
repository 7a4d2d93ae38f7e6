//! What noting a refusal costs whoever refuses: on a full board, one it knows and ones it does not.

mod fixture;

use std::hint::black_box;

use criterion::Criterion;
use fixture::{Outcome, TOPIC};
use flux_pipeline::refusals::{Attempt, REFUSALS_LEN_MAX, Refusing};
use flux_pipeline::{Live, Refusals};
use flux_types::{Instants, TenantId};

fn refusing<'a>(source: &'a str, topic: &'a str) -> Refusing<'a> {
    Refusing {
        attempt: Attempt::Publish,
        tenant: TenantId::DEFAULT,
        source: Some(source),
        username: None,
        client_id: Some("client"),
        address: None,
        topic: Some(topic),
        code: "publish.not_authorized",
        reason: &"it may not publish there",
    }
}

fn noting(criterion: &mut Criterion) -> Outcome {
    let mut group = criterion.benchmark_group("refusals");
    let refusals = Refusals::new(Live::new(1024)?, Instants::start());
    for other in 0..REFUSALS_LEN_MAX * 4 {
        refusals.note(&refusing(&format!("device:{other}/client"), TOPIC));
    }
    group.bench_function("the same again", |bencher| {
        refusals.note(&refusing("device:x/client", TOPIC));
        bencher.iter(|| refusals.note(black_box(&refusing("device:x/client", TOPIC))));
    });
    group.bench_function("always another, from one source", |bencher| {
        let topics: Vec<String> = (0..100_000).map(|n| format!("{TOPIC}/{n}")).collect();
        let mut topics = topics.iter().cycle();
        bencher.iter(|| {
            let topic = topics.next().map_or(TOPIC, String::as_str);
            refusals.note(black_box(&refusing("device:y/client", topic)));
        });
    });
    group.finish();
    Ok(())
}

fn main() {
    fixture::run(&[noting]);
}
