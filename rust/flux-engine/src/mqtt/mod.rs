//! MQTT on the network workers: bytes to the connection's state machine, publications to the log,
//! acknowledgements once committed.
//!
//! Owns, for each worker, what has been appended and not yet acknowledged, in the order of
//! positions. Must never acknowledge or route what carries a promise before the log has it.

mod worker;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use flux_mqtt::Broker;
use flux_net::{Protocol, WorkerWaker};
use flux_pipeline::{Ingest, Pipeline};
use flux_types::Instants;
use parking_lot::Mutex;

use crate::access::RegistryAccess;
pub(crate) use worker::MqttWorker;

/// Makes each worker's part.
pub(crate) struct MqttProtocol {
    pub(crate) broker: Arc<Broker>,
    pub(crate) access: Arc<RegistryAccess>,
    pub(crate) pipeline: Arc<Pipeline>,
    pub(crate) clock: Instants,
    /// One for each worker, taken when it starts.
    pub(crate) ingests: Mutex<Vec<Ingest>>,
    /// What the commit thread looks at, by worker.
    pub(crate) waiting: Arc<[Waiting]>,
}

/// Whether a worker waits for the log, so that one that does not is let sleep.
#[derive(Debug, Default)]
pub(crate) struct Waiting(AtomicBool);

impl Waiting {
    pub(crate) fn set(&self, waits: bool) {
        self.0.store(waits, Ordering::SeqCst);
    }

    pub(crate) fn get(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }
}

impl Protocol for MqttProtocol {
    type Worker = MqttWorker;

    fn worker(&self, waker: WorkerWaker) -> MqttWorker {
        MqttWorker::new(self, waker)
    }
}
