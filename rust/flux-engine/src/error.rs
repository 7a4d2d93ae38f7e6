//! Why the engine did not do what it was asked.

use flux_bus::BusError;
use flux_log::LogError;
use flux_net::NetError;
use flux_pipeline::{AlarmError, CommandError, PipelineError, Refusal};
use flux_registry::{ApplyError, FileError};
use flux_wasm::PluginError;
use flux_types::{AlarmId, Coded, ErrorKind, Problem};

/// Everything the engine can answer instead.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EngineError {
    /// The log did not open or close.
    #[error("the log in the data directory did not open")]
    Log(#[from] LogError),
    /// The pipeline did not start.
    #[error("the pipeline did not start")]
    Pipeline(#[from] PipelineError),
    /// A listener did not open.
    #[error("the listener did not open")]
    Net(#[from] NetError),
    /// The configuration was not taken.
    #[error("the configuration was not taken")]
    Apply(#[from] ApplyError),
    /// The configuration's file cannot be read or written.
    #[error("the configuration's file failed")]
    File(#[from] FileError),
    /// A setting is not what it has to be.
    #[error("the engine's settings are wrong: {0}")]
    Settings(String),
    /// An alarm was not changed.
    #[error("the alarm was not changed")]
    Alarm(#[from] AlarmError),
    /// A command was not taken.
    #[error("the command was not taken")]
    Command(#[from] CommandError),
    /// A message was not taken.
    #[error("the message was not published")]
    Publish(#[from] Refusal),
    /// A plugin cannot be loaded, called or found.
    #[error("{0}")]
    Plugin(#[from] PluginError),
    /// Nobody else can listen to what happens.
    #[error("the live events cannot be listened to")]
    Tap(#[from] BusError),
    /// What was given cannot be: a topic, an id.
    #[error("{0}")]
    Invalid(String),
    /// There is none.
    #[error("no {what} has the id {id}")]
    NotFound {
        /// What was looked for.
        what: &'static str,
        /// Its id as given.
        id: String,
    },
    /// The engine does not run.
    #[error("the engine is not running")]
    Stopped,
}

impl EngineError {
    /// Everything that is wrong, each with its place, where that is known.
    #[must_use]
    pub fn problems(&self) -> Vec<Problem> {
        match self {
            Self::Apply(error) => error.problems().to_vec(),
            Self::Net(error) => vec![error.problem()],
            Self::Plugin(error) => error.to_problems(),
            _ => Vec::new(),
        }
    }

    /// How to mend it, where that is known.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Net(error) => error.hint(),
            Self::Log(LogError::Damaged(_)) => Some(
                "what is damaged was acknowledged: restore a copy of the data directory, or open it \
                 once as a library with the setting `engine.repair` to go on without it"
                    .to_owned(),
            ),
            Self::Log(LogError::Locked { .. }) => {
                Some("stop the other process, or use another data_dir".to_owned())
            }
            _ => None,
        }
    }
}

impl Coded for EngineError {
    fn code(&self) -> &'static str {
        match self {
            Self::Log(error) => error.code(),
            Self::Pipeline(error) => error.code(),
            Self::Net(error) => error.code(),
            Self::Apply(error) => error.code(),
            Self::File(error) => error.code(),
            Self::Settings(_) => "engine.settings",
            Self::Alarm(AlarmError::NotActive(AlarmId(_))) => "alarm.not_active",
            Self::Alarm(_) => "alarm.not_recorded",
            Self::Command(CommandError::UnknownDevice(_)) => "command.unknown_device",
            Self::Command(CommandError::TooMany) => "command.too_many",
            Self::Command(CommandError::Slow) => "command.slow",
            Self::Command(_) => "command.not_recorded",
            Self::Publish(error) => error.code(),
            Self::Plugin(error) => error.code(),
            Self::Tap(error) => error.code(),
            Self::Invalid(_) => "engine.invalid",
            Self::NotFound { .. } => "engine.not_found",
            Self::Stopped => "engine.stopped",
        }
    }

    fn kind(&self) -> ErrorKind {
        match self {
            Self::Log(error) => error.kind(),
            Self::Pipeline(error) => error.kind(),
            Self::Net(error) => error.kind(),
            Self::Apply(error) => error.kind(),
            Self::File(error) => error.kind(),
            Self::Settings(_) | Self::Invalid(_) => ErrorKind::Invalid,
            Self::Alarm(AlarmError::NotActive(_)) => ErrorKind::Conflict,
            Self::Command(CommandError::UnknownDevice(_)) | Self::NotFound { .. } => {
                ErrorKind::NotFound
            }
            Self::Publish(error) => error.kind(),
            Self::Plugin(error) => error.kind(),
            Self::Tap(error) => error.kind(),
            Self::Alarm(_) | Self::Command(_) | Self::Stopped => ErrorKind::Unavailable,
        }
    }
}
