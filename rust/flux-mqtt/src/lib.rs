//! MQTT packets, sessions and routing; no sockets
