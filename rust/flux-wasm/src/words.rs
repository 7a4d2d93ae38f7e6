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
    /// The name looked up last.
    last: u32,
    kept_max: usize,
}

impl Words {
    pub(crate) fn new(kept_max: usize) -> Self {
        Self { entries: Vec::new(), numbers: HashMap::default(), last: 0, kept_max }
    }

    /// The number of a name, which is given in bytes not yet known to be UTF-8.
    ///
    /// # Errors
    /// What `check` says of bytes that are not.
    #[inline]
    pub(crate) fn number<E>(
        &mut self,
        bytes: &[u8],
        check: impl FnOnce() -> Result<(), E>,
    ) -> Result<Word, E> {
        let expected = self.entries.get(self.last as usize).map_or(0, |entry| entry.next);
        if let Some(entry) = self.entries.get(expected as usize)
            && entry.text.as_bytes() == bytes
        {
            self.last = expected;
            return Ok(Word(expected));
        }
        check()?;
        let number = self.look_up(bytes);
        if let Some(entry) = self.entries.get_mut(self.last as usize) {
            entry.next = number;
        }
        self.last = number;
        Ok(Word(number))
    }

    #[cold]
    fn look_up(&mut self, bytes: &[u8]) -> u32 {
        // the caller has checked them
        let text = String::from_utf8_lossy(bytes);
        if let Some(number) = self.numbers.get(&*text) {
            return *number;
        }
        let number = u32::try_from(self.entries.len()).unwrap_or(u32::MAX);
        let text: Arc<str> = text.into();
        self.numbers.insert(Arc::clone(&text), number);
        self.entries.push(Entry { text, next: number.wrapping_add(1), seen_in: 0, seen_at: 0 });
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
        }
    }

    /// Names kept.
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(words: &mut Words, text: &str) -> Word {
        words.number(text.as_bytes(), || Ok::<_, ()>(())).unwrap()
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
