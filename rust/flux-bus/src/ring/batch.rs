//! What a ring can be filled from.
//!
//! Owns the few collections whose front can be moved out without running foreign code. Must never
//! be open to others: a panic between a claim and its last message would leave slots that nobody
//! fills, and every consumer waiting for them.

#![forbid(unsafe_code)]

use std::collections::VecDeque;

/// An ordered collection whose front can be moved into a ring: `Vec` and `VecDeque`.
pub trait Batch<T>: sealed::Sealed {
    /// How many messages it holds.
    fn count(&self) -> usize;
    /// Takes exactly `count` messages (no more than it holds) off the front.
    fn take_front(&mut self, count: usize) -> impl Iterator<Item = T>;
}

mod sealed {
    /// What a ring takes from must never run foreign code amid a claim.
    pub trait Sealed {}
    impl<T> Sealed for Vec<T> {}
    impl<T> Sealed for super::VecDeque<T> {}
    impl<T> Sealed for Option<T> {}
}

impl<T> Batch<T> for Vec<T> {
    #[inline]
    fn count(&self) -> usize {
        self.len()
    }
    #[inline]
    fn take_front(&mut self, count: usize) -> impl Iterator<Item = T> {
        self.drain(..count)
    }
}

impl<T> Batch<T> for VecDeque<T> {
    #[inline]
    fn count(&self) -> usize {
        self.len()
    }
    #[inline]
    fn take_front(&mut self, count: usize) -> impl Iterator<Item = T> {
        self.drain(..count)
    }
}

/// One message or none.
impl<T> Batch<T> for Option<T> {
    #[inline]
    fn count(&self) -> usize {
        usize::from(self.is_some())
    }
    #[inline]
    fn take_front(&mut self, count: usize) -> impl Iterator<Item = T> {
        if count == 0 { None } else { self.take() }.into_iter()
    }
}
