//! Times as devices write them, into nanoseconds since 1970.

use crate::sample::Value;
use crate::settings::TimeUnit;

/// The time, or `None` when it is not written in that unit or lies beyond 1677 to 2262. What the
/// format itself calls a time needs no unit.
pub(crate) fn time_ns(found: &Value<'_>, unit: TimeUnit) -> Option<i64> {
    match (found, unit) {
        (Value::Time(ns), _) => Some(*ns),
        (Value::Text(text), TimeUnit::Rfc3339) => rfc3339_ns(text),
        (_, TimeUnit::Rfc3339) => None,
        (Value::Int(number), unit) => number.checked_mul(unit.ns()),
        (Value::Real(number), unit) => real_ns(*number, unit.ns()),
        _ => None,
    }
}

/// A number of units since 1970; `None` beyond 1677 to 2262. Whole units and the fraction apart: a
/// double has not the digits for nanoseconds of today.
#[must_use]
#[allow(clippy::cast_possible_truncation, clippy::cast_precision_loss)]
pub fn real_ns(number: f64, unit_ns: i64) -> Option<i64> {
    let whole = number.floor();
    // beyond that a double is no i64; its product with a unit would not be either
    if whole.is_nan() || whole.abs() >= 9.2e18 {
        return None;
    }
    let fraction_ns = ((number - whole) * unit_ns as f64).round() as i64;
    (whole as i64).checked_mul(unit_ns)?.checked_add(fraction_ns)
}

/// RFC 3339 section 5.6, with any number of fraction digits; those beyond nanoseconds are cut off.
/// A leap second (`:60`) is the second that follows it.
#[must_use]
pub fn rfc3339_ns(text: &str) -> Option<i64> {
    let bytes = text.as_bytes();
    let date = bytes.get(..10)?;
    let clock = bytes.get(11..19)?;
    let separators = (date[4], date[7], *bytes.get(10)?, clock[2], clock[5]);
    let (b'-', b'-', b'T' | b't' | b' ', b':', b':') = separators else { return None };
    let (year, month, day) = (number(&date[..4])?, number(&date[5..7])?, number(&date[8..])?);
    let (hour, minute) = (number(&clock[..2])?, number(&clock[3..5])?);
    let second = number(&clock[6..])?;
    let valid = (1..=12).contains(&month)
        && (1..=days_in_month(year, month)).contains(&day)
        && hour <= 23
        && minute <= 59
        && second <= 60;
    valid.then_some(())?;
    let (fraction_ns, zone) = fraction(bytes.get(19..)?)?;
    let seconds = days_since_1970(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second;
    (seconds - offset_s(zone)?).checked_mul(1_000_000_000)?.checked_add(fraction_ns)
}

fn number(digits: &[u8]) -> Option<i64> {
    digits.iter().try_fold(0, |number, byte| {
        byte.is_ascii_digit().then(|| number * 10 + i64::from(byte - b'0'))
    })
}

fn fraction(rest: &[u8]) -> Option<(i64, &[u8])> {
    let Some(digits) = rest.strip_prefix(b".") else { return Some((0, rest)) };
    let count = digits.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (digits, zone) = digits.split_at(count);
    if digits.is_empty() {
        return None;
    }
    let digit = |place| digits.get(place).map_or(0, |byte: &u8| i64::from(byte - b'0'));
    Some(((0..9).fold(0, |ns, place| ns * 10 + digit(place)), zone))
}

fn offset_s(zone: &[u8]) -> Option<i64> {
    match zone {
        b"Z" | b"z" => Some(0),
        [sign @ (b'+' | b'-'), h1, h2, b':', m1, m2] => {
            let (hours, minutes) = (number(&[*h1, *h2])?, number(&[*m1, *m2])?);
            let offset = (hours <= 23 && minutes <= 59).then_some(hours * 3600 + minutes * 60)?;
            Some(if *sign == b'-' { -offset } else { offset })
        }
        _ => None,
    }
}

fn days_in_month(year: i64, month: i64) -> i64 {
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    match month {
        2 if leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days of the proleptic Gregorian calendar. Years are begun in March, so that the leap day is the
/// last.
fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    const DAYS_TO_1970_03_01: i64 = 719_468;
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let leap_days = year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    // months from March on: 31 30 31 30 31, 31 30 31 30 31, 31 28/29
    let days_before_month = (153 * month + 2) / 5;
    year * 365 + leap_days + days_before_month + day - 1 - DAYS_TO_1970_03_01
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc3339_examples_are_read() {
        // RFC 3339 section 5.8; seconds as `date -d ... +%s` gives them
        let s = 1_000_000_000;
        assert_eq!(rfc3339_ns("1985-04-12T23:20:50.52Z"), Some(482_196_050 * s + 520_000_000));
        assert_eq!(rfc3339_ns("1996-12-19T16:39:57-08:00"), Some(851_042_397 * s));
        assert_eq!(rfc3339_ns("1990-12-31T23:59:60Z"), Some(662_688_000 * s));
        assert_eq!(rfc3339_ns("1970-01-01 00:00:00.0000000019Z"), Some(1));
        for text in ["", "2024-02-30T00:00:00Z", "2024-01-01T00:00:00", "9999-01-01T00:00:00Z"] {
            assert_eq!(rfc3339_ns(text), None, "{text}");
        }
    }

    #[test]
    fn numbers_are_taken_in_their_unit() {
        let s = TimeUnit::S;
        assert_eq!(time_ns(&Value::Int(1_700_000_000), s), Some(1_700_000_000_000_000_000));
        assert_eq!(time_ns(&Value::Real(1_700_000_000.25), s), Some(1_700_000_000_250_000_000));
        assert_eq!(time_ns(&Value::Real(-0.5), s), Some(-500_000_000));
        assert_eq!(time_ns(&Value::Time(7), TimeUnit::Rfc3339), Some(7));
        for beyond in [Value::Int(i64::MAX), Value::Real(1e300), Value::Real(f64::NAN)] {
            assert_eq!(time_ns(&beyond, s), None, "{beyond:?}");
        }
    }
}
