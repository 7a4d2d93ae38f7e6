//! History, as people ask for it: samples of a device, or buckets of them.

use flux_tsdb::{
    AggregateQuery, Aggregation, Cursor, Fill, Order, RangeQuery, Sample, SeriesId, Store,
};
use flux_types::{DeviceId, TenantId, Value};
use serde_json::{Value as Json, json};

use crate::engine::Engine;
use crate::error::EngineError;

const NS_PER_MS: i64 = 1_000_000;

/// What is asked of a device's history. Times are milliseconds since 1970.
#[derive(Debug, Clone, Default)]
pub struct TelemetryQuery {
    /// Values of these names; of all when there are none.
    pub names: Vec<String>,
    /// From this time on.
    pub from_ms: i64,
    /// Before this time.
    pub to_ms: i64,
    /// Length of a bucket; none: samples as they are.
    pub step_ms: Option<i64>,
    /// What is told of each bucket: `min`, `max`, `avg`, `sum`, `count`, `first`, `last`; `avg` when
    /// there is none.
    pub aggregations: Vec<String>,
    /// Tell of buckets without samples too.
    pub fill: bool,
    /// Newest first; of samples only.
    pub descending: bool,
    /// At most so many samples or buckets.
    pub limit: usize,
    /// Where an earlier answer to the same question ended.
    pub after: Option<String>,
}

/// A value's name and its series.
type Named = (String, SeriesId);

impl Engine {
    /// A device's samples or buckets, by name of value; and where the answer goes on.
    ///
    /// # Errors
    /// There is no such device, the question is none, or the engine does not run.
    pub fn telemetry(
        &self,
        tenant: TenantId,
        device: &str,
        query: &TelemetryQuery,
    ) -> Result<Json, EngineError> {
        let store = &self.running()?.series;
        let id = self.device_id(tenant, device)?;
        let named = named(store, tenant, id, &query.names);
        if named.is_empty() {
            return Ok(json!({"series": [], "next": null, "damaged_chunks": 0}));
        }
        let after = query.after.as_deref().map(str::parse::<Cursor>).transpose()?;
        match query.step_ms {
            None => samples(store, &named, query, after),
            Some(step_ms) => buckets(store, &named, query, step_ms, after),
        }
    }

    /// The names of the values a device has a history of.
    ///
    /// # Errors
    /// There is no such device, or the engine does not run.
    pub fn telemetry_names(&self, tenant: TenantId, device: &str) -> Result<Json, EngineError> {
        let store = &self.running()?.series;
        let id = self.device_id(tenant, device)?;
        Ok(named(store, tenant, id, &[]).into_iter().map(|(name, _)| name).collect())
    }
}

fn named(store: &Store, tenant: TenantId, device: DeviceId, names: &[String]) -> Vec<Named> {
    if names.is_empty() {
        let all = store.series_of(tenant, device).into_iter();
        return all.map(|info| (info.name.to_string(), info.id)).collect();
    }
    let find = |name: &String| Some((name.clone(), store.find(tenant, device, name)?));
    names.iter().filter_map(find).collect()
}

fn ns(ms: i64) -> i64 {
    ms.saturating_mul(NS_PER_MS)
}

fn ids(named: &[Named]) -> Vec<SeriesId> {
    named.iter().map(|(_, id)| *id).collect()
}

fn name_of(named: &[Named], id: SeriesId) -> &str {
    named.iter().find(|(_, known)| *known == id).map_or("", |(name, _)| name)
}

fn samples(
    store: &Store,
    named: &[Named],
    query: &TelemetryQuery,
    after: Option<Cursor>,
) -> Result<Json, EngineError> {
    let page = store.range(&RangeQuery {
        series: ids(named),
        from_ns: ns(query.from_ms),
        to_ns: ns(query.to_ms),
        order: if query.descending { Order::Descending } else { Order::Ascending },
        limit: query.limit,
        after,
    })?;
    let point = |sample: &Sample| json!([sample.ts_ns / NS_PER_MS, sample.value.to_json()]);
    let series = page.series.iter().map(|of| {
        let points: Vec<Json> = of.samples.iter().map(point).collect();
        json!({"name": name_of(named, of.series), "points": points})
    });
    Ok(answer(series.collect(), page.next, page.damaged_chunks))
}

fn buckets(
    store: &Store,
    named: &[Named],
    query: &TelemetryQuery,
    step_ms: i64,
    after: Option<Cursor>,
) -> Result<Json, EngineError> {
    let words = query.aggregations.iter().map(|word| word.parse());
    let mut aggregations = words.collect::<Result<Vec<Aggregation>, _>>()?;
    if aggregations.is_empty() {
        aggregations.push(Aggregation::Avg);
    }
    let page = store.aggregate(&AggregateQuery {
        series: ids(named),
        from_ns: ns(query.from_ms),
        to_ns: ns(query.to_ms),
        step_ns: ns(step_ms),
        aggregations,
        fill: if query.fill { Fill::Null } else { Fill::Skip },
        limit: query.limit,
        after,
    })?;
    let value = |value: &Option<Value>| value.as_ref().map_or(Json::Null, Value::to_json);
    let series = page.series.iter().map(|of| {
        let points = of.buckets.iter().map(|bucket| {
            let start = Json::from(bucket.start_ns / NS_PER_MS);
            Json::from_iter(std::iter::once(start).chain(bucket.values.iter().map(value)))
        });
        json!({"name": name_of(named, of.series), "points": points.collect::<Vec<Json>>()})
    });
    Ok(answer(series.collect(), page.next, page.damaged_chunks))
}

fn answer(series: Vec<Json>, next: Option<Cursor>, damaged_chunks: u64) -> Json {
    let next = next.map(|cursor| cursor.to_string());
    json!({"series": series, "next": next, "damaged_chunks": damaged_chunks})
}
