//! The one index from topic filters to whatever hangs on them: subscribers, rules, products.

use foldhash::fast::RandomState;
use std::collections::HashMap;

use crate::{Topic, TopicFilter};

/// Values under topic filters, found by topic.
///
/// Looking up visits only nodes that can still match, at most [`crate::TOPIC_LEVELS_MAX`] deep.
/// Several values may hang on one filter; they are visited in the order inserted there.
#[derive(Debug, Clone)]
pub struct TopicTrie<T> {
    root: Node<T>,
    len: usize,
}

#[derive(Debug, Clone)]
struct Node<T> {
    literal: HashMap<Box<str>, Node<T>, RandomState>,
    plus: Option<Box<Node<T>>>,
    /// Values of filters that end here.
    here: Vec<T>,
    /// Values of filters that go on with a last `#`.
    hash: Vec<T>,
}

impl<T> Default for Node<T> {
    fn default() -> Self {
        Self { literal: HashMap::default(), plus: None, here: Vec::new(), hash: Vec::new() }
    }
}

impl<T> Node<T> {
    fn is_empty(&self) -> bool {
        self.literal.is_empty()
            && self.plus.is_none()
            && self.here.is_empty()
            && self.hash.is_empty()
    }

    fn values_at<'f>(&mut self, mut levels: impl Iterator<Item = &'f str>) -> &mut Vec<T> {
        let mut node = self;
        loop {
            node = match levels.next() {
                None => return &mut node.here,
                Some("#") => return &mut node.hash,
                Some("+") => node.plus.get_or_insert_with(Box::default),
                Some(literal) => node.literal.entry(literal.into()).or_default(),
            };
        }
    }

    /// Drops values from one filter and every node that is left with nothing.
    fn retain(&mut self, levels: &[&str], keep: &mut impl FnMut(&T) -> bool) -> usize {
        let drop_from = |values: &mut Vec<T>, keep: &mut dyn FnMut(&T) -> bool| {
            let before = values.len();
            values.retain(|value| keep(value));
            if values.is_empty() {
                values.shrink_to_fit();
            }
            before - values.len()
        };
        let Some((level, rest)) = levels.split_first() else {
            return drop_from(&mut self.here, keep);
        };
        match *level {
            "#" => drop_from(&mut self.hash, keep),
            "+" => {
                let Some(child) = self.plus.as_deref_mut() else { return 0 };
                let dropped = child.retain(rest, keep);
                if child.is_empty() {
                    self.plus = None;
                }
                dropped
            }
            literal => {
                let Some(child) = self.literal.get_mut(literal) else { return 0 };
                let dropped = child.retain(rest, keep);
                if child.is_empty() {
                    self.literal.remove(literal);
                }
                dropped
            }
        }
    }

    /// `wild` is false at the first level of a `$` topic, which no wildcard matches there.
    fn visit<'t>(&'t self, rest: Option<&str>, wild: bool, found: &mut impl FnMut(&'t T)) {
        if wild {
            self.hash.iter().for_each(&mut *found);
        }
        let Some(rest) = rest else {
            self.here.iter().for_each(found);
            return;
        };
        let (level, below) = match rest.split_once('/') {
            Some((level, below)) => (level, Some(below)),
            None => (rest, None),
        };
        if let Some(child) = self.literal.get(level) {
            child.visit(below, true, found);
        }
        if let (true, Some(child)) = (wild, &self.plus) {
            child.visit(below, true, found);
        }
    }
}

impl<T> Default for TopicTrie<T> {
    fn default() -> Self {
        Self { root: Node::default(), len: 0 }
    }
}

impl<T> TopicTrie<T> {
    /// An empty trie.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// How many values hang in it.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether nothing hangs in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Hangs one more value on a filter.
    pub fn insert(&mut self, filter: &TopicFilter, value: T) {
        self.root.values_at(filter.levels()).push(value);
        self.len += 1;
    }

    /// Drops the values of one filter that `keep` refuses; tells how many went.
    pub fn retain(&mut self, filter: &TopicFilter, mut keep: impl FnMut(&T) -> bool) -> usize {
        let levels: Vec<&str> = filter.levels().collect();
        let dropped = self.root.retain(&levels, &mut keep);
        self.len -= dropped;
        dropped
    }

    /// Calls `found` with each value whose filter matches the topic.
    ///
    /// Wildcards at the first level pass over topics that begin with `$` [MQTT-4.7.2-1].
    pub fn visit<'t>(&'t self, topic: &Topic, mut found: impl FnMut(&'t T)) {
        self.root.visit(Some(topic.as_str()), !topic.is_reserved(), &mut found);
    }

    /// The values whose filters match the topic.
    #[must_use]
    pub fn matches<'t>(&'t self, topic: &Topic) -> Vec<&'t T> {
        let mut values = Vec::new();
        self.visit(topic, |value| values.push(value));
        values
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn filter(text: &str) -> TopicFilter {
        TopicFilter::new(text).unwrap()
    }

    #[test]
    fn every_value_of_a_matching_filter_is_visited_once() {
        let mut trie = TopicTrie::new();
        for (value, text) in ["a/b", "a/+", "#", "a/#", "+/b", "a/b/#", "c"].iter().enumerate() {
            trie.insert(&filter(text), value);
        }
        trie.insert(&filter("a/b"), 7);
        let mut found: Vec<_> =
            trie.matches(&Topic::new("a/b").unwrap()).into_iter().copied().collect();
        found.sort_unstable();
        assert_eq!(found, [0, 1, 2, 3, 4, 5, 7]);
        assert_eq!(trie.len(), 8);
    }

    #[test]
    fn removing_the_last_value_removes_its_nodes() {
        let mut trie = TopicTrie::new();
        for text in ["a/+/c/#", "a/b", "+"] {
            trie.insert(&filter(text), text.len());
        }
        for text in ["a/+/c/#", "a/b", "+"] {
            assert_eq!(trie.retain(&filter(text), |_| false), 1);
        }
        assert_eq!(trie.retain(&filter("never/there"), |_| false), 0);
        assert!(trie.is_empty() && trie.root.is_empty());
    }

    fn level() -> impl Strategy<Value = String> {
        prop_oneof![Just("a"), Just("b"), Just(""), Just("$s")].prop_map(str::to_owned)
    }

    proptest! {
        #[test]
        fn trie_agrees_with_matching_each_filter(
            topic in prop::collection::vec(level(), 1..5),
            filters in prop::collection::vec(
                (prop::collection::vec(prop_oneof![3 => level(), 1 => Just("+".to_owned())], 0..5),
                 any::<bool>()), 1..20),
        ) {
            let Ok(topic) = Topic::new(&topic.join("/")) else { return Ok(()) };
            let filters: Vec<TopicFilter> = filters.into_iter().filter_map(|(mut levels, hash)| {
                if hash { levels.push("#".to_owned()); }
                TopicFilter::new(&levels.join("/")).ok()
            }).collect();
            let mut trie = TopicTrie::new();
            for (index, filter) in filters.iter().enumerate() { trie.insert(filter, index); }
            let mut found: Vec<usize> = trie.matches(&topic).into_iter().copied().collect();
            found.sort_unstable();
            let expected: Vec<usize> = filters.iter().enumerate()
                .filter(|(_, filter)| filter.matches(topic.as_str())).map(|(i, _)| i).collect();
            prop_assert_eq!(found, expected);
        }
    }
}
