//! What people are told about plugins.

use flux_types::Problem;
use serde::Serialize;

use crate::set::vectors::SelfTest;
use crate::{BreakerState, CallStats, Mode, PoolStats};

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
