//! What a run came to, as JSON for programs and as a few lines for people.

use std::fmt;

use hdrhistogram::Histogram;
use serde::Serialize;

use crate::worker::Faults;

/// Latencies in milliseconds.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct Latency {
    pub(crate) count: u64,
    pub(crate) p50_ms: f64,
    pub(crate) p90_ms: f64,
    pub(crate) p99_ms: f64,
    pub(crate) p999_ms: f64,
    pub(crate) max_ms: f64,
}

impl From<&Histogram<u64>> for Latency {
    fn from(histogram: &Histogram<u64>) -> Self {
        let at = |quantile| histogram.value_at_quantile(quantile) as f64 / 1e6;
        if histogram.is_empty() {
            return Self::default();
        }
        Self {
            count: histogram.len(),
            p50_ms: at(0.5),
            p90_ms: at(0.9),
            p99_ms: at(0.99),
            p999_ms: at(0.999),
            max_ms: histogram.max() as f64 / 1e6,
        }
    }
}

/// What was not as it should be, besides losses.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct Wrong {
    pub(crate) duplicates: u64,
    pub(crate) out_of_order: u64,
    pub(crate) unexpected: u64,
    pub(crate) foreign: u64,
    pub(crate) refused: u64,
    pub(crate) unknown_acks: u64,
}

impl From<Faults> for Wrong {
    fn from(faults: Faults) -> Self {
        let Faults { duplicates, out_of_order, unexpected, foreign, refused, unknown_acks } =
            faults;
        Self { duplicates, out_of_order, unexpected, foreign, refused, unknown_acks }
    }
}

/// A message that never came.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct Lost {
    pub(crate) publisher: u32,
    /// Which of its messages, from 0.
    pub(crate) seq: u64,
    /// How many it sent in all.
    pub(crate) sent: u64,
}

/// One second of the measurement.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct Second {
    pub(crate) at_s: f64,
    pub(crate) sent_per_s: f64,
    pub(crate) acked_per_s: f64,
    pub(crate) received_per_s: f64,
    pub(crate) server_rss_bytes: u64,
}

/// What a run came to. Rates and CPU are those of the time measured; counts are those of the whole
/// run, warm-up included.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct Report {
    /// When the measurement began, seconds since 1970: what else happened can be laid beside it.
    pub(crate) begun_unix_s: f64,
    pub(crate) seconds: f64,
    pub(crate) connected_in_ms: f64,
    pub(crate) sent_per_s: f64,
    pub(crate) acked_per_s: f64,
    pub(crate) received_per_s: f64,
    pub(crate) sent: u64,
    pub(crate) acked: u64,
    pub(crate) unacknowledged: u64,
    /// Deliveries that were due.
    pub(crate) expected: u64,
    pub(crate) received: u64,
    /// Deliveries that never came.
    pub(crate) lost: u64,
    /// The first of them.
    pub(crate) lost_first: Vec<Lost>,
    pub(crate) faults: Wrong,
    pub(crate) connections_closed: u64,
    pub(crate) ack: Latency,
    pub(crate) end_to_end: Latency,
    /// Of the generator, for a message sent.
    pub(crate) own_cpu_us_per_message: f64,
    /// Of the server, for a message sent.
    pub(crate) server_cpu_us_per_message: Option<f64>,
    pub(crate) server_cpu_cores: Option<f64>,
    pub(crate) server_rss_begin_bytes: Option<u64>,
    pub(crate) server_rss_max_bytes: Option<u64>,
    pub(crate) server_rss_end_bytes: Option<u64>,
    pub(crate) by_second: Vec<Second>,
}

impl Report {
    /// Whether every message came once and in order, and every connection lasted.
    pub(crate) fn is_clean(&self) -> bool {
        let Wrong { duplicates, out_of_order, unexpected, foreign, refused, unknown_acks } =
            self.faults;
        let wrong = duplicates + out_of_order + unexpected + foreign + refused + unknown_acks;
        wrong + self.lost + self.unacknowledged + self.connections_closed == 0
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mib = |bytes: Option<u64>| bytes.unwrap_or_default() as f64 / f64::from(1 << 20);
        writeln!(
            f,
            "rate      {:>10.0}/s sent {:>10.0}/s acknowledged {:>10.0}/s received, {:.1} s",
            self.sent_per_s, self.acked_per_s, self.received_per_s, self.seconds
        )?;
        writeln!(
            f,
            "messages  {:>10} sent {:>12} acknowledged {:>12} of {} received",
            self.sent, self.acked, self.received, self.expected
        )?;
        let wrong = &self.faults;
        writeln!(
            f,
            "lost {}, twice {}, out of order {}, not expected {}, foreign {}, refused {}, \
             unacknowledged {}, connections lost {}",
            self.lost,
            wrong.duplicates,
            wrong.out_of_order,
            wrong.unexpected,
            wrong.foreign,
            wrong.refused,
            self.unacknowledged,
            self.connections_closed
        )?;
        for Lost { publisher, seq, sent } in &self.lost_first {
            writeln!(f, "          lost: message {seq} of {sent} of publisher {publisher}")?;
        }
        for (name, latency) in [("ack", &self.ack), ("through", &self.end_to_end)] {
            if latency.count > 0 {
                writeln!(
                    f,
                    "{name:<9} p50 {:.3} ms, p90 {:.3}, p99 {:.3}, p99.9 {:.3}, max {:.3}",
                    latency.p50_ms, latency.p90_ms, latency.p99_ms, latency.p999_ms, latency.max_ms
                )?;
            }
        }
        write!(f, "CPU       generator {:.2} us a message", self.own_cpu_us_per_message)?;
        if let (Some(each), Some(cores)) = (self.server_cpu_us_per_message, self.server_cpu_cores) {
            write!(f, ", server {each:.2} us a message ({cores:.2} processors)")?;
            write!(
                f,
                "\nmemory    server {:.1} MiB before, {:.1} at most, {:.1} after",
                mib(self.server_rss_begin_bytes),
                mib(self.server_rss_max_bytes),
                mib(self.server_rss_end_bytes)
            )?;
        }
        Ok(())
    }
}
