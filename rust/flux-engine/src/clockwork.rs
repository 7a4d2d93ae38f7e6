//! What has to happen although nobody sends anything: delayed wills, expired sessions, devices
//! that are gone.

use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::thread::JoinHandle;

use flux_mqtt::{Broker, Inbound};
use flux_pipeline::Pipeline;
use flux_types::Instants;
use parking_lot::Mutex;

use crate::engine::CLOCKWORK_PERIOD;
use crate::error::EngineError;
use crate::publisher::Publisher;

/// The thread `mqtt-clock`.
pub(crate) struct Clockwork {
    thread: Mutex<Option<(SyncSender<()>, JoinHandle<()>)>>,
}

impl Clockwork {
    pub(crate) fn start(
        broker: Arc<Broker>,
        publisher: Arc<Publisher>,
        pipeline: Arc<Pipeline>,
        clock: Instants,
    ) -> Result<Self, EngineError> {
        let (stop, stopped) = sync_channel::<()>(1);
        let run = move || {
            let mut due: Vec<Inbound> = Vec::new();
            while stopped.recv_timeout(CLOCKWORK_PERIOD) == Err(RecvTimeoutError::Timeout) {
                pipeline.settle_presence();
                broker.tick(clock.now(), &mut due);
                for Inbound { message, .. } in due.drain(..) {
                    let topic = message.topic.clone();
                    let message = Arc::unwrap_or_clone(message);
                    if let Err(refusal) = publisher.publish(message) {
                        tracing::warn!(%topic, %refusal, "a will was not published");
                    }
                }
            }
        };
        let thread = std::thread::Builder::new()
            .name("mqtt-clock".to_owned())
            .spawn(run)
            .map_err(EngineError::thread)?;
        Ok(Self { thread: Mutex::new(Some((stop, thread))) })
    }

    /// Ends the thread. Doing it twice does nothing.
    pub(crate) fn stop(&self) {
        if let Some((stop, thread)) = self.thread.lock().take() {
            drop(stop);
            if thread.join().is_err() {
                tracing::error!("the thread mqtt-clock had panicked");
            }
        }
    }
}
