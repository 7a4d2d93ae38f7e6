//! What a plugin may ask the host to do.

/// The kinds of an EFFECT section. The host carries them out if the plugin was granted them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum EffectKind {
    /// A command to a device.
    Command = 1,
    /// A message under a topic.
    Publish = 2,
    /// An alarm raised.
    RaiseAlarm = 3,
    /// An alarm cleared.
    ClearAlarm = 4,
    /// An HTTP request.
    Webhook = 5,
    /// Reserved: an e-mail.
    Email = 6,
}

impl EffectKind {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Command,
        Self::Publish,
        Self::RaiseAlarm,
        Self::ClearAlarm,
        Self::Webhook,
        Self::Email,
    ];

    /// The kind of a number; `None` when the number is none.
    #[must_use]
    pub const fn from_u8(number: u8) -> Option<Self> {
        Some(match number {
            1 => Self::Command,
            2 => Self::Publish,
            3 => Self::RaiseAlarm,
            4 => Self::ClearAlarm,
            5 => Self::Webhook,
            6 => Self::Email,
            _ => return None,
        })
    }

    /// Its name in JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Command => "command",
            Self::Publish => "publish",
            Self::RaiseAlarm => "raise_alarm",
            Self::ClearAlarm => "clear_alarm",
            Self::Webhook => "webhook",
            Self::Email => "email",
        }
    }

    /// The kind of a name; `None` when the name is none.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name)
    }
}
