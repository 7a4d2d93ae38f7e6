//! What the engine counts, in the Prometheus text format (version 0.0.4).
//!
//! Owns the names. Those of the product's contract are fixed; ours begin with `flux_` too, tell
//! their unit, and stand only where something counts them.

use std::fmt::{Display, Write};

use flux_log::SYNC_BUCKETS_US;
use flux_mqtt::DropReason;
use flux_net::CloseReason;
use flux_types::Qos;
use flux_wasm::{DURATION_BUCKETS_NS, FailureReason, Health, PluginStatus};

use crate::engine::{Engine, Running};
use crate::error::EngineError;

/// A page of metrics being written.
struct Page(String);

impl Page {
    fn head(&mut self, name: &str, kind: &str, help: &str) {
        // writing to a string cannot fail
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    fn counter(&mut self, name: &str, help: &str, value: impl Display) {
        self.head(name, "counter", help);
        let _ = writeln!(self.0, "{name} {value}");
    }

    fn gauge(&mut self, name: &str, help: &str, value: impl Display) {
        self.head(name, "gauge", help);
        let _ = writeln!(self.0, "{name} {value}");
    }

    /// One metric with a label; labels come from closed lists, so there is nothing to escape.
    fn labelled<V: Display>(
        &mut self,
        (name, kind, help): (&str, &str, &str),
        label: &str,
        values: impl IntoIterator<Item = (String, V)>,
    ) {
        let mut values = values.into_iter().peekable();
        if values.peek().is_none() {
            return;
        }
        self.head(name, kind, help);
        for (word, value) in values {
            let _ = writeln!(self.0, "{name}{{{label}=\"{word}\"}} {value}");
        }
    }
}

impl Engine {
    /// Everything the engine counts, in the Prometheus text format.
    ///
    /// # Errors
    /// The engine does not run.
    pub fn metrics_text(&self) -> Result<String, EngineError> {
        let running = self.running()?;
        let mut page = Page(String::with_capacity(16 * 1024));
        self.configuration(&mut page);
        pipeline(&mut page, &running);
        log(&mut page, &running);
        mqtt(&mut page, &running);
        network(&mut page, &running);
        plugins(&mut page, &running);
        Ok(page.0)
    }

    fn configuration(&self, page: &mut Page) {
        let snapshot = self.registry().current();
        let active = snapshot.rules().filter(|rule| rule.enabled).count();
        page.gauge("flux_rules_active", "Rules that are switched on.", active);
        page.gauge("flux_devices", "Devices configured.", snapshot.devices().len());
        page.gauge("flux_products", "Products configured.", snapshot.products().len());
        let generation = snapshot.generation();
        page.gauge("flux_configuration_generation", "Generation in force.", generation);
        let capacity = self.eventbus_capacity();
        let help = "Messages in each ring and for each subscriber.";
        page.gauge("flux_eventbus_capacity", help, capacity);
    }
}

fn pipeline(page: &mut Page, running: &Running) {
    let values = running.pipeline.counters().read();
    let mut counter = |name, help, value: u64| page.counter(name, help, value);
    counter("flux_events_published_total", "Messages taken in.", values.messages_accepted);
    counter("flux_events_received_total", "Messages decided on.", values.messages_decided);
    counter("flux_rules_executed_total", "Rules evaluated.", values.rules_executed);
    counter("flux_rules_triggered_total", "Rules that said true.", values.rules_triggered);
    counter("flux_rules_failed_total", "Rules that failed.", values.rules_failed);
    let help = "Evaluations passed over because the rule's breaker is open.";
    counter("flux_rules_passed_over_total", help, values.rules_passed_over);
    counter("flux_firings_total", "Firings recorded.", values.firings);
    let help = "Messages published by rules.";
    counter("flux_rule_publications_total", help, values.rule_publications);
    let help = "Publications by rules refused: too many hops, or too many waiting.";
    counter("flux_rule_publications_refused_total", help, values.rule_publications_refused);
    counter("flux_samples_decoded_total", "Samples decoded.", values.samples_decoded);
    let help = "Samples that name a device their source may not speak for.";
    counter("flux_samples_refused_total", help, values.samples_refused);
    let help = "Payloads that could not be decoded.";
    counter("flux_decode_failures_total", help, values.decode_failures);
    counter("flux_transform_failures_total", "Transforms that failed.", values.transform_failures);
    let help = "Plugins passed over in a chain because a call failed.";
    counter("flux_plugin_phase_failures_total", help, values.plugin_phase_failures);
    let help = "Effects that a plugin asked for and may not have.";
    counter("flux_plugin_effects_refused_total", help, values.plugin_effects_refused);
    let help = "States of plugins for which there was no room.";
    counter("flux_plugin_states_refused_total", help, values.plugin_states_refused);
    let help = "Samples dropped by a transform.";
    counter("flux_samples_dropped_by_transform_total", help, values.samples_dropped_by_transform);
    let help = "Values for which their device had no room.";
    counter("flux_values_refused_total", help, values.values_refused);
    let help = "Messages on topics of no product: brokered only.";
    counter("flux_messages_unmatched_total", help, values.messages_unmatched);
    let help = "Messages for devices that are unknown or disabled.";
    counter("flux_messages_unknown_device_total", help, values.messages_unknown_device);
    counter("flux_alarms_raised_total", "Alarms raised.", values.alarms_raised);
    counter("flux_alarms_cleared_total", "Alarms cleared.", values.alarms_cleared);
    counter("flux_actions_refused_total", "Actions not carried out.", values.actions_refused);
    counter("flux_commands_sent_total", "Commands sent.", values.commands_sent);
    counter("flux_commands_replied_total", "Commands replied to.", values.commands_replied);
    counter("flux_commands_expired_total", "Commands too late to send.", values.commands_expired);
    let help = "Commands sent without a reply in time.";
    counter("flux_commands_unanswered_total", help, values.commands_unanswered);
    let help = "Replies that name no open command.";
    counter("flux_replies_unmatched_total", help, values.replies_unmatched);
    counter("flux_webhooks_delivered_total", "Webhooks delivered.", values.webhooks_delivered);
    counter("flux_webhooks_failed_total", "Webhooks given up.", values.webhooks_failed);
    counter("flux_snapshots_written_total", "Views written down.", values.snapshots_written);
    let help = "Views that could not be written down.";
    counter("flux_snapshots_failed_total", help, values.snapshots_failed);
    let help = "Log records that could not be read.";
    counter("flux_records_unreadable_total", help, values.records_unreadable);

    let views = running.pipeline.views();
    let health = running.pipeline.health();
    let help = "Log records committed and not yet decided on.";
    page.gauge("flux_pipeline_lag_records", help, health.lag_records);
    page.gauge("flux_shards_alive", "Shards that run.", health.shards_alive);
    let active = views.alarms.lock().active_len();
    page.gauge("flux_alarms_active", "Alarms that are active.", active);
    let open = views.commands.lock().open_len();
    page.gauge("flux_commands_open", "Commands not yet ended.", open);
    let waiting = views.webhooks.lock().len();
    page.gauge("flux_webhooks_waiting", "Webhooks not yet delivered.", waiting);
    let online = views.presence.lock().online_len();
    page.gauge("flux_devices_online", "Devices connected.", online);
    let live = running.pipeline.live().stats();
    page.gauge("flux_live_taps", "Listeners to live events.", live.taps);
    let help = "Live events lost by listeners that did not keep up.";
    page.counter("flux_live_events_dropped_total", help, live.dropped.total());
}

fn log(page: &mut Page, running: &Running) {
    let stats = running.log.stats();
    page.counter("flux_log_records_total", "Records committed.", stats.records);
    page.counter("flux_log_commits_total", "Commits.", stats.commits);
    page.counter("flux_log_busy_total", "Appends turned away: too much waits.", stats.busy);
    let help = "Appends turned away: the disk is full.";
    page.counter("flux_log_full_total", help, stats.full_rejections);
    page.counter("flux_log_damaged_total", "Damaged ranges met.", stats.damaged_ranges);
    page.counter("flux_log_retired_segments_total", "Segments retired.", stats.retired_segments);
    page.gauge("flux_log_inflight_bytes", "Bytes not yet on disk.", stats.inflight_bytes);
    page.gauge("flux_log_disk_bytes", "Bytes of all segments.", stats.disk_bytes);
    page.gauge("flux_log_stopped", "1 after a failed write.", u8::from(stats.stopped));
    page.gauge("flux_log_disk_full", "1 while the disk is full.", u8::from(stats.full));
    let help = "1 where acknowledgements do not wait for the disk.";
    page.gauge("flux_log_not_durable", help, u8::from(stats.not_durable));
    page.head("flux_log_sync_seconds", "histogram", "Time of a commit's sync.");
    let mut sum = 0;
    for (bound_us, count) in SYNC_BUCKETS_US.iter().zip(&stats.sync_buckets) {
        sum += count;
        let bound = *bound_us as f64 / 1e6;
        let _ = writeln!(page.0, "flux_log_sync_seconds_bucket{{le=\"{bound}\"}} {sum}");
    }
    let all: u64 = stats.sync_buckets.iter().sum();
    let _ = writeln!(page.0, "flux_log_sync_seconds_bucket{{le=\"+Inf\"}} {all}");
    let _ = writeln!(page.0, "flux_log_sync_seconds_sum {}", stats.sync_us as f64 / 1e6);
    let _ = writeln!(page.0, "flux_log_sync_seconds_count {all}");
}

fn mqtt(page: &mut Page, running: &Running) {
    let counters = running.broker.counters();
    page.gauge("flux_mqtt_clients", "Clients connected.", counters.connected.get());
    page.gauge("flux_mqtt_sessions", "Sessions kept.", counters.sessions.get());
    page.gauge("flux_mqtt_subscriptions", "Subscriptions.", counters.subscriptions.get());
    page.gauge("flux_mqtt_queued_bytes", "Bytes queued.", counters.queued_bytes.get());
    page.counter("flux_mqtt_connects_total", "Clients let in.", counters.connects.get());
    page.counter("flux_mqtt_malformed_total", "Malformed packets.", counters.malformed.get());
    page.counter("flux_mqtt_takeovers_total", "Sessions taken over.", counters.takeovers.get());
    page.counter("flux_mqtt_wills_total", "Wills published.", counters.wills.get());
    let by_qos = |counts: [u64; 2]| {
        [Qos::AtMostOnce, Qos::AtLeastOnce]
            .into_iter()
            .zip(counts)
            .map(|(qos, count)| (u8::from(qos).to_string(), count))
    };
    let publishes = |counts: &[flux_mqtt::Counter; 3]| [counts[0].get(), counts[1].get()];
    let help = ("flux_mqtt_publishes_in_total", "counter", "Messages from clients.");
    page.labelled(help, "qos", by_qos(publishes(&counters.publishes_in)));
    let help = ("flux_mqtt_publishes_out_total", "counter", "Messages to clients.");
    page.labelled(help, "qos", by_qos(publishes(&counters.publishes_out)));
    let dropped =
        DropReason::ALL.map(|reason| (reason.as_str().to_owned(), counters.dropped(reason)));
    let help = ("flux_mqtt_dropped_total", "counter", "Messages not delivered.");
    page.labelled(help, "reason", dropped);
    let by_reason = |counts: &flux_mqtt::ByReason| -> Vec<(String, u64)> {
        counts.iter().map(|(reason, count)| (format!("0x{:02x}", reason.0), count)).collect()
    };
    let help = ("flux_mqtt_connects_refused_total", "counter", "Clients refused.");
    page.labelled(help, "reason", by_reason(&counters.connects_refused));
    let help = ("flux_mqtt_publishes_refused_total", "counter", "Messages refused.");
    page.labelled(help, "reason", by_reason(&counters.publishes_refused));
    let help = ("flux_mqtt_subscribes_refused_total", "counter", "Subscriptions refused.");
    page.labelled(help, "reason", by_reason(&counters.subscribes_refused));
    let help = ("flux_mqtt_disconnects_total", "counter", "Clients disconnected by us.");
    page.labelled(help, "reason", by_reason(&counters.disconnects));
}

fn network(page: &mut Page, running: &Running) {
    let Some(counters) = running.server.lock().as_ref().map(flux_net::Server::counters) else {
        return;
    };
    let values = counters.snapshot();
    page.gauge("flux_net_connections", "Connections open.", values.open);
    page.gauge("flux_net_connections_paused", "Connections paused.", values.paused);
    page.gauge("flux_net_buffered_bytes", "Bytes in buffers.", values.buffered_bytes);
    page.counter("flux_net_accepted_total", "Connections accepted.", values.accepted);
    page.counter("flux_net_bytes_in_total", "Bytes read.", values.bytes_in);
    page.counter("flux_net_bytes_out_total", "Bytes written.", values.bytes_out);
    let refused = [
        ("connections_max".to_owned(), values.refused_connections_max),
        ("per_ip_max".to_owned(), values.refused_per_ip_max),
        ("files_exhausted".to_owned(), values.accept_files_exhausted),
    ];
    let help = ("flux_net_refused_total", "counter", "Connections refused.");
    page.labelled(help, "limit", refused);
    let closed = CloseReason::ALL.map(|reason| (reason.as_str().to_owned(), values.closed(reason)));
    let help = ("flux_net_closed_total", "counter", "Connections closed.");
    page.labelled(help, "reason", closed);
}

/// By plugin: their ids are of letters, digits, `_` and `-`, so there is nothing to escape.
fn plugins(page: &mut Page, running: &Running) {
    let mut all = running.plugins.list();
    all.retain(|status| matches!(status.health, Health::Running | Health::SetAside));
    let cache = running.plugins.cache_stats();
    let help = "Compiled plugins found on disk and not believed.";
    page.counter("flux_plugin_cache_refused_total", help, cache.refused);
    let mut by_plugin = |name, kind, help, value: fn(&PluginStatus) -> u64| {
        let values = all.iter().map(|status| (status.id.clone(), value(status)));
        page.labelled((name, kind, help), "plugin", values);
    };
    let calls = "Calls into plugins; a batch is one.";
    by_plugin("flux_plugin_calls_total", "counter", calls, |s| s.calls.calls);
    let hits = "Times an instance was there.";
    by_plugin("flux_plugin_pool_hits_total", "counter", hits, |s| s.pool.hits);
    let misses = "Times an instance had to be made.";
    by_plugin("flux_plugin_pool_misses_total", "counter", misses, |s| s.pool.misses);
    let available = "Instances that wait for work.";
    by_plugin("flux_plugin_pool_available", "gauge", available, |s| s.pool.available as u64);
    let aside = "1 while the plugin's breaker is open.";
    by_plugin("flux_plugin_set_aside", "gauge", aside, |s| u64::from(s.health == Health::SetAside));
    plugin_failures(page, &all);
    plugin_durations(page, &all);
}

fn plugin_failures(page: &mut Page, all: &[PluginStatus]) {
    let name = "flux_plugin_failures_total";
    if !all.is_empty() {
        page.head(name, "counter", "Calls of plugins that failed, by reason.");
    }
    for status in all {
        for (reason, count) in FailureReason::ALL.iter().zip(status.calls.failures) {
            let (id, reason) = (&status.id, reason.as_str());
            let _ = writeln!(page.0, "{name}{{plugin=\"{id}\",reason=\"{reason}\"}} {count}");
        }
    }
}

fn plugin_durations(page: &mut Page, all: &[PluginStatus]) {
    let name = "flux_plugin_duration_seconds";
    if !all.is_empty() {
        page.head(name, "histogram", "Time of a call, estimated from one in sixteen.");
    }
    for PluginStatus { id, calls, .. } in all {
        let mut sum = 0;
        for (bound_ns, count) in DURATION_BUCKETS_NS.iter().zip(&calls.duration_buckets) {
            sum += count;
            let bound = *bound_ns as f64 / 1e9;
            let _ = writeln!(page.0, "{name}_bucket{{plugin=\"{id}\",le=\"{bound}\"}} {sum}");
        }
        let count: u64 = calls.duration_buckets.iter().sum();
        let _ = writeln!(page.0, "{name}_bucket{{plugin=\"{id}\",le=\"+Inf\"}} {count}");
        let seconds = calls.duration_ns as f64 / 1e9;
        let _ = writeln!(page.0, "{name}_sum{{plugin=\"{id}\"}} {seconds}");
        let _ = writeln!(page.0, "{name}_count{{plugin=\"{id}\"}} {count}");
    }
}
