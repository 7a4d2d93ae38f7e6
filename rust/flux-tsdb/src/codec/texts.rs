//! Columns of texts and bytes: each different one once, and which of them each point has.
//!
//! Owns the dictionary's layout:
//!
//! ```text
//! column = entries · (length · bytes)… · indices as whole numbers
//! ```

use std::collections::HashMap;
use std::sync::Arc;

use foldhash::fast::RandomState;

use super::{Input, ints, put_varint};

/// Bytes of a text, shared.
pub(crate) type Text = Arc<[u8]>;

/// Writes a column. `indices` point into `texts`, which may hold some more than once.
pub(crate) fn encode(texts: &[Text], indices: impl Iterator<Item = u64>, out: &mut Vec<u8>) {
    let mut known: HashMap<&[u8], i64, RandomState> = HashMap::default();
    let mut entries: Vec<&[u8]> = Vec::new();
    let mut column = Vec::new();
    for index in indices {
        let text = usize::try_from(index).ok().and_then(|index| texts.get(index));
        let text: &[u8] = text.map_or(&[], |text| text);
        let next = entries.len() as i64;
        let entry = *known.entry(text).or_insert(next);
        if entry == next {
            entries.push(text);
        }
        column.push(entry);
    }
    put_varint(out, entries.len() as u64);
    for text in entries {
        put_varint(out, text.len() as u64);
        out.extend_from_slice(text);
    }
    ints::encode(&column, out);
}

/// Reads a column of `count` texts: the different ones are put behind `texts`, and where each point
/// finds its own is given back.
pub(crate) fn decode(
    input: &mut Input<'_>,
    count: usize,
    texts: &mut Vec<Text>,
) -> Option<Vec<u64>> {
    let before = texts.len();
    let entries = input.count()?;
    if entries > count {
        return None;
    }
    for _ in 0..entries {
        let len = input.count()?;
        texts.push(Text::from(input.take(len)?));
    }
    let column = ints::decode(input, count)?;
    column
        .into_iter()
        .map(|entry| {
            let entry = usize::try_from(entry).ok().filter(|entry| *entry < entries)?;
            Some((before + entry) as u64)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(words: &[&str]) -> Vec<Text> {
        words.iter().map(|word| Text::from(word.as_bytes())).collect()
    }

    fn round_trip(words: &[&str]) -> usize {
        let given = texts(words);
        let mut bytes = Vec::new();
        encode(&given, 0..given.len() as u64, &mut bytes);
        let mut back = texts(&["of another column"]);
        let mut input = Input::new(&bytes);
        let indices = decode(&mut input, words.len(), &mut back).unwrap();
        assert!(input.is_empty());
        let found: Vec<&[u8]> =
            indices.iter().map(|i| &*back[usize::try_from(*i).unwrap()]).collect();
        assert_eq!(found, words.iter().map(|word| word.as_bytes()).collect::<Vec<_>>());
        bytes.len()
    }

    #[test]
    fn few_different_texts_take_little() {
        let states: Vec<&str> =
            (0..1000).map(|i| if i % 300 < 5 { "fault: no water" } else { "on" }).collect();
        assert!(round_trip(&states) < 120);
        round_trip(&[]);
        round_trip(&["", "a", "", "é"]);
    }

    #[test]
    fn column_that_is_cut_or_points_nowhere_is_refused() {
        let given = texts(&["a", "bc", "a", "def"]);
        let mut bytes = Vec::new();
        encode(&given, 0..4, &mut bytes);
        for len in 0..bytes.len() {
            assert_eq!(decode(&mut Input::new(&bytes[..len]), 4, &mut Vec::new()), None, "{len}");
        }
        let mut nowhere = vec![1, 1, b'a'];
        ints::encode(&[0, 1], &mut nowhere);
        assert_eq!(decode(&mut Input::new(&nowhere), 2, &mut Vec::new()), None);
    }
}
