//! From configuration's words to those of the rules crate.

use flux_registry::{RuleSpec, Snapshot};
use flux_rules::{Environment, RuleDefinition, Sources};

/// A configured rule as the rules crate takes it.
pub(crate) fn definition(rule: &RuleSpec) -> RuleDefinition {
    RuleDefinition {
        id: rule.id,
        tenant: rule.tenant,
        version: rule.version,
        name: rule.name.clone(),
        script: rule.trigger_script.to_string(),
        sources: Sources {
            topics: rule.sources.topics.clone(),
            products: rule.sources.products.clone(),
            devices: rule.sources.devices.clone(),
        },
        enabled: rule.enabled,
    }
}

/// The site's constants. What is not of the known names' types is left at its default: the
/// configuration is checked where it is made.
pub(crate) fn environment(snapshot: &Snapshot) -> Environment {
    let env = snapshot.env();
    let text = |name: &str| env.get(name).and_then(|value| value.as_str()).unwrap_or_default();
    Environment {
        site: text("site").to_owned(),
        tenant: text("tenant").to_owned(),
        timezone: text("timezone").to_owned(),
        user: env.get("user").and_then(|user| user.as_object()).cloned().unwrap_or_default(),
    }
}
