//! The time as HTTP writes it (IMF-fixdate, RFC 9110 section 5.6.7).

const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// The last second written, so that it is written once a second.
#[derive(Debug, Clone)]
pub struct HttpDate {
    second: i64,
    text: String,
}

impl Default for HttpDate {
    fn default() -> Self {
        Self { second: 0, text: written(0) }
    }
}

impl HttpDate {
    /// The text of a time in nanoseconds since 1970: `Sun, 06 Nov 1994 08:49:37 GMT`.
    pub fn at(&mut self, wall_ns: i64) -> &str {
        let second = wall_ns.div_euclid(1_000_000_000);
        if second != self.second {
            *self = Self { second, text: written(second) };
        }
        &self.text
    }
}

fn written(second: i64) -> String {
    let (days, clock) = (second.div_euclid(86_400), second.rem_euclid(86_400));
    let (year, month, day) = civil(days);
    let name = |names: &[&'static str], place: i64| {
        usize::try_from(place).ok().and_then(|place| names.get(place).copied()).unwrap_or("")
    };
    format!(
        "{}, {day:02} {} {year:04} {:02}:{:02}:{:02} GMT",
        name(&DAYS, days.rem_euclid(7)),
        name(&MONTHS, month - 1),
        clock / 3_600,
        clock / 60 % 60,
        clock % 60
    )
}

/// Year, month and day of a number of days since 1970, by Howard Hinnant's `civil_from_days`
/// (<https://howardhinnant.github.io/date_algorithms.html>).
fn civil(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let of_era = shifted.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_written_as_the_standard_s_example() {
        let mut date = HttpDate::default();
        assert_eq!(date.at(784_111_777_000_000_000), "Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(date.at(784_111_777_999_999_999), "Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(date.at(0), "Thu, 01 Jan 1970 00:00:00 GMT");
        assert_eq!(date.at(951_782_400_000_000_000), "Tue, 29 Feb 2000 00:00:00 GMT");
    }
}
