//! Publishing from inside: what people and the server itself have to say.

use std::sync::Arc;
use std::time::Duration;

use flux_log::Log;
use flux_pipeline::ports::Delivery;
use flux_pipeline::{Incoming, Ingest, Refusal};
use flux_types::{Message, Position};
use parking_lot::Mutex;

/// How long a publication waits for the disk before its caller is told that it is slow.
const COMMIT_WAIT: Duration = Duration::from_secs(10);

/// Takes messages in as a network worker does, and waits for what carries a promise.
pub(crate) struct Publisher {
    log: Log,
    ingest: Mutex<Ingest>,
    delivery: Arc<dyn Delivery>,
}

impl Publisher {
    pub(crate) fn new(log: Log, ingest: Ingest, delivery: Arc<dyn Delivery>) -> Self {
        Self { log, ingest: Mutex::new(ingest), delivery }
    }

    /// Publishes; a message with a promise is on disk and routed when this returns.
    pub(crate) fn publish(&self, message: Message) -> Result<Position, Refusal> {
        let promised = message.qos.is_promised();
        let message = Arc::new(message);
        let mut position = Position::START;
        let incoming = Incoming { message: Arc::clone(&message), at_once: !promised };
        self.ingest.lock().accept(&[incoming], |_, placed| position = placed)?;
        if promised {
            match self.log.wait_committed(position, COMMIT_WAIT) {
                Ok(true) => {}
                Ok(false) => return Err(Refusal::Slow),
                Err(_) => return Err(Refusal::Stopped),
            }
        }
        self.delivery.route(&message);
        Ok(position)
    }
}
