//! Questions: ranges, buckets, last values, their limits and cursors.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

mod support;

use std::collections::BTreeMap;

use flux_log::disk::SimDisk;
use flux_tsdb::{
    AggregateQuery, Aggregation, Bucket, Cursor, Fill, Order, RangeQuery, Sample, SeriesId, Store,
    TsdbError,
};
use flux_types::{Coded, ErrorKind, Value};
use proptest::prelude::*;
use support::{TENANT, at, device, put, sample, series, small};

fn store() -> Store {
    Store::open(small(&SimDisk::new(1))).unwrap()
}

/// A store with `count` samples of two devices, part in blocks and part in heads.
fn filled(count: u64) -> (Store, SeriesId, SeriesId) {
    let store = store();
    let mut writer = store.writer();
    for i in 0..count {
        let (ts, value) = (i as i64 * 10, Value::I64(i as i64));
        writer.append(&sample(1, ts, &[("t", value.clone())]), at(2 * i + 1)).unwrap();
        writer.append(&sample(2, ts + 5, &[("t", value)]), at(2 * i + 2)).unwrap();
        if i % 7 == 0 {
            writer.applied(at(2 * i + 2));
            store.flush().unwrap();
        }
    }
    let (one, two) = (series(&store, 1, "t"), series(&store, 2, "t"));
    (store, one, two)
}

fn times(samples: &[Sample]) -> Vec<i64> {
    samples.iter().map(|sample| sample.ts_ns).collect()
}

#[test]
fn range_begins_at_from_and_ends_before_to() {
    let (store, one, _) = filled(30);
    let page = store.range(&RangeQuery::of(one, 100, 130)).unwrap();
    assert_eq!(times(&page.series[0].samples), [100, 110, 120]);
    assert_eq!((page.next, page.damaged_chunks), (None, 0));
    let newest_first = RangeQuery { order: Order::Descending, ..RangeQuery::of(one, 95, 131) };
    let page = store.range(&newest_first).unwrap();
    assert_eq!(times(&page.series[0].samples), [130, 120, 110, 100]);
    assert!(store.range(&RangeQuery::of(one, 100, 100)).unwrap().series[0].samples.is_empty());
    let all = store.range(&RangeQuery::of(one, i64::MIN, i64::MAX)).unwrap();
    assert_eq!(all.series[0].samples.len(), 30);
}

#[test]
fn pages_of_any_size_in_either_order_make_up_the_whole() {
    let (store, one, two) = filled(23);
    for order in [Order::Ascending, Order::Descending] {
        let whole = RangeQuery { series: vec![one, two], order, ..RangeQuery::of(one, 10, 200) };
        let expected = store.range(&whole).unwrap();
        for limit in 1..60 {
            let mut found: BTreeMap<SeriesId, Vec<Sample>> = BTreeMap::new();
            let mut after = None;
            loop {
                let query = RangeQuery { limit, after, ..whole.clone() };
                let page = store.range(&query).unwrap();
                let count: usize = page.series.iter().map(|s| s.samples.len()).sum();
                assert!(count <= limit);
                for part in page.series {
                    found.entry(part.series).or_default().extend(part.samples);
                }
                // as it travels
                after = page.next.map(|cursor| cursor.to_string().parse().unwrap());
                if after.is_none() {
                    break;
                }
                assert_eq!(count, limit, "a page that goes on is full");
            }
            for part in &expected.series {
                assert_eq!(found[&part.series], part.samples, "{order:?} {limit}");
            }
        }
    }
}

#[test]
fn answers_are_never_longer_than_points_max() {
    let mut options = small(&SimDisk::new(1));
    options.query.points_max = 10;
    options.query.series_max = 2;
    let store = Store::open(options).unwrap();
    let mut writer = store.writer();
    (0..25).for_each(|i| put(&mut writer, i, i as u64, 0.0));
    let one = series(&store, 1, "t");
    let page = store.range(&RangeQuery::of(one, 0, 100)).unwrap();
    assert_eq!(page.series[0].samples.len(), 10);
    assert_eq!(page.next, Some(Cursor { series: 0, ts_ns: 10 }));
    let page = store.aggregate(&AggregateQuery { step_ns: 1, ..buckets(one, 0, 100) }).unwrap();
    assert_eq!(page.series[0].buckets.len(), 10);
    let three = RangeQuery { series: vec![one; 3], ..RangeQuery::of(one, 0, 100) };
    let error = store.range(&three).unwrap_err();
    assert_eq!((error.code(), error.kind()), ("series.query", ErrorKind::Invalid));
    assert_eq!(error.to_string(), "series: 3 were named, at most 2 may be");
}

fn buckets(series: SeriesId, from_ns: i64, to_ns: i64) -> AggregateQuery {
    AggregateQuery {
        series: vec![series],
        from_ns,
        to_ns,
        step_ns: 10,
        aggregations: Aggregation::ALL.to_vec(),
        fill: Fill::Skip,
        limit: usize::MAX,
        after: None,
    }
}

#[test]
fn questions_that_make_no_sense_are_refused_with_their_place() {
    let (store, one, _) = filled(3);
    let range = |change: fn(&mut RangeQuery)| {
        let mut query = RangeQuery::of(one, 0, 100);
        change(&mut query);
        store.range(&query).unwrap_err().to_string()
    };
    assert_eq!(range(|q| q.series.clear()), "series: none was named");
    assert_eq!(range(|q| q.to_ns = -1), "from: is after `to`");
    assert_eq!(range(|q| q.limit = 0), "limit: must be at least 1");
    let elsewhere = "after: belongs to another query";
    assert_eq!(range(|q| q.after = Some(Cursor { series: 1, ts_ns: 5 })), elsewhere);
    assert_eq!(range(|q| q.after = Some(Cursor { series: 0, ts_ns: 100 })), elsewhere);
    let aggregate = |change: fn(&mut AggregateQuery)| {
        let mut query = buckets(one, 0, 100);
        change(&mut query);
        store.aggregate(&query).unwrap_err().to_string()
    };
    assert_eq!(aggregate(|q| q.step_ns = 0), "step: must be at least a nanosecond");
    assert_eq!(aggregate(|q| q.aggregations.clear()), "agg: none was named");
    assert_eq!(aggregate(|q| q.from_ns = 101), "from: is after `to`");
    store.delete_device(TENANT, device(1), at(100)).unwrap();
    for error in [
        store.last(one).unwrap_err(),
        store.range(&RangeQuery::of(one, 0, 1)).unwrap_err(),
        store.aggregate(&buckets(one, 0, 1)).unwrap_err(),
    ] {
        assert_eq!((error.code(), error.kind()), ("series.unknown", ErrorKind::NotFound));
    }
}

#[test]
fn buckets_tell_all_that_was_asked_for() {
    let store = store();
    let mut writer = store.writer();
    let values = [
        (0, Value::F64(2.0)),
        (3, Value::I64(4)),
        (9, Value::from("out of order")),
        (10, Value::Bool(true)),
        (11, Value::Bool(false)),
        (35, Value::from("only words")),
    ];
    for (i, (ts, value)) in values.into_iter().enumerate() {
        writer.append(&sample(1, ts, &[("v", value)]), at(i as u64 + 1)).unwrap();
    }
    let v = series(&store, 1, "v");
    let page = store.aggregate(&buckets(v, 0, 40)).unwrap();
    let number = |n: f64| Some(Value::F64(n));
    let told = |start_ns, values: [Option<Value>; 7]| Bucket { start_ns, values: values.to_vec() };
    let word = |text: &str| Some(Value::from(text));
    let count = |n: i64| Some(Value::I64(n));
    assert_eq!(
        page.series[0].buckets,
        [
            told(
                0,
                [
                    number(2.0),
                    number(4.0),
                    number(3.0),
                    number(6.0),
                    count(3),
                    number(2.0),
                    word("out of order")
                ]
            ),
            told(
                10,
                [
                    number(0.0),
                    number(1.0),
                    number(0.5),
                    number(1.0),
                    count(2),
                    Some(Value::Bool(true)),
                    Some(Value::Bool(false))
                ]
            ),
            told(30, [None, None, None, None, count(1), word("only words"), word("only words")]),
        ]
    );
}

#[test]
fn buckets_are_aligned_to_the_step_and_cut_by_the_range() {
    let (store, one, _) = filled(30);
    let query = AggregateQuery {
        step_ns: 60,
        aggregations: vec![Aggregation::Count],
        ..buckets(one, 55, 185)
    };
    let page = store.aggregate(&query).unwrap();
    let told: Vec<(i64, i64)> = page.series[0]
        .buckets
        .iter()
        .map(|bucket| match bucket.values[0] {
            Some(Value::I64(count)) => (bucket.start_ns, count),
            ref other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(told, [(60, 6), (120, 6), (180, 1)]);
}

#[test]
fn empty_buckets_are_left_out_or_told() {
    let store = store();
    let mut writer = store.writer();
    put(&mut writer, 25, 1, 1.0);
    put(&mut writer, -15, 2, 2.0);
    let one = series(&store, 1, "t");
    let starts = |fill, from, to| -> Vec<i64> {
        let page = store.aggregate(&AggregateQuery { fill, ..buckets(one, from, to) }).unwrap();
        page.series[0].buckets.iter().map(|bucket| bucket.start_ns).collect()
    };
    assert_eq!(starts(Fill::Skip, -100, 100), [-20, 20]);
    assert_eq!(starts(Fill::Null, -21, 41), [-30, -20, -10, 0, 10, 20, 30, 40]);
    assert_eq!(starts(Fill::Null, 50, 50), [0; 0]);
    let page =
        store.aggregate(&AggregateQuery { fill: Fill::Null, ..buckets(one, 0, 10) }).unwrap();
    let nothing = vec![None, None, None, None, Some(Value::I64(0)), None, None];
    assert_eq!(page.series[0].buckets, [Bucket { start_ns: 0, values: nothing }]);
    // all of time in tiny buckets is a question, too
    let all_of_time =
        AggregateQuery { step_ns: 1, fill: Fill::Null, ..buckets(one, i64::MIN, i64::MAX) };
    let page = store.aggregate(&AggregateQuery { limit: 5, ..all_of_time }).unwrap();
    assert_eq!(page.series[0].buckets.len(), 5);
    let huge =
        AggregateQuery { step_ns: 1 << 60, fill: Fill::Null, ..buckets(one, i64::MIN, i64::MAX) };
    let found = store.aggregate(&huge).unwrap().series.remove(0).buckets;
    let counted: i64 = found
        .iter()
        .map(|bucket| match bucket.values[4] {
            Some(Value::I64(count)) => count,
            ref other => panic!("{other:?}"),
        })
        .sum();
    assert_eq!((found.len(), counted), (16, 2));
    let one_bucket = AggregateQuery { step_ns: i64::MAX, ..buckets(one, i64::MIN, i64::MAX) };
    assert_eq!(store.aggregate(&one_bucket).unwrap().series[0].buckets.len(), 2);
}

#[test]
fn pages_of_buckets_make_up_the_whole() {
    let (store, one, two) = filled(40);
    for fill in [Fill::Skip, Fill::Null] {
        let series = vec![one, two];
        let whole = AggregateQuery { series, step_ns: 25, fill, ..buckets(one, 33, 333) };
        let expected = store.aggregate(&whole).unwrap();
        assert_eq!(expected.next, None);
        for limit in 1..30 {
            let mut found: BTreeMap<SeriesId, Vec<Bucket>> = BTreeMap::new();
            let mut after = None;
            loop {
                let page =
                    store.aggregate(&AggregateQuery { limit, after, ..whole.clone() }).unwrap();
                for part in page.series {
                    found.entry(part.series).or_default().extend(part.buckets);
                }
                after = page.next;
                if after.is_none() {
                    break;
                }
            }
            for part in &expected.series {
                assert_eq!(found[&part.series], part.buckets, "{fill:?} {limit}");
            }
        }
    }
}

#[test]
fn scanning_ends_a_page_and_refuses_what_would_never_end() {
    let mut options = small(&SimDisk::new(1));
    options.query.scan_points_max = 9000;
    let store = Store::open(options).unwrap();
    let mut writer = store.writer();
    (0..20_000).for_each(|i| put(&mut writer, i, i as u64, 1.0));
    let one = series(&store, 1, "t");
    let query = AggregateQuery {
        step_ns: 500,
        aggregations: vec![Aggregation::Count],
        ..buckets(one, 0, 20_000)
    };
    let (mut counted, mut pages, mut after) = (0, 0, None);
    loop {
        let page = store.aggregate(&AggregateQuery { after, ..query.clone() }).unwrap();
        counted += page.series[0].buckets.len();
        (pages, after) = (pages + 1, page.next);
        if after.is_none() {
            break;
        }
    }
    assert_eq!(counted, 40);
    assert!(pages > 1, "{pages}");
    let error = store.aggregate(&AggregateQuery { step_ns: 20_000, ..query }).unwrap_err();
    assert!(matches!(error, TsdbError::TooMuchToScan { scan_points_max: 9000 }), "{error}");
}

#[test]
fn last_value_is_known_from_memory_and_found_after_opening() {
    let disk = SimDisk::new(1);
    let store = Store::open(small(&disk)).unwrap();
    let mut writer = store.writer();
    put(&mut writer, 50, 1, 5.0);
    put(&mut writer, 20, 2, 2.0);
    writer.applied(at(2));
    store.flush().unwrap();
    put(&mut writer, 30, 3, 3.0);
    writer.applied(at(3));
    store.flush().unwrap();
    let one = series(&store, 1, "t");
    let expected = Some(Sample { ts_ns: 50, value: Value::F64(5.0) });
    assert_eq!(store.last(one).unwrap(), expected);
    assert_eq!(store.stats().scanned_points, 0, "no block was read");
    drop((writer, store));

    let store = Store::open(small(&disk)).unwrap();
    let mut writer = store.writer();
    let one = series(&store, 1, "t");
    put(&mut writer, 40, 4, 4.0);
    assert_eq!(store.last(one).unwrap(), expected, "late points do not hide what is on disk");
    let scanned = store.stats().scanned_points;
    assert_eq!(store.last(one).unwrap(), expected);
    assert_eq!(store.stats().scanned_points, scanned, "it is looked for once");
    put(&mut writer, 60, 5, 6.0);
    assert_eq!(store.last(one).unwrap().unwrap().value, Value::F64(6.0));
}

#[test]
fn device_lists_its_series_by_name() {
    let store = store();
    let mut writer = store.writer();
    let values = [("t", Value::Bool(true)), ("h", Value::Bool(true)), ("a", Value::Bool(true))];
    writer.append(&sample(1, 1, &values), at(1)).unwrap();
    let names: Vec<String> =
        store.series_of(TENANT, device(1)).into_iter().map(|info| info.name.to_string()).collect();
    assert_eq!(names, ["a", "h", "t"]);
    assert!(store.series_of(TENANT, device(2)).is_empty());
}

/// What a run of appends, flushes and merges comes to, told the plain way.
#[derive(Debug, Clone)]
enum Step {
    Put { ts: i64, value: i64 },
    Flush,
    Merge,
    Reopen,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let put = (-40_i64..40, any::<i64>()).prop_map(|(ts, value)| Step::Put { ts, value });
    let step = prop_oneof![
        12 => put,
        2 => Just(Step::Flush),
        1 => Just(Step::Merge),
        1 => Just(Step::Reopen),
    ];
    prop::collection::vec(step, 0..120)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn answers_agree_with_a_map(
        steps in steps(), from in -50_i64..50, len in 0_i64..80, step_ns in 1_i64..30,
    ) {
        let disk = SimDisk::new(1);
        let mut store = Store::open(small(&disk)).unwrap();
        let mut writer = store.writer();
        let mut model = BTreeMap::new();
        for (i, step) in steps.iter().enumerate() {
            let position = at(i as u64 + 1);
            match step {
                Step::Put { ts, value } => {
                    let told = sample(1, *ts, &[("t", Value::I64(*value))]);
                    writer.append(&told, position).unwrap();
                    model.insert(*ts, *value);
                }
                Step::Flush => {
                    store.flush().unwrap();
                }
                Step::Merge => {
                    store.merge().unwrap();
                }
                Step::Reopen => {
                    store.close().unwrap();
                    drop((writer, store));
                    store = Store::open(small(&disk)).unwrap();
                    writer = store.writer();
                }
            }
            writer.applied(position);
        }
        let Some(one) = store.find(TENANT, device(1), "t") else { return Ok(()) };
        let to = from + len;
        for order in [Order::Ascending, Order::Descending] {
            let found: Vec<(i64, Value)> = store.samples(one, from, to, order).unwrap()
                .map(|s| s.map(|s| (s.ts_ns, s.value)).unwrap()).collect();
            let mut expected: Vec<(i64, Value)> =
                model.range(from..to).map(|(ts, v)| (*ts, Value::I64(*v))).collect();
            if order == Order::Descending {
                expected.reverse();
            }
            prop_assert_eq!(found, expected);
        }
        let mut expected: BTreeMap<i64, Vec<i64>> = BTreeMap::new();
        for (ts, value) in model.range(from..to) {
            expected.entry(ts.div_euclid(step_ns) * step_ns).or_default().push(*value);
        }
        let query = AggregateQuery {
            step_ns,
            aggregations: vec![
                Aggregation::Count, Aggregation::First, Aggregation::Last, Aggregation::Max,
            ],
            ..buckets(one, from, to)
        };
        let found = store.aggregate(&query).unwrap();
        let found: Vec<(i64, Vec<Option<Value>>)> =
            found.series[0].buckets.iter().map(|b| (b.start_ns, b.values.clone())).collect();
        let whole = |v: Option<&i64>| v.map(|v| Value::I64(*v));
        let expected: Vec<_> = expected.iter().map(|(start, values)| {
            let max = values.iter().map(|v| *v as f64).fold(f64::NEG_INFINITY, f64::max);
            let told = vec![
                Some(Value::I64(values.len() as i64)), whole(values.first()), whole(values.last()),
                Some(Value::F64(max)),
            ];
            (*start, told)
        }).collect();
        prop_assert_eq!(found, expected);
        let last = store.last(one).unwrap().map(|s| (s.ts_ns, s.value));
        prop_assert_eq!(last, model.last_key_value().map(|(ts, v)| (*ts, Value::I64(*v))));
    }
}
