//! How much one source may send: a bucket of one second's worth.

/// The generic cell rate algorithm (ITU-T I.371), in milliseconds.
#[derive(Debug, Clone, Copy)]
pub struct Rate {
    per_s: u32,
    /// When what was let through would have come at exactly the rate, in thousandths of ms.
    due_us: u64,
}

impl Rate {
    /// So many a second, with a burst of one second; 0 is no limit.
    #[must_use]
    pub fn new(per_s: u32) -> Self {
        Self { per_s, due_us: 0 }
    }

    /// Whether one more may pass now.
    pub fn take(&mut self, now_ms: u64) -> bool {
        if self.per_s == 0 {
            return true;
        }
        let now_us = now_ms.saturating_mul(1_000);
        let cost_us = 1_000_000 / u64::from(self.per_s);
        let due_us = self.due_us.max(now_us) + cost_us;
        if due_us > now_us + 1_000_000 {
            return false;
        }
        self.due_us = due_us;
        true
    }

    /// Whether it is as if nothing had ever passed: it need not be kept.
    #[must_use]
    pub fn is_at_rest(&self, now_ms: u64) -> bool {
        self.due_us <= now_ms.saturating_mul(1_000)
    }

    /// In how many seconds one more may pass, at least 1.
    #[must_use]
    pub fn wait_s(&self, now_ms: u64) -> u64 {
        self.due_us.saturating_sub(now_ms * 1_000 + 1_000_000).div_ceil(1_000_000).max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_s_worth_passes_at_once_and_then_its_share() {
        let mut rate = Rate::new(10);
        assert_eq!((0..20).filter(|_| rate.take(5_000)).count(), 10);
        assert_eq!((0..20).filter(|_| rate.take(5_250)).count(), 2);
        assert!(!rate.is_at_rest(5_250) && rate.is_at_rest(7_000));
        let mut free = Rate::new(0);
        assert!((0..1_000).all(|_| free.take(1)));
    }
}
