//! The pipeline's way to subscribers: the MQTT router.

use std::sync::Arc;

use flux_mqtt::Router;
use flux_pipeline::ports::Delivery;
use flux_types::Message;

/// Adapts [`Router`] to [`Delivery`].
pub(crate) struct MqttDelivery(pub(crate) Arc<Router>);

impl Delivery for MqttDelivery {
    fn route(&self, message: &Arc<Message>) {
        self.0.route(message);
    }

    fn route_to_connected(&self, message: &Arc<Message>) -> bool {
        let routed = self.0.route_to_connected(message);
        routed.matched > routed.dropped
    }
}
