//! What the registry needs from above: someone who can tell whether a script compiles.

use flux_types::Problem;

use crate::JsonMapping;

/// What a script is for, and so which names and functions it sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ScriptKind {
    /// Decides whether a rule's actions are triggered.
    Trigger,
    /// Edits a product's values after decode.
    Transform,
}

/// Checks what only other organs understand; implemented above this crate.
pub trait ScriptCheck: Send + Sync {
    /// What is wrong with a script, with lines and columns; nothing when it compiles.
    ///
    /// Problems come without a pointer: the registry adds the script's own.
    fn check(&self, kind: ScriptKind, source: &str) -> Vec<Problem>;

    /// What is wrong with a product's mapping, with pointers relative to `decode`; nothing when a
    /// decoder can be made of it.
    fn check_mapping(&self, mapping: &JsonMapping) -> Vec<Problem> {
        let _ = mapping;
        Vec::new()
    }
}
