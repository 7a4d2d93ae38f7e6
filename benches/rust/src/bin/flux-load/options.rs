//! The command line, and the plan that comes of it.
//!
//! Owns every option, its limits and its checks. Must never touch a socket beyond resolving a name.

use std::net::{SocketAddr, ToSocketAddrs};
use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, ValueEnum};
use flux_mqtt::codec::Version;
use flux_types::Qos;

use crate::failure::Failure;
use crate::identity::Identities;
use crate::payload::Template;

/// Most connections of one run: loopback has 28 000 ports for one destination.
const CONNECTIONS_MAX: u32 = 27_000;
/// Longest measurement, seconds.
const DURATION_S_MAX: f64 = 3_600.0;

/// Loads an MQTT server on this machine and tells rates, latencies, losses and CPU per message.
///
/// Publishers send JSON with their number, a sequence number and the time; subscribers find all
/// three again, so that every message that is lost, doubled or out of order is seen. Addresses
/// other than loopback are refused. Exit code: 0, 1 when something was lost and --fail-on-loss is
/// given, 2 for wrong options, 3 when the run itself failed.
#[derive(Debug, Clone, Parser)]
#[command(name = "flux-load", version)]
pub(crate) struct Options {
    /// Address of the server: a loopback one.
    #[arg(long, default_value = "127.0.0.1")]
    pub(crate) host: String,
    /// Port of the server.
    #[arg(long, default_value_t = 1883)]
    pub(crate) port: u16,
    /// Version of MQTT spoken.
    #[arg(long, value_enum, default_value_t = Protocol::V311)]
    pub(crate) protocol: Protocol,
    /// Connections that publish; with --idle, connections to open.
    #[arg(long, visible_alias = "connections", default_value_t = 4)]
    pub(crate) publishers: u32,
    /// Connections that subscribe, all to the same filter; or, where the filter has an {n}, the
    /// first of as many publishers each to its own.
    #[arg(long, default_value_t = 1)]
    pub(crate) subscribers: u32,
    /// QoS of what is published.
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u8).range(0..=1))]
    pub(crate) qos: u8,
    /// QoS of the subscriptions; that of --qos where left out.
    #[arg(long, value_parser = clap::value_parser!(u8).range(0..=1))]
    pub(crate) subscribe_qos: Option<u8>,
    /// Messages per second of all publishers together; 0 is as many as acknowledgements (QoS 1) or
    /// --outstanding (QoS 0) allow.
    #[arg(long, default_value_t = 0.0)]
    pub(crate) rate: f64,
    /// Publications one connection has in flight at QoS 1.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) window: u16,
    /// Deliveries that may be under way when the rate is 0, so that no queue overflows: feedback
    /// in place of acknowledgements at QoS 0 (default 500), beside them at QoS 1 (default: none).
    #[arg(long)]
    pub(crate) outstanding: Option<u64>,
    /// Most packets handed to the socket in one write.
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) coalesce: u16,
    /// One packet in each write, and so in each segment.
    #[arg(long, conflicts_with = "coalesce")]
    pub(crate) one_packet_per_segment: bool,
    /// Topic published to; {n} is the publisher's number.
    #[arg(long, default_value = "v1/devices/d{n}/telemetry")]
    pub(crate) topic: String,
    /// Topic of messages that do not pass (see --pass-ratio); that of --topic where left out.
    /// Gives a server without rules the same deliveries as one with them.
    #[arg(long)]
    pub(crate) topic_below: Option<String>,
    /// Filter subscribed to.
    #[arg(long, default_value = "v1/devices/+/telemetry")]
    pub(crate) subscribe: String,
    /// Payload: a JSON template with {n}, {seq}, {sent_ns} and {temperature} under those names.
    #[arg(long, default_value = Template::DEFAULT)]
    pub(crate) payload: String,
    /// Length a payload is filled up to.
    #[arg(long, default_value_t = 0)]
    pub(crate) payload_bytes: usize,
    /// Share of messages whose temperature is above 30.
    #[arg(long, visible_alias = "expect-ratio", default_value_t = 1.0)]
    pub(crate) pass_ratio: f64,
    /// What subscribers have to get: every message, or those above 30 only.
    #[arg(long, value_enum, default_value_t = Expect::All)]
    pub(crate) expect: Expect,
    /// User name of publishers; {n} is the number.
    #[arg(long)]
    pub(crate) username: Option<String>,
    /// Password of publishers; {n} is the number.
    #[arg(long, requires = "username")]
    pub(crate) password: Option<String>,
    /// File with one "user name, blank, password" a line: line k is publisher k's.
    #[arg(long, conflicts_with_all = ["username", "password"])]
    pub(crate) credentials: Option<PathBuf>,
    /// User name of subscribers; {n} is the number.
    #[arg(long)]
    pub(crate) subscriber_username: Option<String>,
    /// Password of subscribers.
    #[arg(long, requires = "subscriber_username")]
    pub(crate) subscriber_password: Option<String>,
    /// Client identifiers; {n} is the number. Publishers get a leading p, subscribers an s.
    #[arg(long, default_value = "flux-load-{n}")]
    pub(crate) client_id: String,
    /// Seconds measured.
    #[arg(long, default_value_t = 5.0)]
    pub(crate) duration: f64,
    /// Seconds of load before that.
    #[arg(long, default_value_t = 1.0)]
    pub(crate) warmup: f64,
    /// Seconds without progress after which what is missing counts as lost.
    #[arg(long, default_value_t = 2.0)]
    pub(crate) drain: f64,
    /// Seconds for all connections to be made and subscribed.
    #[arg(long, default_value_t = 30.0)]
    pub(crate) connect_timeout: f64,
    /// Threads of the generator.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=16))]
    pub(crate) threads: u8,
    /// Microseconds between two looks at what is due when a rate is given.
    #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(u32).range(50..=100_000))]
    pub(crate) tick_us: u32,
    /// Process whose CPU and memory are measured.
    #[arg(long)]
    pub(crate) server_pid: Option<u32>,
    /// Look for the highest rate without loss.
    #[arg(long, conflicts_with = "idle")]
    pub(crate) search: bool,
    /// Where the search begins, messages per second.
    #[arg(long, default_value_t = 10_000.0)]
    pub(crate) search_from: f64,
    /// Highest 99th percentile end to end of a rate that counts, ms.
    #[arg(long, default_value_t = 100.0)]
    pub(crate) p99_max_ms: f64,
    /// Open connections, leave them idle, and tell what each costs the server.
    #[arg(long, requires = "server_pid")]
    pub(crate) idle: bool,
    /// End with 1 when a message was lost, doubled, out of order or not expected.
    #[arg(long)]
    pub(crate) fail_on_loss: bool,
    /// Print JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

/// A version of MQTT as the command line names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Protocol {
    /// MQTT 3.1.1.
    #[value(name = "3.1.1")]
    V311,
    /// MQTT 5.0.
    #[value(name = "5")]
    V5,
}

/// What subscribers have to get.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Expect {
    /// Every message.
    All,
    /// Messages above the threshold.
    Passing,
}

/// Options checked and turned into what the run needs.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) address: SocketAddr,
    pub(crate) version: Version,
    pub(crate) publishers: u32,
    pub(crate) subscribers: u32,
    pub(crate) qos: Qos,
    pub(crate) subscribe_qos: Qos,
    /// Messages per second; `None` is as many as go.
    pub(crate) rate: Option<f64>,
    pub(crate) window: u16,
    /// Deliveries that may be under way when no rate is given.
    pub(crate) outstanding: Option<u64>,
    pub(crate) coalesce: u16,
    pub(crate) topic: String,
    pub(crate) topic_below: Option<String>,
    pub(crate) filter: String,
    pub(crate) template: Template,
    pub(crate) expect: Expect,
    pub(crate) identities: Identities,
    pub(crate) duration: Duration,
    pub(crate) warmup: Duration,
    pub(crate) drain: Duration,
    pub(crate) connect_timeout: Duration,
    pub(crate) threads: u32,
    pub(crate) tick: Duration,
    pub(crate) server_pid: Option<u32>,
}

impl Plan {
    /// Checks the options.
    pub(crate) fn new(options: &Options) -> Result<Self, Failure> {
        let bad = |text: String| Err(Failure::Options(text));
        let asked = options.publishers.saturating_add(options.subscribers);
        if options.publishers == 0 || asked > CONNECTIONS_MAX {
            return bad(format!("{asked} connections: 1 to {CONNECTIONS_MAX}, one a publisher"));
        }
        if !(0.0..=1.0).contains(&options.pass_ratio) {
            return bad("--pass-ratio is from 0 to 1".to_owned());
        }
        if !(options.rate >= 0.0 && options.rate <= 1e8) || options.search_from < 1.0 {
            return bad("a rate is from 0 to 100 million, and a search begins at 1".to_owned());
        }
        if options.duration <= 0.0 || options.duration > DURATION_S_MAX {
            return bad(format!("--duration is above 0 and at most {DURATION_S_MAX}"));
        }
        let qos = qos(options.qos);
        let feedback = options.rate == 0.0 && options.qos == 0 && !options.search && !options.idle;
        if feedback && (options.subscribers == 0 || options.pass_ratio < 0.05) {
            let text = "QoS 0 at rate 0 needs a subscriber that hears of 5 % of all messages";
            return bad(text.to_owned());
        }
        Ok(Self {
            address: loopback(&options.host, options.port)?,
            version: match options.protocol {
                Protocol::V311 => Version::V311,
                Protocol::V5 => Version::V5,
            },
            publishers: options.publishers,
            subscribers: options.subscribers,
            qos,
            subscribe_qos: options.subscribe_qos.map_or(qos, self::qos),
            rate: (options.rate > 0.0).then_some(options.rate),
            window: options.window,
            outstanding: options.outstanding.or((options.qos == 0).then_some(500)),
            coalesce: if options.one_packet_per_segment { 1 } else { options.coalesce },
            topic: options.topic.clone(),
            topic_below: options.topic_below.clone(),
            filter: options.subscribe.clone(),
            template: Template::new(&options.payload, options.payload_bytes, options.pass_ratio)?,
            expect: options.expect,
            identities: Identities::new(options)?,
            duration: seconds("--duration", options.duration)?,
            warmup: seconds("--warmup", options.warmup)?,
            drain: seconds("--drain", options.drain)?,
            connect_timeout: seconds("--connect-timeout", options.connect_timeout)?,
            threads: u32::from(options.threads).min(asked),
            tick: Duration::from_micros(u64::from(options.tick_us)),
            server_pid: options.server_pid,
        })
    }

    /// Whether each subscriber hears one publisher only.
    pub(crate) fn pairs(&self) -> bool {
        self.filter.contains("{n}")
    }

    /// How many subscribers have to get a message of publisher `n`.
    pub(crate) fn listeners(&self, n: u32) -> u64 {
        if self.pairs() { u64::from(n < self.subscribers) } else { u64::from(self.subscribers) }
    }
}

fn qos(level: u8) -> Qos {
    if level == 0 { Qos::AtMostOnce } else { Qos::AtLeastOnce }
}

fn seconds(option: &str, value: f64) -> Result<Duration, Failure> {
    Duration::try_from_secs_f64(value)
        .ok()
        .filter(|duration| duration.as_secs_f64() <= DURATION_S_MAX)
        .ok_or_else(|| Failure::Options(format!("{option} is from 0 to {DURATION_S_MAX} seconds")))
}

/// The server's address; one that is not on this machine is refused.
fn loopback(host: &str, port: u16) -> Result<SocketAddr, Failure> {
    let found = (host, port)
        .to_socket_addrs()
        .map_err(|error| Failure::Options(format!("--host {host}: {error}")))?
        .next()
        .ok_or_else(|| Failure::Options(format!("--host {host} has no address")))?;
    if !found.ip().is_loopback() {
        let text = format!("--host {host} is {}: only loopback may be loaded", found.ip());
        return Err(Failure::Options(text));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(arguments: &[&str]) -> Result<Plan, Failure> {
        let all = std::iter::once(&"flux-load").chain(arguments);
        Plan::new(&Options::try_parse_from(all).unwrap())
    }

    #[test]
    fn only_loopback_addresses_are_loaded() {
        assert!(plan(&["--host", "127.0.0.1"]).is_ok());
        assert!(plan(&["--host", "::1"]).is_ok());
        for elsewhere in ["192.0.2.1", "0.0.0.0", "10.0.0.1"] {
            assert!(matches!(plan(&["--host", elsewhere]), Err(Failure::Options(_))));
        }
    }

    #[test]
    fn what_cannot_be_measured_is_refused() {
        for arguments in [
            &["--publishers", "0"][..],
            &["--publishers", "30000"],
            &["--pass-ratio", "1.5"],
            &["--duration", "0"],
            &["--duration", "100000"],
            &["--subscribers", "0"],
            &["--payload", "{\"t\":1}"],
        ] {
            assert!(matches!(plan(arguments), Err(Failure::Options(_))), "{arguments:?}");
        }
    }

    #[test]
    fn a_filter_with_a_number_pairs_publishers_and_subscribers() {
        let pairs = plan(&["--publishers", "3", "--subscribers", "2", "--subscribe", "a/{n}"]);
        let pairs = pairs.unwrap();
        assert_eq!((pairs.listeners(1), pairs.listeners(2)), (1, 0));
        let fan = plan(&["--publishers", "3", "--subscribers", "2"]).unwrap();
        assert_eq!((fan.listeners(1), fan.listeners(2)), (2, 2));
    }
}
