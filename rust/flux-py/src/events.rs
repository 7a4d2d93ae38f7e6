//! Live events for Python: taken in batches, converted when they are looked at.

use std::os::fd::RawFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use flux_bus::TapStats;
use flux_engine::{Engine, live_event};
use flux_pipeline::{LiveEvent, LiveTap};
use flux_registry::Registry;
use flux_types::TenantId;
use pyo3::exceptions::PyIndexError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};

use crate::convert::to_python;
use crate::door::{Native, guarded};
use crate::failure::{invalid, raised};
use crate::feed::{Feed, bell};

/// The kind of a presence event, as people call it.
const PRESENCE: (&str, &str) = ("presence", "device_status");

fn shown(kind: &'static str) -> &'static str {
    if kind == PRESENCE.0 { PRESENCE.1 } else { kind }
}

/// The engine's names of these kinds.
fn kinds(py: Python<'_>, names: &[String]) -> PyResult<Vec<&'static str>> {
    let mut kinds = Vec::new();
    for name in names {
        let Some(kind) = LiveEvent::KINDS.into_iter().find(|kind| shown(kind) == name) else {
            let message = format!("there are no events of the kind {name:?}");
            let hint = format!("the kinds are {}", LiveEvent::KINDS.map(shown).join(", "));
            return Err(invalid(py, "engine.event_kind", &message, Some(&hint)));
        };
        if !kinds.contains(&kind) {
            kinds.push(kind);
        }
    }
    Ok(kinds)
}

struct Stream {
    /// A ring for each kind that is wanted, so that none crowds out another; or one for all.
    feed: Feed<LiveEvent, LiveTap>,
    registry: Arc<Registry>,
}

/// Live events of one tenant. Bounded: what is not read in time is dropped, oldest first, and
/// counted.
#[pyclass(frozen, module = "fluxhybrid._native")]
pub(crate) struct EventStream(Native<Stream>);

impl EventStream {
    pub(crate) fn open(
        py: Python<'_>,
        engine: &Engine,
        tenant: u32,
        wanted: Option<Vec<String>>,
    ) -> PyResult<Self> {
        let (bell, wake) = bell();
        let open = |kind| {
            let tap = engine.tap(TenantId(tenant), kind, bell.clone());
            tap.map_err(|error| raised(py, &error))
        };
        let taps: PyResult<Vec<_>> = match wanted {
            None => open(None).map(|tap| vec![tap]),
            Some(names) => kinds(py, &names)?.into_iter().map(|kind| open(Some(kind))).collect(),
        };
        let feed = Feed::new(taps?, bell, wake);
        let registry = Arc::clone(engine.registry());
        Ok(Self(Native::new(Stream { feed, registry })))
    }
}

impl Stream {
    fn batch(&self, events: Vec<flux_bus::Event<LiveEvent>>) -> EventBatch {
        EventBatch(Arc::new(Events { events, registry: Arc::clone(&self.registry) }))
    }
}

#[pymethods]
impl EventStream {
    /// Up to `max` events that are there; None when the stream has ended.
    #[pyo3(signature = (max=256))]
    fn take(&self, py: Python<'_>, max: usize) -> PyResult<Option<EventBatch>> {
        guarded(|| {
            let stream = self.0.get()?;
            let taken = stream.feed.take(py, max)?;
            Ok(taken.map(|events| stream.batch(events)))
        })
    }

    /// Up to `max` events, waiting up to `timeout` seconds for the first; None when the stream has
    /// ended.
    #[pyo3(signature = (max=256, timeout=None))]
    fn recv(
        &self,
        py: Python<'_>,
        max: usize,
        timeout: Option<f64>,
    ) -> PyResult<Option<EventBatch>> {
        guarded(|| {
            let stream = self.0.get()?;
            let taken = stream.feed.receive(py, max, timeout)?;
            Ok(taken.map(|events| stream.batch(events)))
        })
    }

    /// A descriptor that is readable when there is something to take.
    fn fileno(&self) -> PyResult<RawFd> {
        guarded(|| self.0.get()?.feed.descriptor())
    }

    /// Makes the descriptor unreadable until there is something more; then take.
    fn clear(&self) -> PyResult<()> {
        guarded(|| {
            self.0.get()?.feed.clear();
            Ok(())
        })
    }

    /// Ends the stream. Harmless when repeated.
    fn close(&self) -> PyResult<()> {
        guarded(|| {
            self.0.get()?.feed.discard();
            Ok(())
        })
    }

    /// Whether it has ended.
    #[getter]
    fn closed(&self) -> PyResult<bool> {
        guarded(|| Ok(self.0.get()?.feed.is_closed()))
    }

    /// Events that were dropped because they were not read in time.
    #[getter]
    fn dropped(&self) -> PyResult<u64> {
        guarded(|| {
            let lost = |tap: TapStats| tap.dropped.total() - tap.dropped.closed;
            Ok(self.0.get()?.feed.stats().map(lost).sum())
        })
    }
}

struct Events {
    events: Vec<flux_bus::Event<LiveEvent>>,
    registry: Arc<Registry>,
}

impl Events {
    fn show<'py>(&self, py: Python<'py>, event: &LiveEvent) -> PyResult<Bound<'py, PyAny>> {
        to_python(py, &live_event(event, &self.registry.current()))
    }
}

/// Events, each made a dict when it is looked at.
#[pyclass(frozen, sequence, module = "fluxhybrid._native")]
pub(crate) struct EventBatch(Arc<Events>);

#[pymethods]
impl EventBatch {
    fn __len__(&self) -> usize {
        self.0.events.len()
    }

    fn __getitem__<'py>(&self, py: Python<'py>, index: isize) -> PyResult<Bound<'py, PyAny>> {
        guarded(|| self.0.show(py, self.at(index)?))
    }

    fn __iter__(&self) -> EventIterator {
        EventIterator { events: Arc::clone(&self.0), next: AtomicUsize::new(0) }
    }

    /// The kind of one of them, without making a dict.
    fn kind(&self, index: isize) -> PyResult<&'static str> {
        guarded(|| Ok(shown(self.at(index)?.kind())))
    }

    /// How many there are of each kind.
    fn counts<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        guarded(|| {
            let counts = PyDict::new(py);
            for kind in LiveEvent::KINDS {
                let count =
                    self.0.events.iter().filter(|event| event.payload.kind() == kind).count();
                if count > 0 {
                    counts.set_item(shown(kind), count)?;
                }
            }
            Ok(counts)
        })
    }

    /// All of them as dicts.
    fn to_list<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        guarded(|| {
            let list = PyList::empty(py);
            for event in &self.0.events {
                list.append(self.0.show(py, &event.payload)?)?;
            }
            Ok(list)
        })
    }

    fn __repr__(&self) -> String {
        format!("<EventBatch of {}>", self.0.events.len())
    }
}

impl EventBatch {
    fn at(&self, index: isize) -> PyResult<&LiveEvent> {
        place(index, self.0.events.len())
            .and_then(|place| self.0.events.get(place))
            .map(|event| &event.payload)
            .ok_or_else(|| PyIndexError::new_err("the batch has no such event"))
    }
}

/// Python counts from the end with negative numbers.
pub(crate) fn place(index: isize, len: usize) -> Option<usize> {
    if index < 0 { len.checked_sub(index.unsigned_abs()) } else { index.try_into().ok() }
}

/// Goes through a batch.
#[pyclass(frozen, module = "fluxhybrid._native")]
pub(crate) struct EventIterator {
    events: Arc<Events>,
    next: AtomicUsize,
}

#[pymethods]
impl EventIterator {
    fn __iter__(slf: PyRef<'_, Self>) -> PyRef<'_, Self> {
        slf
    }

    fn __next__<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        guarded(|| {
            let next = self.next.fetch_add(1, Ordering::Relaxed);
            let event = self.events.events.get(next);
            event.map(|event| self.events.show(py, &event.payload)).transpose()
        })
    }
}
