//! Paths into JSON: `data[0].t`, `a.b`, `["a.b"].c`.

use std::sync::Arc;

/// Where something stands, from a sample's root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Path(Vec<Step>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Step {
    Key(Box<str>),
    Index(usize),
}

/// The longest path, in bytes.
const BYTES_MAX: usize = 512;
/// The deepest path, in steps.
const STEPS_MAX: usize = 32;
/// The highest index.
const INDEX_MAX: usize = 9999;

/// Why a text is no path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum PathError {
    #[error("a path has 1 to 512 bytes")]
    Length,
    #[error("a path has at most 32 steps")]
    TooDeep,
    #[error("a name is missing at character {0}")]
    NameMissing(usize),
    #[error(
        "the bracket at character {0} holds neither an index up to 9999 (`[0]`) nor a name \
         (`[\"a.b\"]`)"
    )]
    Bracket(usize),
    #[error("`.` or `[` is missing at character {0}")]
    Unexpected(usize),
}

impl Path {
    pub(super) fn parse(text: &str) -> Result<Self, PathError> {
        if text.is_empty() || text.len() > BYTES_MAX {
            return Err(PathError::Length);
        }
        let mut steps = Vec::new();
        let mut rest = text;
        while !rest.is_empty() {
            // characters are counted from 1, for people
            let at = |rest: &str| text.chars().count() - rest.chars().count() + 1;
            let (step, after) = if rest.starts_with('[') {
                bracket(rest).ok_or_else(|| PathError::Bracket(at(rest)))?
            } else {
                let name = match (steps.is_empty(), rest.strip_prefix('.')) {
                    (true, _) => rest,
                    (false, Some(name)) => name,
                    (false, None) => return Err(PathError::Unexpected(at(rest))),
                };
                let (name, after) = name.split_at(name.find(['.', '[']).unwrap_or(name.len()));
                if name.is_empty() {
                    return Err(PathError::NameMissing(at(after)));
                }
                (Step::Key(name.into()), after)
            };
            steps.push(step);
            if steps.len() > STEPS_MAX {
                return Err(PathError::TooDeep);
            }
            rest = after;
        }
        Ok(Self(steps))
    }
}

fn bracket(text: &str) -> Option<(Step, &str)> {
    let inner = text.strip_prefix('[')?;
    if let Some(name) = inner.strip_prefix('"') {
        let (name, after) = name.split_once("\"]")?;
        return (!name.is_empty()).then(|| (Step::Key(name.into()), after));
    }
    let (digits, after) = inner.split_once(']')?;
    let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    let index = plain.then(|| digits.parse().ok()).flatten()?;
    (index <= INDEX_MAX).then_some((Step::Index(index), after))
}

/// What stands at the end of a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Target {
    Device,
    Time,
    Value(Arc<str>),
}

/// All paths of a mapping as one tree, so that a payload is read once whatever their number.
#[derive(Debug, Default)]
pub(super) struct Node {
    keys: Vec<(Box<str>, Node)>,
    items: Vec<(usize, Node)>,
    pub(super) targets: Vec<Target>,
}

impl Node {
    pub(super) fn add(&mut self, path: &Path, target: Target) {
        let mut node = self;
        for step in &path.0 {
            node = match step {
                Step::Key(name) => child(&mut node.keys, name),
                Step::Index(index) => child(&mut node.items, index),
            };
        }
        node.targets.push(target);
    }

    pub(super) fn key(&self, name: &str) -> Option<&Self> {
        self.keys.iter().find(|(known, _)| **known == *name).map(|(_, node)| node)
    }

    pub(super) fn item(&self, index: usize) -> Option<&Self> {
        self.items.iter().find(|(known, _)| *known == index).map(|(_, node)| node)
    }

    pub(super) fn has_items(&self) -> bool {
        !self.items.is_empty()
    }

    /// Calls `found` with what stands at each path, in a value that is read already.
    pub(super) fn walk(
        &self,
        json: &serde_json::Value,
        found: &mut impl FnMut(&Target, &serde_json::Value),
    ) {
        for (name, node) in &self.keys {
            if let Some(json) = json.get(&**name) {
                node.targets.iter().for_each(|target| found(target, json));
                node.walk(json, found);
            }
        }
        for (index, node) in &self.items {
            if let Some(json) = json.get(index) {
                node.targets.iter().for_each(|target| found(target, json));
                node.walk(json, found);
            }
        }
    }
}

fn child<'n, K: PartialEq + Clone>(children: &'n mut Vec<(K, Node)>, key: &K) -> &'n mut Node {
    let index = children.iter().position(|(known, _)| known == key).unwrap_or_else(|| {
        children.push((key.clone(), Node::default()));
        children.len() - 1
    });
    &mut children[index].1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str) -> Step {
        Step::Key(name.into())
    }

    #[test]
    fn path_is_names_and_indices() {
        let parse = |text: &str| Path::parse(text).map(|path| path.0);
        assert_eq!(parse("t"), Ok(vec![key("t")]));
        assert_eq!(parse("data[0].t"), Ok(vec![key("data"), Step::Index(0), key("t")]));
        assert_eq!(parse("[2][3]"), Ok(vec![Step::Index(2), Step::Index(3)]));
        assert_eq!(parse("a[\"b.c\"].d"), Ok(vec![key("a"), key("b.c"), key("d")]));
        assert_eq!(parse("température.été"), Ok(vec![key("température"), key("été")]));
    }

    #[test]
    fn wrong_path_is_told_by_its_character() {
        let parse = |text: &str| Path::parse(text).map(|_| ());
        assert_eq!(parse(""), Err(PathError::Length));
        assert_eq!(parse(&"a".repeat(513)), Err(PathError::Length));
        assert_eq!(parse(&vec!["a"; 33].join(".")), Err(PathError::TooDeep));
        assert_eq!(parse("a..b"), Err(PathError::NameMissing(3)));
        assert_eq!(parse(".a"), Err(PathError::NameMissing(1)));
        assert_eq!(parse("é."), Err(PathError::NameMissing(3)));
        for text in ["a[", "a[]", "a[x]", "a[-1]", "a[10000]", "a[\"\"]", "a[\"b]", "a[+1]"] {
            assert_eq!(parse(text), Err(PathError::Bracket(2)), "{text}");
        }
        assert_eq!(parse("a[0]b"), Err(PathError::Unexpected(5)));
    }
}
