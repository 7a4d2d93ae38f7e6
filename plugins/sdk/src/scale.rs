//! What a device counts in, into what people measure in.

/// Multiplies and adds, and undoes both.
///
/// Where the factor is one over a whole number it divides, because dividing by ten is exact where
/// multiplying by 0.1 is not.
///
/// ```
/// use flux_plugin_sdk::Scale;
///
/// let volts = Scale::new(0.1, 0.0);
/// assert_eq!(volts.apply(3.0), 0.3);
/// assert_ne!(3.0 * 0.1, 0.3);
/// assert_eq!(volts.undo(0.3), 3.0);
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Scale {
    factor: f64,
    /// One over the factor, where that is whole.
    divisor: Option<f64>,
    add: f64,
}

impl Scale {
    /// Multiplies with the first, then adds the second. A factor of 0 can be applied but not undone.
    #[must_use]
    pub fn new(factor: f64, add: f64) -> Self {
        let inverse = (1.0 / factor).round();
        let is_whole = factor.abs() < 1.0 && inverse.abs() < 1e15 && 1.0 / inverse == factor;
        Self { factor, divisor: is_whole.then_some(inverse), add }
    }

    /// Whether it changes anything: what it does not change may stay a whole number.
    #[must_use]
    pub fn changes(&self) -> bool {
        self.factor != 1.0 || self.add != 0.0
    }

    /// From what the device counts in.
    #[must_use]
    #[inline]
    pub fn apply(&self, raw: f64) -> f64 {
        self.divisor.map_or(raw * self.factor, |divisor| raw / divisor) + self.add
    }

    /// To what the device counts in.
    #[must_use]
    pub fn undo(&self, value: f64) -> f64 {
        let value = value - self.add;
        self.divisor.map_or(value / self.factor, |divisor| value * divisor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimal_factors_give_the_nearest_number() {
        for (factor, raw, expected) in [
            (0.1, 272.0, 27.2),
            (0.01, -1234.0, -12.34),
            (0.001, 5.0, 0.005),
            (-0.1, 3.0, -0.3),
            (0.5, 101.0, 50.5),
            (2.0, 21.0, 42.0),
            (0.3, 10.0, 3.0),
        ] {
            assert_eq!(Scale::new(factor, 0.0).apply(raw), expected, "{raw} * {factor}");
        }
    }

    #[test]
    fn what_is_applied_can_be_undone() {
        for (factor, add) in [(0.1, -40.0), (1.8, 32.0), (-1.0, 0.0), (1e-9, 0.0)] {
            let scale = Scale::new(factor, add);
            for raw in [0.0, 1.0, -7.0, 65_535.0] {
                assert!((scale.undo(scale.apply(raw)) - raw).abs() < 1e-6, "{raw}");
            }
        }
        assert!(!Scale::new(1.0, 0.0).changes());
        assert!(Scale::new(1.0, 0.5).changes());
    }
}
