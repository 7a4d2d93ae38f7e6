//! JSON as CBOR, each item in its preferred form (RFC 8949 section 4.1).

use flux_plugin_sdk::Json;

use crate::number::half;

/// The bytes of a value.
pub(crate) fn write(json: &Json) -> Vec<u8> {
    let mut out = Vec::new();
    put(&mut out, json);
    out
}

fn put(out: &mut Vec<u8>, json: &Json) {
    match json {
        Json::Null => out.push(0xf6),
        Json::Bool(yes) => out.push(0xf4 | u8::from(*yes)),
        #[allow(clippy::cast_sign_loss)] // what remains of a negative number is -1 less it
        Json::Int(number) if *number < 0 => put_head(out, 1, !*number as u64),
        #[allow(clippy::cast_sign_loss)]
        Json::Int(number) => put_head(out, 0, *number as u64),
        Json::Float(number) => put_real(out, *number),
        Json::Text(text) => put_text(out, text),
        Json::List(items) => {
            put_head(out, 4, items.len() as u64);
            items.iter().for_each(|item| put(out, item));
        }
        Json::Object(members) => {
            put_head(out, 5, members.len() as u64);
            for (name, value) in members {
                put_text(out, name);
                put(out, value);
            }
        }
    }
}

fn put_text(out: &mut Vec<u8>, text: &str) {
    put_head(out, 3, text.len() as u64);
    out.extend_from_slice(text.as_bytes());
}

fn put_head(out: &mut Vec<u8>, major: u8, argument: u64) {
    let (info, bytes) = match argument {
        0..=23 => return out.push(major << 5 | argument as u8),
        24..=0xff => (24, 1),
        0x100..=0xffff => (25, 2),
        0x1_0000..=0xffff_ffff => (26, 4),
        _ => (27, 8),
    };
    out.push(major << 5 | info);
    out.extend_from_slice(&argument.to_be_bytes()[8 - bytes..]);
}

/// In the shortest float that loses nothing.
#[allow(clippy::cast_possible_truncation)]
fn put_real(out: &mut Vec<u8>, number: f64) {
    let single = number as f32;
    if let Some(bits) = half_bits(number) {
        out.push(0xf9);
        out.extend_from_slice(&bits.to_be_bytes());
    } else if f64::from(single) == number {
        out.push(0xfa);
        out.extend_from_slice(&single.to_be_bytes());
    } else {
        out.push(0xfb);
        out.extend_from_slice(&number.to_be_bytes());
    }
}

/// Half precision, if the number has no more: tried by reading it back.
fn half_bits(number: f64) -> Option<u16> {
    let bits = number.to_bits();
    let sign = (bits >> 48 & 0x8000) as u16;
    let exponent = (bits >> 52 & 0x7ff) as i32 - 1023;
    let fraction = bits & 0xf_ffff_ffff_ffff;
    let tried = match exponent {
        -14..=15 => ((exponent + 15) as u16) << 10 | (fraction >> 42) as u16,
        -24..=-15 => ((fraction | 1 << 52) >> (28 - exponent)) as u16 & 0x3ff,
        _ if number == 0.0 => 0,
        _ => return None,
    };
    let tried = sign | tried;
    (half(tried) == number).then_some(tried)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_are_found_wherever_they_fit() {
        for bits in (0..=0xffff_u16).filter(|bits| bits & 0x7c00 != 0x7c00) {
            assert_eq!(half_bits(half(bits)), Some(bits), "{bits:04x}");
        }
        for number in [0.1, 65_536.0, 65_505.0, 2f64.powi(-25), 1e300, f64::MIN_POSITIVE] {
            assert_eq!(half_bits(number), None, "{number}");
        }
    }
}
