//! Everything the engine is told at start: one struct for each section of the configuration file.
//!
//! The defaults people see are those of the Python configuration; these are for whoever embeds the
//! engine in Rust, and are the same.

use std::path::PathBuf;
use std::time::Duration;

use flux_log::{Durability, LogOptions, Retention};
use flux_pipeline::PipelineSettings;
use serde::Deserialize;

/// How the engine is set up.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EngineSettings {
    /// Where log, snapshots and compiled configuration are kept.
    pub data_dir: PathBuf,
    /// The MQTT listener; none: devices are not served.
    #[serde(default)]
    pub mqtt: Option<MqttSettings>,
    /// Shards and log.
    #[serde(default)]
    pub engine: DataPlaneSettings,
    /// Rings.
    #[serde(default)]
    pub eventbus: EventbusSettings,
    /// Limits of scripts.
    #[serde(default)]
    pub rules: RuleSettings,
    /// Plugins and their limits.
    #[serde(default)]
    pub plugins: PluginSettings,
}

impl EngineSettings {
    /// The defaults over a directory, without a listener.
    #[must_use]
    pub fn new(data_dir: impl Into<PathBuf>) -> Self {
        Self {
            data_dir: data_dir.into(),
            mqtt: None,
            engine: DataPlaneSettings::default(),
            eventbus: EventbusSettings::default(),
            rules: RuleSettings::default(),
            plugins: PluginSettings::default(),
        }
    }

    pub(crate) fn plugin_options(&self) -> flux_wasm::Options {
        let PluginSettings { dir, bundled_dir, limits } = &self.plugins;
        let mut options = flux_wasm::Options::new(limits.clone());
        options.directory.clone_from(dir);
        options.bundled.clone_from(bundled_dir);
        options.storing(self.data_dir.join("plugins"))
    }
}

/// `[plugins]`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PluginSettings {
    /// The directory that is watched for plugins; none: they come by the API only.
    pub dir: Option<PathBuf>,
    /// Plugins that come with the program.
    pub bundled_dir: Option<PathBuf>,
    /// What plugins may use.
    pub limits: flux_wasm::Limits,
}

/// `[mqtt]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MqttSettings {
    /// Name or address to listen on.
    pub host: String,
    /// TCP port; 0 takes a free one.
    pub port: u16,
    /// Network threads.
    pub workers: usize,
    /// Whether clients without a name are let in.
    pub allow_anonymous: bool,
    /// Connections at the same time.
    pub connections_max: usize,
    /// Largest packet taken, bytes.
    pub packet_bytes_max: usize,
    /// Time for CONNECT, ms.
    pub connect_timeout_ms: u64,
    /// Longest keep-alive granted to 5.0 clients, s.
    pub keep_alive_max_s: u16,
    /// Sessions kept.
    pub sessions_max: usize,
    /// Longest a session outlives its connection, s.
    pub session_expiry_max_s: u32,
    /// Messages that wait for one subscriber.
    pub session_queue_len_max: usize,
    /// Bytes that wait for one subscriber.
    pub session_queue_bytes_max: usize,
    /// Bytes that wait for all subscribers.
    pub queue_bytes_total_max: usize,
    /// Deliveries to one client not yet acknowledged.
    pub session_inflight_max: u16,
    /// Publications of one client not yet acknowledged.
    pub session_receive_max: u16,
    /// Subscriptions of one session.
    pub session_subscriptions_max: usize,
    /// Subscriptions of all sessions.
    pub subscriptions_max: usize,
}

impl Default for MqttSettings {
    fn default() -> Self {
        Self {
            host: "127.0.0.1".to_owned(),
            port: 1883,
            workers: 2,
            allow_anonymous: false,
            connections_max: 10_000,
            packet_bytes_max: 1 << 20,
            connect_timeout_ms: 10_000,
            keep_alive_max_s: u16::MAX,
            sessions_max: 1_000_000,
            session_expiry_max_s: 7 * 24 * 3600,
            session_queue_len_max: 10_000,
            session_queue_bytes_max: 16 << 20,
            queue_bytes_total_max: 256 << 20,
            session_inflight_max: 256,
            session_receive_max: 1024,
            session_subscriptions_max: 1000,
            subscriptions_max: 1_000_000,
        }
    }
}

impl MqttSettings {
    pub(crate) fn limits(&self) -> flux_mqtt::Limits {
        flux_mqtt::Limits {
            packet_bytes_max: self.packet_bytes_max,
            connect_timeout_ms: self.connect_timeout_ms,
            keep_alive_s_max: self.keep_alive_max_s,
            sessions_max: self.sessions_max,
            session_expiry_s_max: self.session_expiry_max_s,
            queue_messages_max: self.session_queue_len_max,
            queue_bytes_max: self.session_queue_bytes_max,
            queue_bytes_total_max: self.queue_bytes_total_max,
            inflight_max: self.session_inflight_max,
            inbound_unacknowledged_max: self.session_receive_max,
            subscriptions_per_session_max: self.session_subscriptions_max,
            subscriptions_max: self.subscriptions_max,
            ..flux_mqtt::Limits::default()
        }
    }

    pub(crate) fn net_limits(&self) -> flux_net::Limits {
        let defaults = flux_net::Limits::default();
        flux_net::Limits {
            connections_max: self.connections_max,
            // one whole packet and the read behind it have to fit
            input_bytes_max: defaults.input_bytes_max.max(self.packet_bytes_max + (128 << 10)),
            output_bytes_max: defaults.output_bytes_max.max(2 * self.packet_bytes_max + (1 << 20)),
            handshake_timeout_ms: self.connect_timeout_ms,
            ..defaults
        }
    }
}

/// `[engine]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DataPlaneSettings {
    /// Threads that decode and decide.
    pub shards: usize,
    /// When a message counts as committed.
    pub durability: DurabilityWord,
    /// Size of one file of the log.
    pub log_segment_bytes: u64,
    /// Bytes appended and not yet on disk.
    pub log_inflight_bytes_max: usize,
    /// Disk the log may fill before its oldest files go.
    pub log_retention_bytes_max: u64,
    /// Age at which files of the log go, ms.
    pub log_retention_age_ms: Option<u64>,
    /// Open although acknowledged records are damaged.
    pub repair: bool,
    /// How often the views are written down, ms.
    pub snapshot_interval_ms: u64,
    /// How long a device may take to reply to a command, ms.
    pub reply_timeout_ms: u64,
}

impl Default for DataPlaneSettings {
    fn default() -> Self {
        Self {
            shards: std::thread::available_parallelism().map_or(1, |n| (n.get() / 2).max(1)),
            durability: DurabilityWord::Sync,
            log_segment_bytes: 32 << 20,
            log_inflight_bytes_max: 8 << 20,
            log_retention_bytes_max: 1 << 30,
            log_retention_age_ms: Some(7 * 24 * 3_600_000),
            repair: false,
            snapshot_interval_ms: 30_000,
            reply_timeout_ms: 30_000,
        }
    }
}

/// [`Durability`], as it is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DurabilityWord {
    /// Acknowledge what is on disk.
    Sync,
    /// Acknowledge at once; a power cut may lose what was acknowledged.
    None,
}

/// `[eventbus]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EventbusSettings {
    /// Messages in each ring and for each subscriber.
    pub capacity: usize,
}

impl Default for EventbusSettings {
    fn default() -> Self {
        Self { capacity: 1024 }
    }
}

/// `[rules]`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RuleSettings {
    /// Operations of one call.
    pub operations_max: Option<u64>,
    /// Nesting of function calls.
    pub call_depth_max: Option<usize>,
    /// Nesting of expressions in the source.
    pub expression_depth_max: Option<usize>,
    /// Length of a string.
    pub string_bytes_max: Option<usize>,
    /// Elements of an array.
    pub array_len_max: Option<usize>,
    /// Entries of a map.
    pub map_len_max: Option<usize>,
    /// Time of one call, µs.
    pub call_deadline_us: Option<u64>,
}

/// What the largest message record needs beside its payload: source, topic and properties.
const ENVELOPE_BYTES_MAX: usize = 256 << 10;
/// What of a segment is not for batches: its header, frames and alignment.
const SEGMENT_OVERHEAD_BYTES: u64 = 256 << 10;
/// Log held back for the views before it is the fault to report.
const VIEWS_BEHIND_BYTES_MAX: u64 = 1 << 30;

impl EngineSettings {
    pub(crate) fn log_options(&self) -> LogOptions {
        let plane = &self.engine;
        let mut options = LogOptions::new(self.data_dir.join("log"));
        let packet = self.mqtt.as_ref().map_or(1 << 20, |mqtt| mqtt.packet_bytes_max);
        options.record_bytes_max = packet + ENVELOPE_BYTES_MAX;
        // what a network worker appends at a time, and the largest record behind it
        options.batch_bytes_max = (2 << 20) + options.record_bytes_max;
        options.inflight_bytes_max = plane.log_inflight_bytes_max.max(options.batch_bytes_max);
        options.segment_bytes = plane
            .log_segment_bytes
            .max(options.batch_bytes_max as u64 + SEGMENT_OVERHEAD_BYTES)
            .next_multiple_of(4096);
        options.durability = match plane.durability {
            DurabilityWord::Sync => Durability::Sync,
            DurabilityWord::None => Durability::None,
        };
        options.retention = Retention {
            bytes_max: plane.log_retention_bytes_max,
            age_max: plane.log_retention_age_ms.map(Duration::from_millis),
            ..Retention::default()
        };
        options.repair = plane.repair;
        let views = flux_log::View::pinning(flux_pipeline::VIEWS_NAME, VIEWS_BEHIND_BYTES_MAX);
        options.views = vec![views];
        options
    }

    pub(crate) fn pipeline(&self) -> PipelineSettings {
        PipelineSettings {
            shards: self.engine.shards.max(1),
            ring_capacity: self.eventbus.capacity,
            snapshot_interval: Duration::from_millis(self.engine.snapshot_interval_ms),
            reply_timeout: Duration::from_millis(self.engine.reply_timeout_ms),
            ..PipelineSettings::default()
        }
    }
}
