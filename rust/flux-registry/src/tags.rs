//! A device's labels.

use std::collections::BTreeMap;

/// Names and what they say, in the order of the names. Immutable and small: there is one for each
/// of very many devices.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tags(Box<[(Box<str>, Box<str>)]>);

impl Tags {
    /// What the tag of that name says.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        let found = self.0.binary_search_by(|(known, _)| (**known).cmp(name)).ok()?;
        self.0.get(found).map(|(_, value)| &**value)
    }

    /// All tags, in the order of their names.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (&**name, &**value))
    }

    pub(crate) fn to_map(&self) -> BTreeMap<String, String> {
        self.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
    }
}

impl From<BTreeMap<String, String>> for Tags {
    fn from(tags: BTreeMap<String, String>) -> Self {
        let boxed = |(name, value): (String, String)| (name.into(), value.into());
        Self(tags.into_iter().map(boxed).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_found_by_name_and_come_back_as_they_were() {
        let map: BTreeMap<String, String> = [("line", "3"), ("area", "b"), ("", "x")]
            .map(|(n, v)| (n.to_owned(), v.to_owned()))
            .into();
        let tags = Tags::from(map.clone());
        assert_eq!(
            (tags.get("line"), tags.get("area"), tags.get("")),
            (Some("3"), Some("b"), Some("x"))
        );
        assert_eq!(tags.get("lin"), None);
        assert_eq!(tags.iter().len(), 3);
        assert_eq!(tags.to_map(), map);
    }
}
