//! What a device counts in, into what people measure in.

/// Multiplies and adds, and undoes both.
///
/// A factor such as 0.15 has no exact binary form, but it is 15 / 100, and dividing by a hundred
/// gives the number people expect. So with every factor that is written in decimal digits, or is one
/// over a whole number.
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
    numerator: f64,
    denominator: f64,
    add: f64,
}

/// Whole numbers below it keep their last digit when they are multiplied by a few.
const WHOLE_MAX: f64 = 1e15;

impl Scale {
    /// Multiplies with the first, then adds the second. A factor of 0 can be applied but not undone.
    #[must_use]
    pub fn new(factor: f64, add: f64) -> Self {
        let (numerator, denominator) = fraction(factor).unwrap_or((factor, 1.0));
        Self { numerator, denominator, add }
    }

    /// Whether it changes anything: what it does not change may stay a whole number.
    #[must_use]
    pub fn changes(&self) -> bool {
        self.numerator != self.denominator || self.add != 0.0
    }

    /// From what the device counts in.
    #[must_use]
    #[inline]
    pub fn apply(&self, raw: f64) -> f64 {
        raw * self.numerator / self.denominator + self.add
    }

    /// To what the device counts in.
    #[must_use]
    pub fn undo(&self, value: f64) -> f64 {
        (value - self.add) * self.denominator / self.numerator
    }
}

/// A factor as two whole numbers, if it is exactly their quotient: decimal digits, or one over a
/// whole number.
fn fraction(factor: f64) -> Option<(f64, f64)> {
    let powers_of_ten = (0..=9).map(|exponent| 10_f64.powi(exponent));
    let decimal = powers_of_ten.map(|power| ((factor * power).round(), power));
    let inverse = (factor.signum(), (1.0 / factor).abs().round());
    decimal.chain([inverse]).find(|(numerator, denominator)| {
        numerator.abs() < WHOLE_MAX
            && (1.0..WHOLE_MAX).contains(denominator)
            && numerator / denominator == factor
    })
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
            (0.15, 3.0, 0.45),
            (1.8, 3.0, 5.4),
            (1.0 / 3.0, 9.0, 3.0),
            (-1.0 / 64.0, 32.0, -0.5),
            (1e300, 2.0, 2e300),
            (0.0, 7.0, 0.0),
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
