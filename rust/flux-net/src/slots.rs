//! A table with stable places. Owns the free list and each place's generation.

/// Places are made in blocks of this many, so that growing copies nothing.
pub(crate) const BLOCK_LEN: usize = 128;

#[derive(Debug)]
struct Slot<T> {
    generation: u32,
    value: Option<T>,
}

/// Values at small, reused indices; a place's generation tells one use from the next.
#[derive(Debug)]
pub(crate) struct Slots<T> {
    blocks: Vec<Box<[Slot<T>]>>,
    free: Vec<u32>,
    len: usize,
}

impl<T> Slots<T> {
    pub(crate) fn new() -> Self {
        Self { blocks: Vec::new(), free: Vec::new(), len: 0 }
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    fn slot(&self, index: u32) -> Option<&Slot<T>> {
        self.blocks.get(index as usize / BLOCK_LEN)?.get(index as usize % BLOCK_LEN)
    }

    fn slot_mut(&mut self, index: u32) -> Option<&mut Slot<T>> {
        self.blocks.get_mut(index as usize / BLOCK_LEN)?.get_mut(index as usize % BLOCK_LEN)
    }

    pub(crate) fn get(&self, index: u32) -> Option<&T> {
        self.slot(index)?.value.as_ref()
    }

    pub(crate) fn get_mut(&mut self, index: u32) -> Option<&mut T> {
        self.slot_mut(index)?.value.as_mut()
    }

    pub(crate) fn generation(&self, index: u32) -> Option<u32> {
        self.slot(index).map(|slot| slot.generation)
    }

    /// The place the next [`insert`](Self::insert) will use, with its generation.
    pub(crate) fn vacant(&mut self) -> (u32, u32) {
        if self.free.is_empty() {
            let first = self.blocks.len() * BLOCK_LEN;
            self.blocks.push((0..BLOCK_LEN).map(|_| Slot { generation: 0, value: None }).collect());
            self.free.extend((first..first + BLOCK_LEN).rev().map(|index| index as u32));
        }
        let index = self.free.last().copied().unwrap_or_default();
        (index, self.generation(index).unwrap_or_default())
    }

    pub(crate) fn insert(&mut self, value: T) -> u32 {
        let (index, _) = self.vacant();
        self.free.pop();
        if let Some(slot) = self.slot_mut(index) {
            slot.value = Some(value);
            self.len += 1;
        }
        index
    }

    pub(crate) fn remove(&mut self, index: u32) -> Option<T> {
        let slot = self.slot_mut(index)?;
        let value = slot.value.take()?;
        slot.generation = slot.generation.wrapping_add(1);
        self.free.push(index);
        self.len -= 1;
        Some(value)
    }

    /// The indices in use, lowest first.
    pub(crate) fn indices(&self) -> Vec<u32> {
        let places = (self.blocks.len() * BLOCK_LEN) as u32;
        (0..places).filter(|&index| self.get(index).is_some()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_used_again_has_another_generation() {
        let mut slots = Slots::new();
        let place = slots.vacant();
        assert_eq!(slots.insert("a"), place.0);
        assert_eq!(slots.remove(place.0), Some("a"));
        assert_eq!(slots.remove(place.0), None);
        let again = slots.vacant();
        assert_eq!(again.0, place.0);
        assert_ne!(again.1, place.1);
    }

    #[test]
    fn places_are_as_many_as_values_at_their_most() {
        let mut slots = Slots::new();
        for round in 0..5 {
            let all: Vec<u32> = (0..300).map(|n| slots.insert(n)).collect();
            assert_eq!(slots.len(), 300);
            assert!(all.iter().all(|&index| index < 384), "round {round}");
            for index in all {
                slots.remove(index);
            }
        }
        assert!(slots.indices().is_empty());
    }
}
