//! Coarse time for many connections. Owns which indices are to be looked at in which tick; knows no
//! deadline itself: whoever takes an index checks what it waits for and puts it back.

/// One tick, in milliseconds.
pub(crate) const TICK_MS: u64 = 100;
/// No time at all.
pub(crate) const NEVER: u64 = u64::MAX;

const SLOTS: usize = 512;
/// A slot that has held more than this gives its memory back.
const SLOT_KEEP_LEN: usize = 256;

/// A ring of 512 ticks (51 s). What is due later is looked at once per round.
#[derive(Debug)]
pub(crate) struct Wheel {
    slots: Vec<Vec<u32>>,
    /// One bit for each slot that holds something.
    filled: [u64; SLOTS / 64],
    /// Ticks before this one have been taken.
    next_tick: u64,
}

impl Wheel {
    pub(crate) fn new() -> Self {
        Self {
            slots: (0..SLOTS).map(|_| Vec::new()).collect(),
            filled: [0; SLOTS / 64],
            next_tick: 0,
        }
    }

    /// Has `index` taken at the first tick at or after `at_ms`, or earlier if that is beyond the
    /// ring. Gives that tick.
    pub(crate) fn insert(&mut self, index: u32, at_ms: u64) -> u64 {
        let tick = self.tick_for(at_ms);
        let slot = (tick % SLOTS as u64) as usize;
        if let (Some(list), Some(word)) = (self.slots.get_mut(slot), self.filled.get_mut(slot / 64))
        {
            list.push(index);
            *word |= 1 << (slot % 64);
        }
        tick
    }

    /// The tick at which [`insert`](Self::insert) would have it taken.
    pub(crate) fn tick_for(&self, at_ms: u64) -> u64 {
        at_ms.div_ceil(TICK_MS).clamp(self.next_tick, self.next_tick + SLOTS as u64 - 1)
    }

    /// Takes the first index due at `now_ms`, with its tick.
    pub(crate) fn pop(&mut self, now_ms: u64) -> Option<(u32, u64)> {
        let now_tick = now_ms / TICK_MS;
        while self.next_tick <= now_tick {
            let Some(tick) = self.first_filled() else {
                self.next_tick = now_tick + 1;
                return None;
            };
            if tick > now_tick {
                self.next_tick = now_tick + 1;
                return None;
            }
            self.next_tick = tick;
            let slot = (tick % SLOTS as u64) as usize;
            let list = self.slots.get_mut(slot)?;
            if let Some(index) = list.pop() {
                return Some((index, tick));
            }
            if list.capacity() > SLOT_KEEP_LEN {
                list.shrink_to(0);
            }
            if let Some(word) = self.filled.get_mut(slot / 64) {
                *word &= !(1 << (slot % 64));
            }
        }
        None
    }

    /// When something is next due, in milliseconds.
    pub(crate) fn next_ms(&self) -> Option<u64> {
        self.first_filled().map(|tick| tick * TICK_MS)
    }

    /// The first tick from `next_tick` on whose slot holds something.
    fn first_filled(&self) -> Option<u64> {
        let from = (self.next_tick % SLOTS as u64) as usize;
        let words = self.filled.len();
        // The word of `from` is looked at twice: first its upper bits, at last its lower ones.
        for step in 0..=words {
            let place = (from / 64 + step) % words;
            let mut word = self.filled.get(place).copied().unwrap_or(0);
            if step == 0 {
                word &= u64::MAX << (from % 64);
            } else if step == words {
                word &= !(u64::MAX << (from % 64));
            }
            if word != 0 {
                let slot = place * 64 + word.trailing_zeros() as usize;
                return Some(self.next_tick + ((slot + SLOTS - from) % SLOTS) as u64);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn due(wheel: &mut Wheel, now_ms: u64) -> Vec<u32> {
        let mut all: Vec<u32> =
            std::iter::from_fn(|| wheel.pop(now_ms)).map(|(index, _)| index).collect();
        all.sort_unstable();
        all
    }

    #[test]
    fn nothing_is_taken_early_and_nothing_later_than_a_tick() {
        let mut wheel = Wheel::new();
        for (index, at) in [(1, 0), (2, 1), (3, 100), (4, 101), (5, 25_000)] {
            wheel.insert(index, at);
        }
        assert_eq!(due(&mut wheel, 0), [1]);
        assert_eq!(due(&mut wheel, 99), [] as [u32; 0]);
        assert_eq!(due(&mut wheel, 100), [2, 3]);
        assert_eq!(wheel.next_ms(), Some(200));
        assert_eq!(due(&mut wheel, 200), [4]);
        assert_eq!(wheel.next_ms(), Some(25_000));
        assert_eq!(due(&mut wheel, 24_999), [] as [u32; 0]);
        assert_eq!(due(&mut wheel, 25_050), [5]);
        assert_eq!(wheel.next_ms(), None);
    }

    #[test]
    fn what_is_beyond_the_ring_is_looked_at_within_it() {
        let mut wheel = Wheel::new();
        wheel.insert(9, 120_000);
        assert_eq!(wheel.next_ms(), Some(51_100));
        let (index, tick) = wheel.pop(51_100).unwrap();
        assert_eq!((index, tick), (9, 511));
        wheel.insert(9, 120_000);
        assert_eq!(due(&mut wheel, 102_300), [9]);
    }

    #[test]
    fn a_long_sleep_loses_nothing() {
        let mut wheel = Wheel::new();
        for index in 0..600 {
            wheel.insert(index, u64::from(index) * TICK_MS);
        }
        assert_eq!(due(&mut wheel, 10_000_000).len(), 600);
        assert_eq!(wheel.next_ms(), None);
        wheel.insert(1, 10_000_001);
        assert_eq!(wheel.next_ms(), Some(10_000_100));
    }
}
