//! The log of the Rust half, on standard error, in the words of the Python half.
//!
//! Owns the format and the one thread that writes. Must never let a thread of the engine wait for
//! whoever reads the log: lines that find the queue full are dropped and counted.

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

use pyo3::prelude::*;
use serde_json::{Map, Value as Json};
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields, MakeWriter};
use tracing_subscriber::registry::LookupSpan;

use crate::door::{forks, guarded};
use crate::failure::invalid;

/// Lines that wait to be written.
const QUEUE_LEN_MAX: usize = 4096;
/// Time the end of the process leaves for the lines that wait.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(1);

static QUEUE: OnceLock<Queue> = OnceLock::new();
static DROPPED: AtomicU64 = AtomicU64::new(0);

struct Queue {
    lines: SyncSender<Line>,
    /// The side of the fork on which the writer is.
    forks: u64,
}

impl Queue {
    /// The queue, where there is a writer behind it.
    fn get() -> Option<&'static SyncSender<Line>> {
        QUEUE.get().filter(|queue| queue.forks == forks()).map(|queue| &queue.lines)
    }
}

enum Line {
    Text(Vec<u8>),
    /// Tell when everything before is written.
    Flush(SyncSender<()>),
}

/// Writes the engine's log to standard error from now on: `level` as in `[logging] level`, `format`
/// `text` or `json`. `RUST_LOG` in the environment goes before the level. Only the first call
/// counts; tells whether this was it.
#[pyfunction]
pub(crate) fn init_logging(py: Python<'_>, level: &str, format: &str) -> PyResult<bool> {
    guarded(|| {
        let wrong = |what: String| invalid(py, "logging.invalid", &what, None);
        let json = match format {
            "text" => false,
            "json" => true,
            other => return Err(wrong(format!("the format is text or json, not {other:?}"))),
        };
        let filter = match std::env::var("RUST_LOG") {
            // what is wrong in the environment must not keep a server from starting
            Ok(directives) if !directives.is_empty() => {
                EnvFilter::builder().parse_lossy(directives)
            }
            _ => EnvFilter::builder()
                .parse(level)
                .map_err(|error| wrong(format!("the level is wrong: {error}")))?,
        };
        if QUEUE.get().is_some() {
            return Ok(false);
        }
        let (queue, lines) = sync_channel(QUEUE_LEN_MAX);
        let writer = std::thread::Builder::new().name("log-writer".to_owned());
        writer.spawn(move || write_all(&lines))?;
        if QUEUE.set(Queue { lines: queue, forks: forks() }).is_err() {
            return Ok(false);
        }
        let log = tracing_subscriber::fmt()
            .with_env_filter(filter)
            .with_writer(Queued)
            .event_format(Format { json });
        if log.try_init().is_err() {
            return Ok(false);
        }
        std::panic::set_hook(Box::new(|panic| {
            let thread = std::thread::current();
            let name = thread.name().unwrap_or("unnamed");
            tracing::error!(thread = name, "{panic}");
        }));
        Ok(true)
    })
}

/// Waits a little until what was logged is written.
pub(crate) fn flush(py: Python<'_>) {
    let Some(queue) = Queue::get() else { return };
    py.detach(|| {
        let (tell, told) = sync_channel(1);
        if queue.try_send(Line::Flush(tell)).is_ok() {
            let _ = told.recv_timeout(FLUSH_TIMEOUT);
        }
    });
}

fn write_all(lines: &Receiver<Line>) {
    while let Ok(line) = lines.recv() {
        match line {
            // nobody reads it: there is nowhere to say so
            Line::Text(text) => drop(io::stderr().write_all(&text)),
            Line::Flush(tell) => drop(tell.try_send(())),
        }
        let dropped = DROPPED.swap(0, Ordering::Relaxed);
        if dropped > 0 {
            let told = format!("{dropped} lines of the log were dropped: its reader is too slow\n");
            let _ = io::stderr().write_all(told.as_bytes());
        }
    }
}

struct Queued;

impl io::Write for Queued {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        match Queue::get() {
            None => io::stderr().write_all(text)?,
            Some(queue) if queue.try_send(Line::Text(text.to_vec())).is_ok() => {}
            Some(_) => drop(DROPPED.fetch_add(1, Ordering::Relaxed)),
        }
        Ok(text.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Queued {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        Self
    }
}

/// A line as `fluxhybrid.operations.logs` writes it.
struct Format {
    json: bool,
}

#[derive(Default)]
struct Fields {
    message: String,
    rest: Map<String, Json>,
}

impl Fields {
    fn add(&mut self, field: &Field, value: Json) {
        match (field.name(), value) {
            ("message", Json::String(text)) => self.message = text,
            (name, value) => {
                self.rest.insert(name.to_owned(), value);
            }
        }
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        self.add(field, Json::String(format!("{value:?}")));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.add(field, value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.add(field, value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.add(field, value.into());
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.add(field, value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.add(field, value.into());
    }
}

impl<S, N> FormatEvent<S, N> for Format
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _: &FmtContext<'_, S, N>,
        mut line: Writer<'_>,
        event: &Event<'_>,
    ) -> std::fmt::Result {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let mut ts = String::new();
        SystemTime.format_time(&mut Writer::new(&mut ts))?;
        let level = event.metadata().level().as_str();
        let target = event.metadata().target();
        if self.json {
            let mut entry = Map::new();
            entry.insert("ts".to_owned(), ts.into());
            entry.insert("level".to_owned(), level.to_lowercase().into());
            entry.insert("target".to_owned(), target.into());
            entry.insert("message".to_owned(), fields.message.into());
            entry.append(&mut fields.rest);
            return writeln!(line, "{}", Json::Object(entry));
        }
        let mut text = format!("{ts} {level:>5} {target}: {}", fields.message);
        for (name, value) in &fields.rest {
            match value {
                Json::String(value) => write!(text, " {name}={value}")?,
                value => write!(text, " {name}={value}")?,
            }
        }
        // control characters must not forge another line
        writeln!(line, "{}", text.replace('\r', "\\r").replace('\n', "\\n"))
    }
}
