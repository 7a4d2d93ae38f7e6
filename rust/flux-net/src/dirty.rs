//! Which connections of a worker were woken. Owns a set of bits; must never allocate after it is
//! made, block, or lose a bit.

use std::sync::atomic::{AtomicU64, Ordering};

/// A set of small numbers that any thread may add to and the worker empties.
///
/// One bit for each number, and one bit in `summary` for each word of 64: bounded and deduplicated
/// by its shape, and emptied in time proportional to what it holds (plus one load per 4 096 places).
#[derive(Debug)]
pub(crate) struct DirtySet {
    words: Box<[AtomicU64]>,
    summary: Box<[AtomicU64]>,
}

fn zeroes(len: usize) -> Box<[AtomicU64]> {
    (0..len).map(|_| AtomicU64::new(0)).collect()
}

impl DirtySet {
    pub(crate) fn new(len: usize) -> Self {
        let words = len.div_ceil(64);
        Self { words: zeroes(words), summary: zeroes(words.div_ceil(64)) }
    }

    /// Adds `index`; numbers beyond the length are ignored. What the caller wrote before is seen by
    /// whoever empties the set and finds the number, also if it was in the set already.
    pub(crate) fn insert(&self, index: u32) {
        let index = index as usize;
        let (word, bit) = (index / 64, 1_u64 << (index % 64));
        let (Some(in_words), Some(in_summary)) =
            (self.words.get(word), self.summary.get(word / 64))
        else {
            return;
        };
        // A bit already there has not been taken yet: it stands for this insert too, and whoever
        // set it tells the summary. Both are read-modify-writes of one word, so that the taker's
        // swap comes after and sees what we wrote.
        if in_words.fetch_or(bit, Ordering::AcqRel) & bit == 0 {
            in_summary.fetch_or(1 << (word % 64), Ordering::AcqRel);
        }
    }

    /// Takes every number out, lowest first.
    pub(crate) fn drain(&self, mut take: impl FnMut(u32)) {
        for (place, summary) in self.summary.iter().enumerate() {
            if summary.load(Ordering::Relaxed) == 0 {
                continue;
            }
            let mut words = summary.swap(0, Ordering::AcqRel);
            while words != 0 {
                let word = place * 64 + words.trailing_zeros() as usize;
                words &= words - 1;
                let Some(cell) = self.words.get(word) else { continue };
                let mut bits = cell.swap(0, Ordering::AcqRel);
                while bits != 0 {
                    take((word * 64) as u32 + bits.trailing_zeros());
                    bits &= bits - 1;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drained(set: &DirtySet) -> Vec<u32> {
        let mut all = Vec::new();
        set.drain(|index| all.push(index));
        all
    }

    #[test]
    fn what_is_inserted_comes_out_once() {
        let set = DirtySet::new(10_000);
        for index in [0, 63, 64, 4_095, 4_096, 9_999, 64, 20_000] {
            set.insert(index);
        }
        assert_eq!(drained(&set), [0, 63, 64, 4_095, 4_096, 9_999]);
        assert!(drained(&set).is_empty());
    }

    #[test]
    fn no_insert_is_lost_while_the_set_is_emptied() {
        use std::sync::Arc;
        use std::sync::atomic::AtomicU32;
        // Each thread writes a number and inserts its index; the taker must see at last, for each
        // index, the last number written.
        const THREADS: usize = 3;
        const ROUNDS: u32 = 20_000;
        let set = Arc::new(DirtySet::new(200));
        let cells: Arc<Vec<AtomicU32>> =
            Arc::new((0..THREADS).map(|_| AtomicU32::new(0)).collect());
        let left = Arc::new(AtomicU32::new(THREADS as u32));
        let threads: Vec<_> = (0..THREADS)
            .map(|thread| {
                let (set, cells, left) = (set.clone(), cells.clone(), left.clone());
                std::thread::spawn(move || {
                    for round in 1..=ROUNDS {
                        cells[thread].store(round, Ordering::Relaxed);
                        set.insert(thread as u32 * 66);
                    }
                    left.fetch_sub(1, Ordering::AcqRel);
                })
            })
            .collect();
        let mut seen = [0; THREADS];
        loop {
            let over = left.load(Ordering::Acquire) == 0;
            set.drain(|index| {
                let thread = index as usize / 66;
                seen[thread] = cells[thread].load(Ordering::Relaxed);
            });
            if over {
                break;
            }
        }
        assert_eq!(seen, [ROUNDS; THREADS]);
        for thread in threads {
            thread.join().unwrap();
        }
    }
}
