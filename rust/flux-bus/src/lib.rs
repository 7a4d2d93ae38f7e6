//! Bounded lock-free rings and taps with named overflow policies
