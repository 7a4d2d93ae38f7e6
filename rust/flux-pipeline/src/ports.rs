//! What the pipeline needs from above.

use std::sync::Arc;

use flux_types::Message;

/// Hands messages to whoever subscribes. Never blocks: a slow subscriber has a bounded queue.
pub trait Delivery: Send + Sync + 'static {
    /// To all subscribers that match.
    fn route(&self, message: &Arc<Message>);

    /// To the subscribers that match and are connected now; true if there was one. Used for
    /// commands, which must not lie in the queue of a device that is away.
    fn route_to_connected(&self, message: &Arc<Message>) -> bool;
}
