//! What people are told about plugins.

use std::sync::atomic::Ordering;

use flux_types::Problem;
use serde::Serialize;

use crate::set::vectors::SelfTest;
use crate::set::{Entry, Inner};
use crate::{BreakerState, CallStats, Mode, PoolStats, hex};

/// How a plugin is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Health {
    /// It is called.
    Running,
    /// It comes with the program, and is loaded once something uses it.
    Available,
    /// Its breaker is open.
    SetAside,
    /// What is there cannot be loaded, and nothing else runs in its place.
    Refused,
}

/// Everything about one plugin.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PluginStatus {
    /// Its name.
    pub id: String,
    /// How it is.
    pub health: Health,
    /// What is wrong: why the files there are not in force, why vectors fail, and so on. The version
    /// that ran before goes on.
    pub problems: Vec<Problem>,
    /// SHA-256 of the module in force, hexadecimal.
    pub hash: Option<String>,
    /// Which ABI it speaks.
    pub abi: Option<i32>,
    /// The functions it has.
    pub functions: Vec<&'static str>,
    /// Whether instances serve more than one call.
    pub mode: Mode,
    /// What to call it before people.
    pub title: Option<String>,
    /// One line about it.
    pub about: Option<String>,
    /// Its version, as its author numbers them.
    pub version: Option<String>,
    /// Its licence.
    pub license: Option<String>,
    /// What `describe` says: settings, commands and the rest.
    pub description: serde_json::Value,
    /// When the version in force was put there, nanoseconds since 1970.
    pub loaded_ns: Option<i64>,
    /// How many vectors it was tested with, and how many held.
    pub vectors: Option<(usize, usize)>,
    /// Whether there is a version to go back to.
    pub has_previous: bool,
    /// Its pool.
    pub pool: PoolStats,
    /// Bytes of memory of the instances that wait.
    pub idle_bytes: usize,
    /// Its calls.
    pub calls: CallStats,
    /// Its breaker.
    pub breaker: BreakerState,
    /// How often the breaker has opened.
    pub trips: u64,
    /// Lines of log it wrote, those left out by rate, those that were no UTF-8.
    pub log_lines: [u64; 3],
}

/// What a package turned out to be, without being put in force.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// SHA-256 of the module, hexadecimal.
    pub hash: String,
    /// Which ABI it speaks.
    pub abi: i32,
    /// The functions it has.
    pub functions: Vec<&'static str>,
    /// What `describe` says.
    pub description: serde_json::Value,
    /// What came of its vectors.
    pub self_test: SelfTest,
}

/// What the cache of compiled code did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct CacheStats {
    /// Entries taken.
    pub hits: u64,
    /// Modules compiled.
    pub misses: u64,
    /// Entries that were there and not believed: damaged, or somebody else's.
    pub refused: u64,
    /// Entries that could not be written.
    pub unwritten: u64,
}

impl Inner {
    pub(super) fn status(&self, entry: &Entry) -> PluginStatus {
        let plugin = &entry.plugin;
        let version = plugin.version.load();
        let version = version.as_ref();
        let notes = entry.notes.lock();
        let breaker = plugin.breaker();
        let description = version.map_or(serde_json::Value::Null, |v| v.description.clone());
        let described =
            |key: &str| description.get(key).and_then(|text| text.as_str()).map(ToOwned::to_owned);
        let manifest = &notes.manifest;
        let log = &plugin.log;
        let (lines, left_out) = (&log.lines, &log.suppressed);
        PluginStatus {
            id: plugin.id().to_string(),
            health: if breaker == BreakerState::Closed {
                Health::Running
            } else {
                Health::SetAside
            },
            problems: notes.problems.clone(),
            hash: version.map(|version| hex::encode(&version.hash)),
            abi: version.map(|version| version.interface().abi.number()),
            functions: version.map_or(Vec::new(), |version| {
                version.interface().functions.iter().map(|function| function.as_str()).collect()
            }),
            mode: version.map_or(Mode::Reuse, |version| version.mode),
            title: manifest.title.clone().or_else(|| described("name")),
            about: manifest.about.clone().or_else(|| described("about")),
            version: manifest.version.clone().or_else(|| described("version")),
            license: manifest.license.clone().or_else(|| described("license")),
            loaded_ns: notes.loaded_ns,
            vectors: notes.self_test.as_ref().map(|test| {
                let total = test.vectors.len();
                (total, total - test.failures().len())
            }),
            has_previous: self.archive.as_ref().is_some_and(|a| a.has_previous(plugin.id())),
            pool: plugin.pool_stats(),
            idle_bytes: version.map_or(0, |version| version.pool.idle_bytes()),
            calls: plugin.stats(),
            breaker,
            trips: plugin.trips(),
            log_lines: [lines, left_out, &log.malformed].map(|n| n.load(Ordering::Relaxed)),
            description,
        }
    }
}

/// Of what cannot be loaded.
pub(super) fn refused_status(id: &str, problems: &[Problem]) -> PluginStatus {
    PluginStatus { problems: problems.to_vec(), ..blank_status(id, Health::Refused) }
}

/// Of what is not in force.
pub(super) fn blank_status(id: &str, health: Health) -> PluginStatus {
    PluginStatus {
        id: id.to_owned(),
        health,
        problems: Vec::new(),
        hash: None,
        abi: None,
        functions: Vec::new(),
        mode: Mode::Reuse,
        title: None,
        about: None,
        version: None,
        license: None,
        description: serde_json::Value::Null,
        loaded_ns: None,
        vectors: None,
        has_previous: false,
        pool: crate::PoolStats::default(),
        idle_bytes: 0,
        calls: crate::CallStats::default(),
        breaker: BreakerState::Closed,
        trips: 0,
        log_lines: [0; 3],
    }
}
