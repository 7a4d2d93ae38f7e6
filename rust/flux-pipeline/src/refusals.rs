//! What was refused lately, and why: for people who look for a device that does not show up.
//!
//! Owns the board of refusals: bounded, the same refusal again being a count and no new entry. Must
//! never cost more than a look at the board for one it knows, hold up whoever refuses, or let one
//! loud source push the others' refusals off.

use std::fmt::Display;
use std::hash::BuildHasher;
use std::net::SocketAddr;
use std::sync::Arc;

use flux_types::{Instants, TenantId};
use foldhash::quality::RandomState;
use parking_lot::Mutex;

use crate::live::{Live, LiveEvent};

/// Entries on the board; the one that was longest quiet goes first.
pub const REFUSALS_LEN_MAX: usize = 256;
/// Of them, entries of one source, where the board is full.
pub const REFUSALS_PER_SOURCE_MAX: usize = 64;
/// New entries of one source in a second; what is beyond is counted only.
pub const NEW_REFUSALS_PER_SOURCE_S_MAX: u16 = 10;
/// Bytes of each text that is kept.
pub const REFUSAL_TEXT_BYTES_MAX: usize = 256;
/// The least time between two live events of the same refusal, ms.
pub const REFUSAL_TOLD_INTERVAL_MS: i64 = 1_000;

/// Sources are told apart by a hash of so many values: who shares one shares its limits.
const SOURCES: usize = 64;

/// What somebody tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Attempt {
    /// To connect.
    Connect,
    /// To stay connected.
    Stay,
    /// To publish.
    Publish,
    /// To subscribe.
    Subscribe,
    /// To have a message that was taken in understood.
    Message,
}

impl Attempt {
    /// As people see it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Stay => "stay",
            Self::Publish => "publish",
            Self::Subscribe => "subscribe",
            Self::Message => "message",
        }
    }
}

/// A refusal as it happens. Everything is borrowed: most are on the board already.
#[derive(Clone, Copy)]
pub struct Refusing<'a> {
    /// What was tried.
    pub attempt: Attempt,
    /// Whose people are told. Who has not signed in has no tenant: the first one is told.
    pub tenant: TenantId,
    /// Who, as messages name their source; none before a sign-in.
    pub source: Option<&'a str>,
    /// The user name given.
    pub username: Option<&'a str>,
    /// The client identifier given.
    pub client_id: Option<&'a str>,
    /// From where.
    pub address: Option<SocketAddr>,
    /// The topic or filter it was about.
    pub topic: Option<&'a str>,
    /// Why, in a stable word such as `auth.wrong_secret`.
    pub code: &'static str,
    /// Why, for people.
    pub reason: &'a dyn Display,
}

impl Refusing<'_> {
    /// Who it is: the surest name there is.
    fn who(&self) -> Option<&str> {
        self.source.or(self.username).or(self.client_id)
    }

    /// Two with the same key are the same refusal. Ports are left out: clients that try again have
    /// a new one each time.
    fn key(&self, hasher: &RandomState) -> u64 {
        let address = self.address.map(|address| address.ip());
        hasher.hash_one((self.attempt, self.tenant, self.who(), address, self.code, self.topic))
    }

    /// Whose limits it falls under: an address's, or a name's where none is known.
    fn source_slot(&self, hasher: &RandomState) -> u8 {
        let hash = match self.address {
            Some(address) => hasher.hash_one(address.ip()),
            None => hasher.hash_one((self.tenant, self.who())),
        };
        // in range, SOURCES being less than 256
        (hash % SOURCES as u64) as u8
    }
}

/// A refusal on the board, or the same one several times.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// Tells it from others while the process lives.
    pub id: u64,
    /// What was tried.
    pub attempt: Attempt,
    /// Whose people are told.
    pub tenant: TenantId,
    /// Who, as messages name their source; none before a sign-in.
    pub source: Option<Box<str>>,
    /// The user name given last.
    pub username: Option<Box<str>>,
    /// The client identifier given last.
    pub client_id: Option<Box<str>>,
    /// From where, last.
    pub address: Option<SocketAddr>,
    /// The topic or filter it was about.
    pub topic: Option<Box<str>>,
    /// Why, in a stable word.
    pub code: &'static str,
    /// Why, for people.
    pub reason: Box<str>,
    /// How often.
    pub count: u64,
    /// The first time, ms since 1970.
    pub first_ms: i64,
    /// The last time, ms since 1970.
    pub last_ms: i64,
}

/// The board of refusals. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Refusals {
    live: Live,
    clock: Instants,
    hasher: RandomState,
    board: Arc<Mutex<Board>>,
}

/// What [`Refusals::list`] gives.
#[derive(Debug, Clone, Default)]
pub struct RefusalList {
    /// The refusals, the last one first.
    pub refused: Vec<Refused>,
    /// Refusals of all tenants that came too fast to be listed.
    pub unlisted: u64,
}

impl Refusals {
    /// An empty board that tells `live` what changes on it.
    #[must_use]
    pub fn new(live: Live, clock: Instants) -> Self {
        Self { live, clock, hasher: RandomState::default(), board: Arc::default() }
    }

    /// Notes a refusal.
    pub fn note(&self, refusing: &Refusing<'_>) {
        let now_ms = self.clock.now().wall_ns / 1_000_000;
        let key = refusing.key(&self.hasher);
        let slot = refusing.source_slot(&self.hasher);
        let heard = self.live.is_heard();
        let told = self.board.lock().note(refusing, key, slot, now_ms).filter(|_| heard);
        if let Some(refused) = told {
            self.live.tell(refusing.tenant, LiveEvent::Refused(Arc::new(refused)));
        }
    }

    /// Refusals of all tenants that came too fast to be listed.
    #[must_use]
    pub fn unlisted(&self) -> u64 {
        self.board.lock().unlisted
    }

    /// Takes everything off the board.
    pub(crate) fn forget(&self) {
        *self.board.lock() = Board::default();
    }

    /// Up to `limit` refusals of a tenant, the last one first.
    #[must_use]
    pub fn list(&self, tenant: TenantId, limit: usize) -> RefusalList {
        let board = self.board.lock();
        let mut found: Vec<&Entry> =
            board.entries.iter().filter(|entry| entry.refused.tenant == tenant).collect();
        found.sort_unstable_by_key(|entry| std::cmp::Reverse(entry.turn));
        let refused = found.into_iter().take(limit).map(|entry| entry.refused.clone()).collect();
        RefusalList { refused, unlisted: board.unlisted }
    }
}

#[derive(Debug, Default)]
struct Board {
    /// The entries' keys, in their order: what is searched for each refusal.
    keys: Vec<u64>,
    entries: Vec<Entry>,
    /// Grows with each refusal: what orders them when clocks do not.
    turn: u64,
    windows: Windows,
    unlisted: u64,
}

#[derive(Debug)]
struct Entry {
    refused: Refused,
    turn: u64,
    slot: u8,
    told_ms: i64,
}

impl Board {
    /// Takes a refusal; gives it when people are to be told.
    fn note(
        &mut self,
        refusing: &Refusing<'_>,
        key: u64,
        slot: u8,
        now_ms: i64,
    ) -> Option<Refused> {
        self.turn += 1;
        if let Some(place) = self.keys.iter().position(|known| *known == key) {
            let entry = self.entries.get_mut(place)?;
            entry.turn = self.turn;
            entry.refused.count += 1;
            entry.refused.last_ms = now_ms;
            let quiet = now_ms.saturating_sub(entry.told_ms);
            // a clock that was set back must not silence it
            if (0..REFUSAL_TOLD_INTERVAL_MS).contains(&quiet) {
                return None;
            }
            entry.told_ms = now_ms;
            entry.refused.learn(refusing);
            return Some(entry.refused.clone());
        }
        if !self.windows.admit(slot, now_ms) {
            self.unlisted += 1;
            return None;
        }
        let refused = Refused::first(refusing, key, now_ms);
        let entry = Entry { refused: refused.clone(), turn: self.turn, slot, told_ms: now_ms };
        if self.entries.len() < REFUSALS_LEN_MAX {
            self.keys.push(key);
            self.entries.push(entry);
        } else {
            let place = self.longest_quiet(slot)?;
            *self.keys.get_mut(place)? = key;
            *self.entries.get_mut(place)? = entry;
        }
        Some(refused)
    }

    /// The entry that makes room: one of the same source where that has its share, any otherwise.
    fn longest_quiet(&self, slot: u8) -> Option<usize> {
        let own = self.entries.iter().filter(|entry| entry.slot == slot).count();
        let only_own = own >= REFUSALS_PER_SOURCE_MAX;
        let eligible = |(_, entry): &(usize, &Entry)| !only_own || entry.slot == slot;
        let oldest = self.entries.iter().enumerate().filter(eligible).min_by_key(|(_, e)| e.turn);
        oldest.map(|(place, _)| place)
    }
}

/// How many new entries each source has made in the present second.
#[derive(Debug)]
struct Windows([(i64, u16); SOURCES]);

impl Default for Windows {
    fn default() -> Self {
        Self([(i64::MIN, 0); SOURCES])
    }
}

impl Windows {
    fn admit(&mut self, slot: u8, now_ms: i64) -> bool {
        let Some((second, used)) = self.0.get_mut(usize::from(slot)) else { return false };
        if *second != now_ms / 1_000 {
            (*second, *used) = (now_ms / 1_000, 0);
        }
        *used += u16::from(*used < NEW_REFUSALS_PER_SOURCE_S_MAX + 1);
        *used <= NEW_REFUSALS_PER_SOURCE_S_MAX
    }
}

impl Refused {
    fn first(refusing: &Refusing<'_>, id: u64, now_ms: i64) -> Self {
        let mut refused = Self {
            id,
            attempt: refusing.attempt,
            tenant: refusing.tenant,
            source: refusing.source.map(shortened),
            username: None,
            client_id: None,
            address: None,
            topic: refusing.topic.map(shortened),
            code: refusing.code,
            reason: Box::default(),
            count: 1,
            first_ms: now_ms,
            last_ms: now_ms,
        };
        refused.learn(refusing);
        refused
    }

    /// Takes over what may differ from one time to the next.
    fn learn(&mut self, refusing: &Refusing<'_>) {
        self.username = refusing.username.map(shortened);
        self.client_id = refusing.client_id.map(shortened);
        self.address = refusing.address;
        self.reason = shortened(&refusing.reason.to_string());
    }
}

/// What a stranger sends may be long: its beginning tells enough.
fn shortened(text: &str) -> Box<str> {
    if text.len() <= REFUSAL_TEXT_BYTES_MAX {
        return text.into();
    }
    let kept = text.floor_char_boundary(REFUSAL_TEXT_BYTES_MAX - '…'.len_utf8());
    format!("{}…", text.get(..kept).unwrap_or_default()).into()
}

#[cfg(test)]
mod tests;
