//! What births defined of the metrics of one message.
//!
//! Owns looking aliases and names up. One pass over the table for all metrics together: a table of
//! thousands must not be gone through for each of thousands. Must never change the state.

use crate::payload::Metric;
use crate::state::{self, Scope};

/// What is known of the metrics of a payload, each at its index.
#[derive(Debug, Default)]
pub(crate) struct Definitions {
    found: Vec<Option<Definition>>,
    /// Names of metrics that came by alias, one behind the other.
    names: String,
}

/// What is known of one metric.
#[derive(Debug, Clone)]
pub(crate) struct Definition {
    pub(crate) metric: state::Metric,
    name: std::ops::Range<usize>,
}

impl Definitions {
    /// Of these metrics; nothing where all of them say everything themselves.
    pub(crate) fn of(scope: Option<&Scope<'_>>, metrics: &[Metric<'_>]) -> Self {
        let mut definitions = Self::default();
        if let Some(scope) = scope {
            definitions.look_up(scope, metrics);
        }
        definitions
    }

    /// The definition of the metric at this index.
    pub(crate) fn get(&self, index: usize) -> Option<&Definition> {
        self.found.get(index)?.as_ref()
    }

    /// The name of a definition.
    pub(crate) fn name(&self, definition: &Definition) -> &str {
        self.names.get(definition.name.clone()).unwrap_or_default()
    }

    fn look_up(&mut self, scope: &Scope<'_>, metrics: &[Metric<'_>]) {
        let (mut aliases, mut names) = (Vec::new(), Vec::new());
        for (index, metric) in metrics.iter().enumerate() {
            match (metric.name, metric.alias) {
                (None, Some(alias)) => aliases.push((alias, index)),
                // its name is enough, unless a datatype or a quality is to be found
                (Some(_), _) if metric.datatype.is_some() && !scope.any_bad && metric.plain() => {}
                (Some(name), _) => names.push((name.as_bytes(), index)),
                (None, None) => {}
            }
        }
        if aliases.is_empty() && names.is_empty() {
            return;
        }
        aliases.sort_unstable();
        names.sort_unstable();
        self.found.resize(metrics.len(), None);
        let mut left = aliases.len() + names.len();
        scope.each(|metric, name| {
            if let Some(alias) = metric.alias {
                for index in equal(&aliases, &alias) {
                    left -= self.note(index, metric, name, true);
                }
            }
            for index in equal(&names, &name) {
                left -= self.note(index, metric, name, false);
            }
            left > 0
        });
    }

    /// Takes what was found first; gives how many were.
    fn note(&mut self, index: usize, metric: state::Metric, name: &[u8], by_alias: bool) -> usize {
        let Some(found @ None) = self.found.get_mut(index) else { return 0 };
        let start = self.names.len();
        if by_alias {
            let Ok(name) = std::str::from_utf8(name) else { return 0 };
            self.names.push_str(name);
        }
        *found = Some(Definition { metric, name: start..self.names.len() });
        1
    }
}

/// The indices that stand behind a key, in a sorted list.
fn equal<K: Ord>(sorted: &[(K, usize)], key: &K) -> impl Iterator<Item = usize> {
    let start = match sorted {
        [only] => usize::from(only.0 < *key),
        _ => sorted.partition_point(|(known, _)| known < key),
    };
    sorted.iter().skip(start).take_while(move |(known, _)| known == key).map(|(_, index)| *index)
}
