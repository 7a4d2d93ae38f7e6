//! Names that come again with every message, kept so that each is allocated once.
//!
//! Owns a bounded table of one worker. A name is known by its number until the table is emptied,
//! which only [`Words::trim`] does.

use std::collections::HashMap;
use std::sync::Arc;

use foldhash::fast::RandomState;

/// The number of a name in its table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Word(u32);

#[derive(Debug)]
struct Entry {
    text: Arc<str>,
    /// The name that followed it last time: most devices always send the same.
    next: u32,
    /// The message it last stood in, and where there.
    seen_in: u64,
    seen_at: u32,
}

/// The table.
#[derive(Debug)]
pub(crate) struct Words {
    entries: Vec<Entry>,
    numbers: HashMap<Arc<str>, u32, RandomState>,
    /// The name looked up last, and the one that is expected to follow it.
    last: u32,
    next: u32,
    kept_max: usize,
}

impl Words {
    pub(crate) fn new(kept_max: usize) -> Self {
        Self { entries: Vec::new(), numbers: HashMap::default(), last: 0, next: 0, kept_max }
    }

    /// The number of a name, if it is the one that followed the last name last time. Bytes that are
    /// the same as a known name's need no checking.
    #[inline(always)] // in the loop over values, where a call would cost as much again
    pub(crate) fn expected(&mut self, bytes: &[u8]) -> Option<Word> {
        let entry = self.entries.get(self.next as usize)?;
        if !same(entry.text.as_bytes(), bytes) {
            return None;
        }
        self.last = self.next;
        self.next = entry.next;
        Some(Word(self.last))
    }

    /// The number of a name.
    #[inline(never)]
    pub(crate) fn number(&mut self, text: &str) -> Word {
        let number = match self.numbers.get(text) {
            Some(number) => *number,
            None => self.keep(text),
        };
        if let Some(entry) = self.entries.get_mut(self.last as usize) {
            entry.next = number;
        }
        self.last = number;
        self.next = self.entries.get(number as usize).map_or(0, |entry| entry.next);
        Word(number)
    }

    fn keep(&mut self, text: &str) -> u32 {
        let number = u32::try_from(self.entries.len()).unwrap_or(u32::MAX);
        let text: Arc<str> = text.into();
        self.numbers.insert(Arc::clone(&text), number);
        self.entries.push(Entry { text, next: 0, seen_in: 0, seen_at: 0 });
        number
    }

    /// The name of a number.
    #[inline]
    pub(crate) fn text(&self, word: Word) -> &Arc<str> {
        // numbers come from this table, which only shrinks when nobody holds one
        &self.entries[word.0 as usize].text
    }

    /// Where in the message of that number the name stands already; notes that it stands at `at`
    /// if it does not.
    #[inline]
    pub(crate) fn seen(&mut self, word: Word, message: u64, at: u32) -> Option<u32> {
        let entry = self.entries.get_mut(word.0 as usize)?;
        if entry.seen_in == message {
            return Some(entry.seen_at);
        }
        entry.seen_in = message;
        entry.seen_at = at;
        None
    }

    /// Forgets everything if there is too much: a sender of ever new names must not make us keep
    /// them all. No number may be in use.
    pub(crate) fn trim(&mut self) {
        if self.entries.len() > self.kept_max {
            self.entries.clear();
            self.numbers.clear();
            self.last = 0;
            self.next = 0;
        }
    }

    /// Names kept.
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }
}

/// Whether two names are the same. Names are short: calling `memcmp` would cost more than comparing.
#[inline]
fn same(a: &[u8], b: &[u8]) -> bool {
    if a.len() != b.len() {
        return false;
    }
    // first and last eight, or four, overlap where there are fewer than twice as many
    if let (Some(a0), Some(b0), Some(a1), Some(b1)) =
        (a.first_chunk::<8>(), b.first_chunk::<8>(), a.last_chunk::<8>(), b.last_chunk::<8>())
    {
        return a0 == b0 && a1 == b1 && (a.len() <= 16 || a == b);
    }
    if let (Some(a0), Some(b0), Some(a1), Some(b1)) =
        (a.first_chunk::<4>(), b.first_chunk::<4>(), a.last_chunk::<4>(), b.last_chunk::<4>())
    {
        return a0 == b0 && a1 == b1;
    }
    match (a, b) {
        ([a], [b]) => a == b,
        ([a0, a1], [b0, b1]) => a0 == b0 && a1 == b1,
        ([a0, a1, a2], [b0, b1, b2]) => a0 == b0 && a1 == b1 && a2 == b2,
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(words: &mut Words, text: &str) -> Word {
        words.expected(text.as_bytes()).unwrap_or_else(|| words.number(text))
    }

    #[test]
    fn a_name_that_comes_again_is_the_same_allocation() {
        let mut words = Words::new(8);
        let (a, b) = (number(&mut words, "a"), number(&mut words, "b"));
        let first = Arc::as_ptr(words.text(b));
        for order in [["a", "b"], ["b", "a"], ["a", "b"]] {
            for text in order {
                let again = number(&mut words, text);
                assert_eq!(again, if text == "a" { a } else { b });
            }
        }
        assert!(std::ptr::eq(first, Arc::as_ptr(words.text(b))));
        assert_eq!(words.len(), 2);
    }

    #[test]
    fn names_are_the_same_only_if_every_byte_is() {
        let name = b"a name of some forty bytes, for instance";
        for len in 0..name.len() {
            let (a, mut b) = (&name[..len], name[..len].to_vec());
            assert!(same(a, &b));
            assert!(!same(a, &name[..=len]));
            for at in 0..len {
                b[at] ^= 1;
                assert!(!same(a, &b), "byte {at} of {len}");
                b[at] ^= 1;
            }
        }
    }

    #[test]
    fn ever_new_names_do_not_grow_the_table_without_bound() {
        let mut words = Words::new(100);
        for n in 0..10_000 {
            number(&mut words, &n.to_string());
            words.trim();
        }
        assert!(words.len() <= 101);
    }

    #[test]
    fn a_name_is_seen_once_a_message() {
        let mut words = Words::new(8);
        let word = number(&mut words, "a");
        assert_eq!(words.seen(word, 1, 0), None);
        assert_eq!(words.seen(word, 1, 5), Some(0));
        assert_eq!(words.seen(word, 2, 7), None);
    }
}
