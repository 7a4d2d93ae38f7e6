//! Moments as devices write them.

use crate::bits::{decimal, to_decimal, unsigned};
use crate::settings::{Endian, TimeFormat};

const NS_PER_S: i64 = 1_000_000_000;
const S_PER_DAY: i64 = 86_400;

/// How a moment is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Clock {
    pub(crate) format: TimeFormat,
    /// As many as the format allows.
    pub(crate) bytes: usize,
    pub(crate) endian: Endian,
    /// What epochs count from, seconds since 1970.
    pub(crate) since_s: i64,
    /// How far the clock is ahead of UTC.
    pub(crate) utc_offset_s: i64,
}

impl Clock {
    /// Nanoseconds since 1970; `None` for bytes that are no moment, such as those of a clock that
    /// was never set, or one beyond what nanoseconds can say.
    pub(crate) fn read(&self, bytes: &[u8]) -> Option<i64> {
        let unsigned = || i64::try_from(unsigned(bytes, self.endian)).ok();
        let (seconds, ns) = match self.format {
            TimeFormat::EpochS => (unsigned()?, 0),
            TimeFormat::EpochMs => {
                let ms = unsigned()?;
                (ms.div_euclid(1000), ms.rem_euclid(1000) * 1_000_000)
            }
            TimeFormat::Bcd => (seconds(&bcd_parts(bytes)?)?, 0),
            TimeFormat::Bytes => {
                let parts: [u8; 6] = bytes.try_into().ok()?;
                let mut parts = parts.map(i64::from);
                parts[0] += 2000;
                (seconds(&parts)?, 0)
            }
        };
        let since = if self.counts() { self.since_s } else { 0 };
        let utc = seconds.checked_add(since)?.checked_sub(self.utc_offset_s)?;
        utc.checked_mul(NS_PER_S)?.checked_add(ns)
    }

    const fn counts(&self) -> bool {
        matches!(self.format, TimeFormat::EpochS | TimeFormat::EpochMs)
    }

    /// Writes a moment; `None` for one the format has no room for.
    pub(crate) fn write(&self, time_ns: i64, bytes: &mut [u8]) -> Option<()> {
        let local = time_ns.div_euclid(NS_PER_S).checked_add(self.utc_offset_s)?;
        let number = match self.format {
            TimeFormat::EpochS => local.checked_sub(self.since_s)?,
            TimeFormat::EpochMs => {
                let ms = time_ns.rem_euclid(NS_PER_S) / 1_000_000;
                local.checked_sub(self.since_s)?.checked_mul(1000)?.checked_add(ms)?
            }
            TimeFormat::Bcd => {
                let [year, parts @ ..] = parts(local);
                let with_century = bytes.len() == 7;
                let year = if with_century { year } else { two_digit_year(year)? };
                let digits = parts.into_iter().fold(year, |number, part| 100 * number + part);
                let digits = to_decimal(u64::try_from(digits).ok()?, bytes.len())?;
                return put(digits, Endian::Big, bytes);
            }
            TimeFormat::Bytes => {
                let [year, parts @ ..] = parts(local);
                let all = [two_digit_year(year)?].into_iter().chain(parts);
                for (byte, part) in bytes.iter_mut().zip(all) {
                    *byte = u8::try_from(part).ok()?;
                }
                return Some(());
            }
        };
        put(u64::try_from(number).ok()?, self.endian, bytes)
    }
}

/// Writes a number; `None` if it has more bytes than there are.
pub(crate) fn put(number: u64, endian: Endian, bytes: &mut [u8]) -> Option<()> {
    let all = number.to_be_bytes();
    let (spare, used) = all.split_at_checked(8_usize.checked_sub(bytes.len())?)?;
    if spare.iter().any(|byte| *byte != 0) {
        return None;
    }
    bytes.copy_from_slice(used);
    if endian == Endian::Little {
        bytes.reverse();
    }
    Some(())
}

fn two_digit_year(year: i64) -> Option<i64> {
    (2000..2100).contains(&year).then_some(year - 2000)
}

/// Year, month, day, hour, minute, second of decimal digits.
fn bcd_parts(bytes: &[u8]) -> Option<[i64; 6]> {
    let mut number = i64::try_from(decimal(unsigned(bytes, Endian::Big), bytes.len())?).ok()?;
    let mut parts = [0; 6];
    for part in parts[1..].iter_mut().rev() {
        *part = number % 100;
        number /= 100;
    }
    parts[0] = if bytes.len() == 7 { number } else { 2000 + number };
    Some(parts)
}

/// Seconds since 1970 of a date and a time of day; `None` if there is no such one.
fn seconds(parts: &[i64; 6]) -> Option<i64> {
    let [year, month, day, hour, minute, second] = *parts;
    let is_time = (0..24).contains(&hour) && (0..60).contains(&minute) && (0..60).contains(&second);
    if !is_time || !(1..=12).contains(&month) || !(1..=days_of(year, month)).contains(&day) {
        return None;
    }
    Some(days(year, month, day) * S_PER_DAY + hour * 3600 + minute * 60 + second)
}

fn days_of(year: i64, month: i64) -> i64 {
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    match month {
        2 => 28 + i64::from(is_leap),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days since 1970-01-01 in the Gregorian calendar, by years that begin in March: the day that
/// leap years add is then the last one.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month < 3 { year - 1 } else { year };
    let month = (month + 9) % 12;
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * month + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

/// Year, month, day, hour, minute, second of seconds since 1970.
fn parts(seconds: i64) -> [i64; 6] {
    let (day, time) = (seconds.div_euclid(S_PER_DAY), seconds.rem_euclid(S_PER_DAY));
    let day = day + 719_468;
    let (era, of_era) = (day.div_euclid(146_097), day.rem_euclid(146_097));
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let (month, carry) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    [era * 400 + year + carry, month, day, time / 3600, time / 60 % 60, time % 60]
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn clock(format: TimeFormat, bytes: usize) -> Clock {
        Clock { format, bytes, endian: Endian::Big, since_s: 0, utc_offset_s: 0 }
    }

    #[test]
    fn every_day_of_centuries_goes_both_ways() {
        let mut expected = days(1900, 1, 1);
        for year in 1900..2200 {
            for month in 1..=12 {
                for day in 1..=days_of(year, month) {
                    assert_eq!(days(year, month, day), expected);
                    assert_eq!(parts(expected * S_PER_DAY)[..3], [year, month, day]);
                    expected += 1;
                }
            }
        }
        assert_eq!(days(1970, 1, 1), 0);
    }

    #[test]
    fn moments_are_read_in_every_format() {
        let expected = 1_774_747_805_000_000_000; // 2026-03-29T01:30:05Z
        for (format, bytes) in [
            (TimeFormat::EpochS, &b"\x69\xc8\x80\x9d"[..]),
            (TimeFormat::EpochMs, b"\x01\x9d\x37\x36\x65\x48"),
            (TimeFormat::Bcd, b"\x26\x03\x29\x01\x30\x05"),
            (TimeFormat::Bcd, b"\x20\x26\x03\x29\x01\x30\x05"),
            (TimeFormat::Bytes, b"\x1a\x03\x1d\x01\x1e\x05"),
        ] {
            let clock = clock(format, bytes.len());
            assert_eq!(clock.read(bytes), Some(expected), "{format:?}");
            let mut written = vec![0; bytes.len()];
            assert_eq!(clock.write(expected, &mut written), Some(()));
            assert_eq!(written, bytes, "{format:?}");
        }
    }

    #[test]
    fn a_clock_ahead_of_utc_shows_earlier_moments() {
        let ahead = Clock { utc_offset_s: 8 * 3600, ..clock(TimeFormat::Bytes, 6) };
        assert_eq!(
            ahead.read(b"\x1a\x01\x01\x08\x00\x00"),
            clock(TimeFormat::Bytes, 6).read(b"\x1a\x01\x01\x00\x00\x00")
        );
    }

    #[test]
    fn what_is_no_moment_is_none() {
        for (format, bytes) in [
            (TimeFormat::Bytes, &b"\x00\x00\x00\x00\x00\x00"[..]),
            (TimeFormat::Bytes, b"\x1a\x02\x1d\x00\x00\x00"),
            (TimeFormat::Bytes, b"\x1a\x01\x01\x18\x00\x00"),
            (TimeFormat::Bcd, b"\x26\x13\x01\x00\x00\x00"),
            (TimeFormat::Bcd, b"\xff\xff\xff\xff\xff\xff"),
            (TimeFormat::EpochS, b"\xff\xff\xff\xff\xff\xff\xff\xff"),
            (TimeFormat::EpochMs, b"\x7f\xff\xff\xff\xff\xff\xff\xff"),
        ] {
            assert_eq!(clock(format, bytes.len()).read(bytes), None, "{bytes:?}");
        }
    }
}
