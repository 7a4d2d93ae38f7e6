//! Tells the registry whether scripts compile and mappings hold.

use flux_pipeline::decode::Decoder;
use flux_registry::{JsonMapping, ScriptCheck, ScriptKind};
use flux_rules::{Compiler, Environment, Limits, RuleDefinition, Transform};
use flux_types::{Problem, RuleId, TenantId};

use crate::settings::RuleSettings;

/// Adapts the rules and decode of this engine to [`ScriptCheck`].
pub(crate) struct Scripts {
    limits: Limits,
}

impl Scripts {
    pub(crate) fn new(limits: Limits) -> Self {
        Self { limits }
    }
}

impl ScriptCheck for Scripts {
    fn check(&self, kind: ScriptKind, source: &str) -> Vec<Problem> {
        let outcome = match kind {
            ScriptKind::Trigger => {
                let definition = RuleDefinition {
                    id: RuleId::random(),
                    tenant: TenantId::DEFAULT,
                    version: 1,
                    name: String::new(),
                    script: source.to_owned(),
                    sources: flux_rules::Sources::default(),
                    enabled: true,
                };
                Compiler::new(&self.limits).compile(&definition).map(drop)
            }
            ScriptKind::Transform => {
                Transform::compile(source, &self.limits, &Environment::default()).map(drop)
            }
        };
        outcome.err().map(|error| error.to_problem()).into_iter().collect()
    }

    fn check_mapping(&self, mapping: &JsonMapping) -> Vec<Problem> {
        Decoder::compile(mapping).err().unwrap_or_default()
    }
}

impl RuleSettings {
    /// The limits of scripts: what is set here, over the defaults.
    #[must_use]
    pub fn limits(&self) -> Limits {
        let mut limits = Limits::default();
        macro_rules! take {
            ($($setting:ident => $limit:ident),+) => {
                $(if let Some(value) = self.$setting { limits.$limit = value; })+
            };
        }
        take!(
            operations_max => operations_max,
            call_depth_max => call_depth_max,
            expression_depth_max => expression_depth_max,
            string_bytes_max => string_bytes_max,
            array_len_max => array_len_max,
            map_len_max => map_len_max
        );
        if let Some(us) = self.call_deadline_us {
            limits.deadline = std::time::Duration::from_micros(us);
        }
        limits
    }
}
