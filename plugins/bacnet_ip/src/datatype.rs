//! JSON into values to write.

use flux_plugin_sdk::json::JsonError;
use flux_plugin_sdk::{Json, settings};

use crate::tags::{BOOLEAN, Class, unsigned_bytes, write};
use crate::value::{Date, ObjectId, Time};

/// Bytes of text, octets and bits: what a tag of one length octet holds.
const CONTENT_BYTES_MAX: usize = 253;

settings! {
    /// A type of value: clause 20.2.2 to 20.2.14.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum Datatype {
        /// Nothing: gives a priority back.
        Null = "null",
        /// Yes or no.
        Boolean = "boolean",
        /// A whole number from 0.
        Unsigned = "unsigned",
        /// A whole number.
        Integer = "integer",
        /// A number of single precision.
        Real = "real",
        /// A number of double precision.
        Double = "double",
        /// Bytes, as hexadecimal text.
        Octets = "octets",
        /// Text.
        Text = "text",
        /// Bits, as text of zeros and ones.
        Bits = "bits",
        /// One of several, as a number; yes and no are 1 and 0.
        Enumerated = "enumerated",
        /// `2026-03-29`; `*` is any.
        Date = "date",
        /// `13:05:00.25`; `*` is any.
        Time = "time",
        /// `analog-input,1`.
        Object = "object",
    }
}

impl Datatype {
    /// The type of a property, where the standard leaves no choice: what the present value of the
    /// common objects is (clause 12), and a few others.
    pub(crate) fn of(object: ObjectId, property: u32) -> Option<Self> {
        match property {
            /* present-value, relinquish-default */
            85 | 104 => Self::of_present_value(object.kind()),
            /* description, object-name */
            28 | 77 => Some(Self::Text),
            /* out-of-service */
            81 => Some(Self::Boolean),
            /* cov-increment, deadband, high-limit, low-limit */
            22 | 25 | 45 | 59 if object.kind() <= 2 => Some(Self::Real),
            _ => None,
        }
    }

    fn of_present_value(kind: u32) -> Option<Self> {
        Some(match kind {
            /* analog-input, -output, -value; lighting-output */
            0..=2 | 54 => Self::Real,
            /* binary-input, -output, -value; binary-lighting-output */
            3..=5 | 55 => Self::Enumerated,
            /* multi-state-input, -output, -value; positive-integer-value */
            13 | 14 | 19 | 48 => Self::Unsigned,
            39 => Self::Bits,
            40 => Self::Text,
            41 | 42 => Self::Date,
            45 => Self::Integer,
            46 => Self::Double,
            47 => Self::Octets,
            49 | 50 => Self::Time,
            _ => return None,
        })
    }

    /// Writes a value of this type, application-tagged. `null` is always Null.
    ///
    /// # Errors
    /// What is wrong with the value.
    pub(crate) fn write(self, json: &Json, out: &mut Vec<u8>) -> Result<(), JsonError> {
        let wrong = |what: &str| JsonError::new(format!("must be {what}"));
        let text = |what: &str| json.as_str().ok_or_else(|| wrong(what));
        let mut put = |number, content: &[u8]| write(out, Class::Application, number, content);
        match self {
            _ if *json == Json::Null => put(0, &[]),
            Self::Null => return Err(wrong("null")),
            Self::Boolean => {
                let yes = boolean(json).ok_or_else(|| wrong("true or false"))?;
                // The value stands in place of the length (20.2.3).
                out.push(BOOLEAN << 4 | u8::from(yes));
            }
            Self::Unsigned => put(2, &unsigned_bytes(natural(json)?)),
            Self::Integer => {
                put(3, &signed_bytes(json.as_i64().ok_or_else(|| wrong("a whole number"))?));
            }
            Self::Real => {
                #[allow(clippy::cast_possible_truncation)] // checked: it does not become infinite
                let number = json.as_f64().ok_or_else(|| wrong("a number"))? as f32;
                if !number.is_finite() {
                    return Err(wrong("a number that single precision can hold"));
                }
                put(4, &number.to_be_bytes());
            }
            Self::Double => {
                put(5, &json.as_f64().ok_or_else(|| wrong("a number"))?.to_be_bytes());
            }
            Self::Octets => put(6, &content(hexadecimal(text("hexadecimal text")?)?)?),
            Self::Text => {
                let mut bytes = vec![0];
                bytes.extend_from_slice(text("text")?.as_bytes());
                put(7, &content(bytes)?);
            }
            Self::Bits => put(8, &content(bits(text("text of zeros and ones")?)?)?),
            Self::Enumerated => {
                let number = boolean(json).map(u64::from).map_or_else(|| natural(json), Ok)?;
                put(9, &unsigned_bytes(number));
            }
            Self::Date => {
                let read = Date::parse(text("a date such as 2026-03-29")?);
                put(10, &read.ok_or_else(|| wrong("a date such as 2026-03-29"))?.0);
            }
            Self::Time => {
                let read = Time::parse(text("a time such as 13:05:00.00")?);
                put(11, &read.ok_or_else(|| wrong("a time such as 13:05:00.00"))?.0);
            }
            Self::Object => {
                let read = ObjectId::parse(text("an object such as analog-input,1")?);
                let object = read.ok_or_else(|| wrong("an object such as analog-input,1"))?;
                put(12, &object.0.to_be_bytes());
            }
        }
        Ok(())
    }
}

fn boolean(json: &Json) -> Option<bool> {
    json.as_bool().or_else(|| match json.as_i64() {
        Some(0) => Some(false),
        Some(1) => Some(true),
        _ => None,
    })
}

fn natural(json: &Json) -> Result<u64, JsonError> {
    let number = json.as_i64().and_then(|number| number.try_into().ok());
    number.ok_or_else(|| JsonError::new("must be a whole number, 0 or more"))
}

/// As few bytes as hold it and its sign (20.2.5).
fn signed_bytes(number: i64) -> Vec<u8> {
    let bytes = number.to_be_bytes();
    let sign = if number < 0 { 0xff } else { 0x00 };
    // A byte can go if it is only sign, and the next one still shows it.
    let spare = bytes.windows(2).take_while(|two| two[0] == sign && (two[1] ^ sign) & 0x80 == 0);
    bytes[spare.count()..].to_vec()
}

fn content(bytes: Vec<u8>) -> Result<Vec<u8>, JsonError> {
    if bytes.len() > CONTENT_BYTES_MAX {
        return Err(JsonError::new(format!("must have at most {CONTENT_BYTES_MAX} bytes")));
    }
    Ok(bytes)
}

/// Bytes of hexadecimal text.
///
/// # Errors
/// What it should be.
pub(crate) fn hexadecimal(text: &str) -> Result<Vec<u8>, JsonError> {
    let wrong = || JsonError::new("must be hexadecimal text, two digits for each byte");
    let digits: Vec<u32> =
        text.chars().map(|c| c.to_digit(16)).collect::<Option<_>>().ok_or_else(wrong)?;
    if digits.len() % 2 != 0 {
        return Err(wrong());
    }
    let byte = |pair: &[u32]| pair.iter().fold(0, |byte, digit| byte << 4 | digit);
    digits.chunks(2).map(|pair| u8::try_from(byte(pair)).map_err(|_| wrong())).collect()
}

/// First how many bits of the last byte are unused (20.2.10).
fn bits(text: &str) -> Result<Vec<u8>, JsonError> {
    let mut bytes = vec![u8::try_from((8 - text.len() % 8) % 8).unwrap_or(0)];
    for chunk in text.as_bytes().chunks(8) {
        let mut byte = 0;
        for (bit, digit) in chunk.iter().enumerate() {
            match digit {
                b'0' => {}
                b'1' => byte |= 0x80 >> bit,
                _ => return Err(JsonError::new("must be text of zeros and ones")),
            }
        }
        bytes.push(byte);
    }
    Ok(bytes)
}

impl Date {
    fn parse(text: &str) -> Option<Self> {
        let mut parts = text.splitn(3, '-');
        let mut part = || parts.next();
        let (year, month, day) = (part()?, part()?, part()?);
        let year = match year {
            "*" => 255,
            year => year.parse::<u16>().ok().filter(|year| (1900..=2154).contains(year))? - 1900,
        };
        let month = match month {
            "*" => 255,
            "odd" => 13,
            "even" => 14,
            month => two_digits(month, 1, 12)?,
        };
        let day = match day {
            "*" => 255,
            "last" => 32,
            "odd" => 33,
            "even" => 34,
            day => two_digits(day, 1, 31)?,
        };
        let year = u8::try_from(year).ok()?;
        Some(Self([year, month, day, weekday(year, month, day)]))
    }
}

/// 1 is Monday; 255 is any, where the date is not one single day. (Sakamoto's rule.)
fn weekday(year: u8, month: u8, day: u8) -> u8 {
    if year == 255 || month > 12 || day > 31 {
        return 255;
    }
    const OFFSETS: [u32; 12] = [0, 3, 2, 5, 0, 3, 5, 1, 4, 6, 2, 4];
    let year = 1900 + u32::from(year) - u32::from(month < 3);
    let offset = OFFSETS.get(usize::from(month) - 1).copied().unwrap_or(0);
    let from_sunday = (year + year / 4 - year / 100 + year / 400 + offset + u32::from(day)) % 7;
    u8::try_from(if from_sunday == 0 { 7 } else { from_sunday }).unwrap_or(255)
}

impl Time {
    fn parse(text: &str) -> Option<Self> {
        let (clock, hundredths) = text.split_once('.').unwrap_or((text, "0"));
        let mut parts = clock.splitn(3, ':');
        let mut part = |max| match parts.next()? {
            "*" => Some(255),
            part => two_digits(part, 0, max),
        };
        let (hour, minute, second) = (part(23)?, part(59)?, part(59)?);
        let hundredths = if hundredths == "*" { 255 } else { two_digits(hundredths, 0, 99)? };
        Some(Self([hour, minute, second, hundredths]))
    }
}

fn two_digits(text: &str, min: u8, max: u8) -> Option<u8> {
    let number = text.parse().ok()?;
    (min..=max).contains(&number).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(datatype: Datatype, json: &str) -> Result<Vec<u8>, String> {
        let mut out = Vec::new();
        datatype.write(&json.parse().unwrap(), &mut out).map_err(|error| error.to_string())?;
        Ok(out)
    }

    /// The examples of clauses 20.2.2 to 20.2.14.
    #[test]
    fn values_are_written_as_the_standard_shows() {
        for (datatype, json, bytes) in [
            (Datatype::Null, "null", &b"\x00"[..]),
            (Datatype::Boolean, "false", b"\x10"),
            (Datatype::Boolean, "true", b"\x11"),
            (Datatype::Unsigned, "72", b"\x21\x48"),
            (Datatype::Integer, "72", b"\x31\x48"),
            (Datatype::Real, "72.0", b"\x44\x42\x90\x00\x00"),
            (Datatype::Double, "72.0", b"\x55\x08\x40\x52\x00\x00\x00\x00\x00\x00"),
            (Datatype::Octets, "\"1234ff\"", b"\x63\x12\x34\xff"),
            (
                Datatype::Text,
                "\"This is a BACnet string!\"",
                b"\x75\x19\x00This is a BACnet string!",
            ),
            (Datatype::Bits, "\"10101\"", b"\x82\x03\xa8"),
            (Datatype::Enumerated, "0", b"\x91\x00"),
            (Datatype::Date, "\"1991-01-24\"", b"\xa4\x5b\x01\x18\x04"),
            (Datatype::Time, "\"17:35:45.17\"", b"\xb4\x11\x23\x2d\x11"),
            (Datatype::Object, "\"binary-input,15\"", b"\xc4\x00\xc0\x00\x0f"),
        ] {
            assert_eq!(written(datatype, json).as_deref(), Ok(bytes), "{datatype:?} {json}");
        }
    }

    #[test]
    fn signed_numbers_take_as_few_bytes_as_hold_their_sign() {
        for (number, bytes) in [
            (0, &b"\x00"[..]),
            (-1, b"\xff"),
            (127, b"\x7f"),
            (128, b"\x00\x80"),
            (-128, b"\x80"),
            (-129, b"\xff\x7f"),
            (i64::MIN, b"\x80\x00\x00\x00\x00\x00\x00\x00"),
        ] {
            assert_eq!(signed_bytes(number), bytes, "{number}");
        }
    }

    #[test]
    fn what_a_type_cannot_hold_is_refused() {
        for (datatype, json) in [
            (Datatype::Null, "1"),
            (Datatype::Boolean, "2"),
            (Datatype::Unsigned, "-1"),
            (Datatype::Unsigned, "1.5"),
            (Datatype::Real, "1e39"),
            (Datatype::Real, "\"1\""),
            (Datatype::Octets, "\"123\""),
            (Datatype::Octets, "\"éé\""),
            (Datatype::Bits, "\"012\""),
            (Datatype::Enumerated, "-1"),
            (Datatype::Date, "\"2026-13-01\""),
            (Datatype::Date, "\"2200-01-01\""),
            (Datatype::Date, "\"2026-03\""),
            (Datatype::Time, "\"24:00:00\""),
            (Datatype::Time, "\"12:00\""),
            (Datatype::Object, "\"analog-input\""),
            (Datatype::Object, "\"analog-input,4194304\""),
        ] {
            assert!(written(datatype, json).is_err(), "{datatype:?} {json}");
        }
        let long = format!("\"{}\"", "x".repeat(CONTENT_BYTES_MAX));
        assert!(written(Datatype::Text, &long).unwrap_err().contains("at most 253 bytes"));
    }
}
