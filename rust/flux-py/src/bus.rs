//! The event bus for Python: publish, subscribe, read in batches.

use std::os::fd::RawFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use flux_bus::{Bus, BusError, BusLimits, Event, Overflow, Tap, TapOptions, TapStats};
use flux_types::{Topic, TopicFilter};
use pyo3::exceptions::PyIndexError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};

use crate::convert::to_payload;
use crate::door::{Native, guarded};
use crate::events::place;
use crate::failure::raised;
use crate::feed::{Feed, bell};

struct Held {
    bus: Bus,
    /// Whether a subscriber may ever hold up a publisher.
    may_block: AtomicBool,
}

/// Publish and subscribe by MQTT topic filter, within the process. Bounded: each subscriber holds
/// `capacity` messages, and says what happens to more.
#[pyclass(frozen, subclass, module = "fluxhybrid._native")]
pub(crate) struct EventBus(Native<Held>);

fn topic(py: Python<'_>, text: &str) -> PyResult<Topic> {
    Topic::new(text).map_err(|error| raised(py, &BusError::from(error)))
}

#[pymethods]
impl EventBus {
    #[new]
    #[pyo3(signature = (capacity=1024, *, subscribers_max=1024))]
    fn new(py: Python<'_>, capacity: usize, subscribers_max: usize) -> PyResult<Self> {
        guarded(|| {
            let limits = BusLimits { capacity, taps_max: subscribers_max, block_allowed: true };
            let bus = Bus::with_limits(limits).map_err(|error| raised(py, &error))?;
            Ok(Self(Native::new(Held { bus, may_block: AtomicBool::new(false) })))
        })
    }

    /// Publishes; gives the number of subscribers it matched. Waits only for subscribers with the
    /// policy `block`, for each up to its time limit.
    fn publish(&self, py: Python<'_>, topic: &str, payload: &Bound<'_, PyAny>) -> PyResult<usize> {
        guarded(|| {
            let held = self.0.get()?;
            let topic = self::topic(py, topic)?;
            let payload = to_payload(payload)?;
            let outcome = if held.may_block.load(Ordering::Relaxed) {
                py.detach(|| held.bus.publish(topic, payload))
            } else {
                held.bus.publish(topic, payload)
            };
            outcome.map_err(|error| raised(py, &error))
        })
    }

    /// Publishes `(topic, payload)` pairs in order; gives their number. Each subscriber is woken
    /// once. Nothing is published when one of them is wrong.
    fn publish_batch(&self, py: Python<'_>, messages: &Bound<'_, PyAny>) -> PyResult<usize> {
        guarded(|| {
            let held = self.0.get()?;
            let mut events = Vec::new();
            for message in messages.try_iter()? {
                let (topic, payload): (String, Bound<'_, PyAny>) = message?.extract()?;
                let topic = self::topic(py, &topic)?;
                events.push(Event { topic, payload: to_payload(&payload)? });
            }
            py.detach(|| held.bus.publish_batch(events)).map_err(|error| raised(py, &error))
        })
    }

    /// Subscribes to what is published from now on.
    #[pyo3(signature = (filter, policy="drop_oldest", capacity=None, *, block_timeout=5.0))]
    fn subscribe(
        &self,
        py: Python<'_>,
        filter: &str,
        policy: &str,
        capacity: Option<usize>,
        block_timeout: Option<f64>,
    ) -> PyResult<Subscription> {
        guarded(|| {
            let held = self.0.get()?;
            let (bell, wake) = bell();
            let subscribe = || {
                let filter = TopicFilter::new(filter)?;
                let overflow: Overflow = policy.parse()?;
                let options = TapOptions {
                    overflow,
                    capacity,
                    // a time that is none waits for ever, as None does
                    block_timeout: block_timeout.and_then(|s| Duration::try_from_secs_f64(s).ok()),
                    doorbell: Some(bell.clone()),
                    ..TapOptions::default()
                };
                // before it can block anybody
                held.may_block.fetch_or(overflow == Overflow::Block, Ordering::Relaxed);
                held.bus.subscribe_with(&filter, options)
            };
            let tap = subscribe().map_err(|error| raised(py, &error))?;
            Ok(Subscription(Native::new(Feed::new(vec![tap], bell, wake))))
        })
    }

    /// Closes it: nothing more can be published, subscriptions end once they are read.
    fn close(&self) -> PyResult<()> {
        guarded(|| {
            self.0.get()?.bus.close();
            Ok(())
        })
    }

    /// Whether it was closed.
    #[getter]
    fn closed(&self) -> PyResult<bool> {
        guarded(|| Ok(self.0.get()?.bus.is_closed()))
    }

    /// What it counted: `published`, `unmatched`, `accepted`, `received`, `dropped`,
    /// `subscribers`.
    fn stats<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        guarded(|| {
            let stats = self.0.get()?.bus.stats();
            let shown = PyDict::new(py);
            shown.set_item("published", stats.published)?;
            shown.set_item("unmatched", stats.unmatched)?;
            shown.set_item("accepted", stats.accepted)?;
            shown.set_item("received", stats.received)?;
            shown.set_item("dropped", stats.dropped.total())?;
            shown.set_item("subscribers", stats.taps)?;
            Ok(shown)
        })
    }
}

/// One subscriber's messages. It has one reader at a time.
#[pyclass(frozen, module = "fluxhybrid._native")]
pub(crate) struct Subscription(Native<Feed<Bytes, Tap<Bytes>>>);

#[pymethods]
impl Subscription {
    /// Up to `max` messages that are there; None when it has ended.
    #[pyo3(signature = (max=256))]
    fn take(&self, py: Python<'_>, max: usize) -> PyResult<Option<MessageBatch>> {
        guarded(|| Ok(self.0.get()?.take(py, max)?.map(MessageBatch::new)))
    }

    /// Up to `max` messages, waiting up to `timeout` seconds for the first; None when it has ended.
    #[pyo3(signature = (max=256, timeout=None))]
    fn recv(
        &self,
        py: Python<'_>,
        max: usize,
        timeout: Option<f64>,
    ) -> PyResult<Option<MessageBatch>> {
        guarded(|| Ok(self.0.get()?.receive(py, max, timeout)?.map(MessageBatch::new)))
    }

    /// A descriptor that is readable when there is something to take.
    fn fileno(&self) -> PyResult<RawFd> {
        guarded(|| self.0.get()?.descriptor())
    }

    /// Makes the descriptor unreadable until there is something more; then take.
    fn clear(&self) -> PyResult<()> {
        guarded(|| {
            self.0.get()?.clear();
            Ok(())
        })
    }

    /// Unsubscribes. Harmless when repeated.
    fn close(&self) -> PyResult<()> {
        guarded(|| {
            self.0.get()?.close();
            Ok(())
        })
    }

    /// Whether it has ended.
    #[getter]
    fn closed(&self) -> PyResult<bool> {
        guarded(|| Ok(self.0.get()?.is_closed()))
    }

    /// Messages read.
    #[getter]
    fn received(&self) -> PyResult<u64> {
        guarded(|| Ok(self.0.get()?.stats().map(|tap| tap.received).sum()))
    }

    /// Messages lost because they were not read in time.
    #[getter]
    fn dropped(&self) -> PyResult<u64> {
        guarded(|| {
            let lost = |tap: TapStats| tap.dropped.total() - tap.dropped.closed;
            Ok(self.0.get()?.stats().map(lost).sum())
        })
    }

    /// Messages waiting to be read.
    #[getter]
    fn queued(&self) -> PyResult<usize> {
        guarded(|| Ok(self.0.get()?.stats().map(|tap| tap.queued).sum()))
    }
}

/// A message that was published.
#[pyclass(frozen, eq, module = "fluxhybrid._native")]
#[derive(PartialEq)]
pub(crate) struct Message(Event);

#[pymethods]
impl Message {
    /// What it was published to.
    #[getter]
    fn topic(&self) -> &str {
        self.0.topic.as_str()
    }

    /// What was published.
    #[getter]
    fn payload<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.0.payload)
    }

    fn __repr__(&self) -> String {
        format!("<Message on {:?}, {} bytes>", self.0.topic.as_str(), self.0.payload.len())
    }
}

/// Messages, each made an object when it is looked at.
#[pyclass(frozen, sequence, module = "fluxhybrid._native")]
pub(crate) struct MessageBatch(Arc<Vec<Event>>);

impl MessageBatch {
    fn new(events: Vec<Event>) -> Self {
        Self(Arc::new(events))
    }
}

#[pymethods]
impl MessageBatch {
    fn __len__(&self) -> usize {
        self.0.len()
    }

    fn __getitem__(&self, index: isize) -> PyResult<Message> {
        let found = place(index, self.0.len()).and_then(|place| self.0.get(place));
        found
            .cloned()
            .map(Message)
            .ok_or_else(|| PyIndexError::new_err("the batch has no such message"))
    }

    fn __iter__(&self) -> MessageIterator {
        MessageIterator { events: Arc::clone(&self.0), next: AtomicUsize::new(0) }
    }

    fn __repr__(&self) -> String {
        format!("<MessageBatch of {}>", self.0.len())
    }
}

/// Goes through a batch.
#[pyclass(frozen, module = "fluxhybrid._native")]
pub(crate) struct MessageIterator {
    events: Arc<Vec<Event>>,
    next: AtomicUsize,
}

#[pymethods]
impl MessageIterator {
    fn __iter__(slf: PyRef<'_, Self>) -> PyRef<'_, Self> {
        slf
    }

    fn __next__(&self) -> Option<Message> {
        let next = self.next.fetch_add(1, Ordering::Relaxed);
        self.events.get(next).cloned().map(Message)
    }
}
