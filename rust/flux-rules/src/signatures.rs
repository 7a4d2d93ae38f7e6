//! The functions a script can call, and what a misspelt name was meant to be.

use std::collections::{BTreeMap, BTreeSet};

/// Functions there are, by name, with the numbers of arguments they take.
#[derive(Debug, Default)]
pub(crate) struct Signatures {
    pub(crate) arities: BTreeMap<String, BTreeSet<usize>>,
    /// Names that exist in the language and that scripts may not use, with the reason.
    pub(crate) refused: BTreeMap<&'static str, &'static str>,
}

/// Functions the language itself knows beside the registered ones, with their arities.
const BUILT_IN: [(&str, &[usize]); 8] = [
    ("print", &[1]),
    ("debug", &[1]),
    ("type_of", &[1]),
    ("Fn", &[1]),
    ("is_def_var", &[1]),
    ("is_def_fn", &[2, 3]),
    ("is_shared", &[1]),
    ("exit", &[0, 1]),
];

impl Signatures {
    pub(crate) fn new(
        registered: impl IntoIterator<Item = (String, usize)>,
        refused: impl IntoIterator<Item = (&'static str, &'static str)>,
    ) -> Self {
        let mut arities: BTreeMap<String, BTreeSet<usize>> = BTreeMap::new();
        for (name, arity) in registered {
            arities.entry(name).or_default().insert(arity);
        }
        for (name, counts) in BUILT_IN {
            arities.entry(name.to_owned()).or_default().extend(counts);
        }
        Self { arities, refused: refused.into_iter().collect() }
    }

    /// A known name that the unknown one may have been meant to be.
    pub(crate) fn nearest<'s>(
        &'s self,
        unknown: &str,
        own: impl Iterator<Item = &'s str>,
    ) -> Option<&'s str> {
        let callable = |name: &&str| name.starts_with(char::is_alphabetic) && !name.contains('$');
        let known = self.arities.keys().map(String::as_str).filter(callable);
        nearest_of(unknown, known.chain(own))
    }
}

/// The name that an unknown one may have been meant to be.
pub(crate) fn nearest<'s>(unknown: &str, known: &[&'s str]) -> Option<&'s str> {
    nearest_of(unknown, known.iter().copied())
}

fn nearest_of<'s>(unknown: &str, known: impl Iterator<Item = &'s str>) -> Option<&'s str> {
    if !unknown.starts_with(char::is_alphabetic) {
        return None;
    }
    let far = match unknown.chars().count() {
        0..=2 => return None,
        3..=4 => 1,
        _ => 2,
    };
    known
        .filter(|known| *known != unknown)
        .map(|known| (distance(unknown, known), known))
        .filter(|(steps, _)| *steps <= far)
        .min()
        .map(|(_, known)| known)
}

/// Edits (insert, delete, replace, swap neighbours) between two names: the restricted
/// Damerau-Levenshtein distance (Boytsov 2011, section 2.1).
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut rows: [Vec<usize>; 3] =
        [vec![0; b.len() + 1], (0..=b.len()).collect(), vec![0; b.len() + 1]];
    for (i, from) in a.iter().enumerate() {
        let [two_back, back, row] = &mut rows;
        row[0] = i + 1;
        for (j, to) in b.iter().enumerate() {
            let replace = back[j] + usize::from(from != to);
            let mut least = replace.min(back[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && *from == b[j - 1] && a[i - 1] == *to {
                least = least.min(two_back[j - 1] + 1);
            }
            row[j + 1] = least;
        }
        rows.rotate_left(1);
    }
    rows[1][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distance_counts_edits_and_swaps() {
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("publish", "publish"), 0);
        assert_eq!(distance("sned", "send"), 1);
        assert_eq!(distance("raise_alarm", "rais_alram"), 2);
        assert_eq!(distance("kitten", "sitting"), 3);
    }
}
