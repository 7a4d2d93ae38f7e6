//! Paths into a payload: `data[0].t`, `a.b`, `["a.b"].c`.

/// Where something stands, from a sample's root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Path(Vec<Step>);

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

impl Path {
    /// Reads a path.
    ///
    /// # Errors
    /// What is wrong with it. Characters are counted from 1, for people.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        if text.is_empty() || text.len() > BYTES_MAX {
            return Err(format!("a path has 1 to {BYTES_MAX} bytes"));
        }
        let mut steps = Vec::new();
        let mut rest = text;
        while !rest.is_empty() {
            let (step, after) = step(text, rest, steps.is_empty())?;
            steps.push(step);
            if steps.len() > STEPS_MAX {
                return Err(format!("a path has at most {STEPS_MAX} steps"));
            }
            rest = after;
        }
        Ok(Self(steps))
    }
}

fn step<'t>(text: &str, rest: &'t str, first: bool) -> Result<(Step, &'t str), String> {
    let at = |rest: &str| text.chars().count() - rest.chars().count() + 1;
    if rest.starts_with('[') {
        return bracket(rest).ok_or_else(|| {
            format!(
                "the bracket at character {} holds neither an index up to {INDEX_MAX} (`[0]`) nor \
                 a name (`[\"a.b\"]`)",
                at(rest)
            )
        });
    }
    let name = match (first, rest.strip_prefix('.')) {
        (true, _) => rest,
        (false, Some(name)) => name,
        (false, None) => return Err(format!("`.` or `[` is missing at character {}", at(rest))),
    };
    let (name, after) = name.split_at(name.find(['.', '[']).unwrap_or(name.len()));
    if name.is_empty() {
        return Err(format!("a name is missing at character {}", at(after)));
    }
    Ok((Step::Key(name.into()), after))
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
pub(crate) enum Target {
    Device,
    Time,
    Value(Box<str>),
}

/// All paths of a mapping as one tree, so that a payload is read once whatever their number.
#[derive(Debug, Default)]
pub(crate) struct Node {
    keys: Vec<(Box<str>, Node)>,
    items: Vec<(usize, Node)>,
    pub(crate) targets: Vec<Target>,
}

impl Node {
    pub(crate) fn add(&mut self, path: &Path, target: Target) {
        let mut node = self;
        for step in &path.0 {
            node = match step {
                Step::Key(name) => child(&mut node.keys, name),
                Step::Index(index) => child(&mut node.items, index),
            };
        }
        node.targets.push(target);
    }

    pub(crate) fn key(&self, name: &str) -> Option<&Self> {
        self.keys.iter().find(|(known, _)| **known == *name).map(|(_, node)| node)
    }

    pub(crate) fn item(&self, index: usize) -> Option<&Self> {
        self.items.iter().find(|(known, _)| *known == index).map(|(_, node)| node)
    }

    pub(crate) fn has_items(&self) -> bool {
        !self.items.is_empty()
    }

    /// Whether a path leads on from here.
    pub(crate) fn leads_on(&self) -> bool {
        !self.items.is_empty() || !self.keys.is_empty()
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

    #[test]
    fn path_is_names_and_indices() {
        let key = |name: &str| Step::Key(name.into());
        let parse = |text: &str| Path::parse(text).map(|path| path.0);
        assert_eq!(parse("t"), Ok(vec![key("t")]));
        assert_eq!(parse("data[0].t"), Ok(vec![key("data"), Step::Index(0), key("t")]));
        assert_eq!(parse("[2][3]"), Ok(vec![Step::Index(2), Step::Index(3)]));
        assert_eq!(parse("a[\"b.c\"].d"), Ok(vec![key("a"), key("b.c"), key("d")]));
    }

    #[test]
    fn wrong_path_is_told_by_its_character() {
        for (text, expected) in [
            ("", "a path has 1 to 512 bytes"),
            ("a..b", "a name is missing at character 3"),
            (".a", "a name is missing at character 1"),
            ("é.", "a name is missing at character 3"),
            ("a[10000]", "the bracket at character 2"),
            ("a[+1]", "the bracket at character 2"),
            ("a[\"b]", "the bracket at character 2"),
            ("a[0]b", "`.` or `[` is missing at character 5"),
        ] {
            assert!(Path::parse(text).unwrap_err().starts_with(expected), "{text}");
        }
        assert!(Path::parse(&vec!["a"; 33].join(".")).is_err());
    }
}
