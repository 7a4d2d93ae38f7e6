//! When what is asked: a timing wheel without drift.
//!
//! Owns which poll is due next, for very many of them. A poll's times are its first plus multiples
//! of its period, whatever happens in between; those that pass unused are skipped, not made up for.

use flux_types::DeviceId;

/// One tick, ms.
const TICK_MS: u64 = 5;
const SLOTS: usize = 4096;

/// Things by when they are due: a ring of 4 096 ticks of 5 ms. What is due later goes round.
#[derive(Debug)]
pub struct PollWheel<K> {
    slots: Vec<Vec<(u64, K)>>,
    /// One bit for each slot that holds something.
    filled: [u64; SLOTS / 64],
    /// Ticks before this one have been taken.
    next_tick: u64,
    len: usize,
}

impl<K> PollWheel<K> {
    /// An empty wheel at that time.
    #[must_use]
    pub fn new(now_ms: u64) -> Self {
        Self {
            slots: (0..SLOTS).map(|_| Vec::new()).collect(),
            filled: [0; SLOTS / 64],
            next_tick: now_ms / TICK_MS,
            len: 0,
        }
    }

    /// How many things are on it.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Has `key` given out at `due_ms`: never early, and at most a tick late if asked in time.
    pub fn insert(&mut self, due_ms: u64, key: K) {
        let tick = due_ms.div_ceil(TICK_MS);
        let tick = tick.clamp(self.next_tick, self.next_tick + SLOTS as u64 - 1);
        let slot = (tick % SLOTS as u64) as usize;
        if let (Some(list), Some(word)) = (self.slots.get_mut(slot), self.filled.get_mut(slot / 64))
        {
            list.push((due_ms, key));
            *word |= 1 << (slot % 64);
            self.len += 1;
        }
    }

    /// Takes the next thing that is due, with its time.
    pub fn pop(&mut self, now_ms: u64) -> Option<(u64, K)> {
        let now_tick = now_ms / TICK_MS;
        loop {
            let tick = self.first_filled().filter(|tick| *tick <= now_tick);
            let Some(tick) = tick else {
                self.next_tick = self.next_tick.max(now_tick);
                return None;
            };
            self.next_tick = tick;
            let slot = (tick % SLOTS as u64) as usize;
            let list = self.slots.get_mut(slot)?;
            let Some((due_ms, key)) = list.pop() else {
                if let Some(word) = self.filled.get_mut(slot / 64) {
                    *word &= !(1 << (slot % 64));
                }
                continue;
            };
            self.len -= 1;
            if due_ms <= now_ms {
                return Some((due_ms, key));
            }
            // once round the ring, and not yet its turn
            if list.is_empty()
                && let Some(word) = self.filled.get_mut(slot / 64)
            {
                *word &= !(1 << (slot % 64));
            }
            self.insert(due_ms, key);
        }
    }

    /// When something may be due next, ms.
    #[must_use]
    pub fn next_ms(&self) -> Option<u64> {
        self.first_filled().map(|tick| tick * TICK_MS)
    }

    /// The first tick from `next_tick` on whose slot holds something.
    fn first_filled(&self) -> Option<u64> {
        let from = (self.next_tick % SLOTS as u64) as usize;
        let words = self.filled.len();
        // the word of `from` is looked at twice: first its upper bits, at last its lower ones
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

/// When a poll is due for the first time after `now_ms`: spread over its period by what it is, so
/// that devices that appear together are not asked together.
#[must_use]
pub fn first_due_ms(now_ms: u64, device: DeviceId, name: &str, every_ms: u64) -> u64 {
    let bytes = device.0.as_bytes().iter().chain(name.as_bytes());
    // FNV-1a, 64 bits, folded once so that near ids lie far apart
    let hash = bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    });
    let every_ms = every_ms.max(1);
    let phase_ms = (hash ^ hash >> 32) % every_ms;
    // the same times whenever it is planned anew
    now_ms + (phase_ms + every_ms - now_ms % every_ms) % every_ms
}

/// When a poll is due after it was due at `due_ms`, and how many times were missed by now.
#[must_use]
pub fn next_due_ms(due_ms: u64, every_ms: u64, now_ms: u64) -> (u64, u64) {
    let every_ms = every_ms.max(1);
    let next = due_ms + every_ms;
    let missed = if next > now_ms { 0 } else { (now_ms - next) / every_ms + 1 };
    (next + missed * every_ms, missed)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_poll_keeps_its_times_however_late_it_is_looked_at() {
        assert_eq!(next_due_ms(1_000, 100, 1_003), (1_100, 0));
        assert_eq!(next_due_ms(1_000, 100, 1_100), (1_200, 1));
        assert_eq!(next_due_ms(1_000, 100, 1_350), (1_400, 3));
    }

    #[test]
    fn first_times_are_spread_over_the_period() {
        let mut tenths = [0; 10];
        for _ in 0..1_000 {
            let due = first_due_ms(5_000, DeviceId::random(), "meters", 1_000);
            tenths[((due - 5_000) / 100) as usize] += 1;
        }
        assert!(tenths.iter().all(|count| (50..200).contains(count)), "{tenths:?}");
    }

    #[test]
    fn what_lies_beyond_the_ring_comes_in_its_time() {
        let mut wheel = PollWheel::new(0);
        wheel.insert(86_400_000, "tomorrow");
        let mut now_ms = 0;
        while let Some(next_ms) = wheel.next_ms().filter(|_| wheel.len() == 1) {
            now_ms = now_ms.max(next_ms);
            if let Some((due_ms, key)) = wheel.pop(now_ms) {
                assert_eq!((due_ms, key), (86_400_000, "tomorrow"));
                assert!((86_400_000..86_400_010).contains(&now_ms), "{now_ms}");
                return;
            }
        }
        panic!("it never came");
    }

    proptest! {
        #[test]
        fn nothing_is_early_late_or_lost(
            times in prop::collection::vec(0_u64..60_000, 1..80),
            steps in prop::collection::vec(1_u64..3_000, 1..200),
        ) {
            let mut wheel = PollWheel::new(0);
            for (index, due_ms) in times.iter().enumerate() {
                wheel.insert(*due_ms, index);
            }
            let mut now_ms = 0;
            let mut seen = vec![false; times.len()];
            for step in steps.into_iter().chain(std::iter::repeat_n(1_000, 62)) {
                let before_ms = now_ms;
                now_ms += step;
                while let Some((due_ms, index)) = wheel.pop(now_ms) {
                    prop_assert_eq!(due_ms, times[index]);
                    prop_assert!(due_ms <= now_ms, "early");
                    prop_assert!(due_ms + TICK_MS > before_ms, "late");
                    prop_assert!(!std::mem::replace(&mut seen[index], true), "twice");
                }
            }
            prop_assert!(seen.iter().all(|seen| *seen), "lost");
        }
    }
}
