//! Finding the filters that match a topic, among few and among many.

mod fixture;

use std::hint::black_box;

use criterion::Criterion;
use fixture::{Outcome, TOPIC};
use flux_types::{Topic, TopicFilter, TopicTrie};

fn matching(criterion: &mut Criterion) -> Outcome {
    let mut group = criterion.benchmark_group("topic_trie");
    let topic = Topic::new(TOPIC)?;
    for others in [1, 1_000, 100_000] {
        let mut trie = TopicTrie::new();
        for other in 0..others {
            trie.insert(&TopicFilter::new(&format!("v1/devices/other-{other}/telemetry"))?, other);
        }
        for filter in ["v1/devices/+/telemetry", "v1/#", TOPIC] {
            trie.insert(&TopicFilter::new(filter)?, others);
        }
        group.bench_function(format!("3 of {others} match"), |bencher| {
            bencher.iter(|| {
                let mut found = 0;
                trie.visit(black_box(&topic), |_| found += 1);
                assert_eq!(found, 3);
            });
        });
    }
    group.bench_function("one filter against one topic", |bencher| {
        let filter = TopicFilter::new("v1/devices/+/telemetry");
        bencher.iter(|| filter.as_ref().is_ok_and(|filter| filter.matches(black_box(TOPIC))));
    });
    group.finish();
    Ok(())
}

fn main() {
    fixture::run(&[matching]);
}
