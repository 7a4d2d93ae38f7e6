//! What came of one evaluation.

use crate::{Effect, LogLine, RuleError};

/// What one evaluation decided, asked for and said.
///
/// All or nothing: where `error` is set, `triggered` is false and `effects` is empty. Log lines are
/// kept either way.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Evaluation {
    /// The script's last value was `true`: the rule's declared actions are to be carried out.
    pub triggered: bool,
    /// What the script asked for, in order.
    pub effects: Vec<Effect>,
    /// What it said, in order; at most `log_lines_max`.
    pub logs: Vec<LogLine>,
    /// How many log lines were beyond `log_lines_max`.
    pub logs_dropped: u64,
    /// Why it failed, if it did.
    pub error: Option<RuleError>,
    /// The script stopped because it needed a value this message does not have. Not an error, and
    /// the rule does not trigger.
    pub missing_value: bool,
    /// Operations it took.
    pub operations: u64,
    /// Time it took, in nanoseconds: measured where the script calls functions or loops, else
    /// estimated from `operations`.
    pub busy_ns: u64,
}

impl Evaluation {
    /// Whether anything is to be done: the rule said `true`, or its functions asked for something.
    #[must_use]
    pub fn acts(&self) -> bool {
        self.triggered || !self.effects.is_empty()
    }

    pub(crate) fn clear(&mut self) {
        self.triggered = false;
        self.effects.clear();
        self.logs.clear();
        self.logs_dropped = 0;
        self.error = None;
        self.missing_value = false;
        self.operations = 0;
        self.busy_ns = 0;
    }
}
