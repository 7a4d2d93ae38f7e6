//! Reading a payload, record by record.
//!
//! Owns where records begin and end. Nothing is read that is not there, and nothing is kept.

use flux_plugin_sdk::PluginError;

use crate::kinds::{FULL_POSITION, Part};
use crate::plan::{Format, Plan};

/// The ports of LPP 2.0, section 3.3.
mod port {
    pub(super) const DYNAMIC: u8 = 1;
    pub(super) const PACKED: u8 = 2;
    pub(super) const GPS: u8 = 3;
    /// Actuator commands, periods, sensors enabled.
    pub(super) const CONFIGURATION: [u8; 4] = [10, 11, 13, 14];
    pub(super) const HISTORY_FIRST: u8 = 100;
    pub(super) const HISTORY_LAST: u8 = 199;
}

/// Where records begin and end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Layout {
    Dynamic,
    Packed,
    Gps,
    /// Type, seconds before now, data; all of one channel.
    History(u8),
    /// No values at all.
    Configuration(u8),
}

impl Layout {
    /// By the settings, or by the topic's last level.
    ///
    /// # Errors
    /// Code `lpp.port`: the last level is no port, or one that LPP 2.0 reserves.
    pub(crate) fn of(format: Format, topic: &str) -> Result<Self, PluginError> {
        let level = match format {
            Format::Dynamic => return Ok(Self::Dynamic),
            Format::Packed => return Ok(Self::Packed),
            Format::Gps => return Ok(Self::Gps),
            Format::ByPort => topic.rsplit('/').next().unwrap_or_default(),
        };
        let wrong = |text| PluginError::new("lpp.port", text);
        let port: u8 = level.parse().map_err(|_| {
            wrong(format!("the topic {topic:?} does not end in a port, which `by_port` asks for"))
        })?;
        match port {
            port::DYNAMIC => Ok(Self::Dynamic),
            port::PACKED => Ok(Self::Packed),
            port::GPS => Ok(Self::Gps),
            port::HISTORY_FIRST..=port::HISTORY_LAST => {
                Ok(Self::History(port - port::HISTORY_FIRST))
            }
            port if port::CONFIGURATION.contains(&port) => Ok(Self::Configuration(port)),
            port => Err(wrong(format!("port {port} is reserved in LPP 2.0"))),
        }
    }
}

/// One record.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Record<'p, 'a> {
    pub(crate) channel: u8,
    /// The type's number.
    pub(crate) number: u8,
    /// The type's name.
    pub(crate) kind: &'p str,
    pub(crate) parts: &'p [Part],
    pub(crate) is_time: bool,
    /// As many bytes as the parts have.
    pub(crate) data: &'a [u8],
    /// Seconds before the payload was sent.
    pub(crate) age_s: Option<u16>,
}

/// Why a payload cannot be read on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Problem {
    /// It ends within the record that begins at this byte.
    Truncated { at: usize },
    /// The record that begins at this byte is of a type whose size nobody knows.
    UnknownType { at: usize, number: u8 },
}

impl From<Problem> for PluginError {
    fn from(problem: Problem) -> Self {
        match problem {
            Problem::Truncated { at } => Self::new(
                "lpp.truncated",
                format!("the payload ends within the record at byte {at}"),
            ),
            Problem::UnknownType { at, number } => Self::new(
                "lpp.type",
                format!(
                    "the record at byte {at} is of type {number}, which is not known; \
                    describe it in the setting `types`"
                ),
            ),
        }
    }
}

/// The records of a payload, in order; behind a problem there is nothing more.
#[derive(Debug, Clone)]
pub(crate) struct Records<'p, 'a> {
    plan: &'p Plan,
    layout: Layout,
    payload: &'a [u8],
    at: usize,
    /// Records so far: the channel, where records do not tell.
    count: u8,
}

impl<'p, 'a> Records<'p, 'a> {
    pub(crate) const fn new(plan: &'p Plan, layout: Layout, payload: &'a [u8]) -> Self {
        Self { plan, layout, payload, at: 0, count: 0 }
    }

    fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let found = self.payload.get(self.at..)?.get(..len)?;
        self.at += len;
        Some(found)
    }

    fn byte(&mut self) -> Option<u8> {
        self.take(1)?.first().copied()
    }

    /// `None`: it ends too early.
    fn record(&mut self) -> Option<Result<Record<'p, 'a>, Problem>> {
        let at = self.at;
        let channel = match self.layout {
            Layout::Dynamic | Layout::Gps => self.byte()?,
            Layout::History(channel) => channel,
            Layout::Packed | Layout::Configuration(_) => self.count,
        };
        if self.layout == Layout::Gps {
            let data = self.take(FULL_POSITION.iter().map(|part| part.bytes).sum())?;
            let (kind, parts) = ("gps", FULL_POSITION);
            let number = 136;
            return Some(Ok(Record {
                channel,
                number,
                kind,
                parts,
                is_time: false,
                data,
                age_s: None,
            }));
        }
        let number = self.byte()?;
        let Some(kind) = self.plan.kind(number) else {
            return Some(Err(Problem::UnknownType { at, number }));
        };
        let age_s = match self.layout {
            Layout::History(_) => Some(u16::from_be_bytes(self.take(2)?.try_into().ok()?)),
            _ => None,
        };
        let data = self.take(kind.bytes())?;
        let (is_time, parts) = (kind.is_time, &*kind.parts);
        Some(Ok(Record { channel, number, kind: &kind.name, parts, is_time, data, age_s }))
    }
}

impl<'p, 'a> Iterator for Records<'p, 'a> {
    type Item = Result<Record<'p, 'a>, Problem>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.at >= self.payload.len() {
            return None;
        }
        let at = self.at;
        let record = self.record().unwrap_or(Err(Problem::Truncated { at }));
        self.count = self.count.wrapping_add(1);
        if record.is_err() {
            self.at = self.payload.len();
        }
        Some(record)
    }
}
