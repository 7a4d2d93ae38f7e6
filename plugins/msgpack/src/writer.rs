//! JSON as `MessagePack`, each item in its shortest form.

use flux_plugin_sdk::Json;

/// The bytes of a value.
pub(crate) fn write(json: &Json) -> Vec<u8> {
    let mut out = Vec::new();
    put(&mut out, json);
    out
}

fn put(out: &mut Vec<u8>, json: &Json) {
    match json {
        Json::Null => out.push(0xc0),
        Json::Bool(yes) => out.push(0xc2 | u8::from(*yes)),
        Json::Int(number) => put_whole(out, *number),
        Json::Float(number) => put_real(out, *number),
        Json::Text(text) => {
            match (u8::try_from(text.len()), text.len()) {
                (Ok(len @ 0..=31), _) => out.push(0xa0 | len),
                (Ok(len), _) => out.extend_from_slice(&[0xd9, len]),
                (_, len) => put_len(out, 0xda, len),
            }
            out.extend_from_slice(text.as_bytes());
        }
        Json::List(items) => {
            put_count(out, 0x90, 0xdc, items.len());
            items.iter().for_each(|item| put(out, item));
        }
        Json::Object(members) => {
            put_count(out, 0x80, 0xde, members.len());
            for (name, value) in members {
                put(out, &Json::Text(name.clone()));
                put(out, value);
            }
        }
    }
}

fn put_count(out: &mut Vec<u8>, few: u8, many: u8, len: usize) {
    match u8::try_from(len) {
        Ok(len @ 0..=15) => out.push(few | len),
        _ => put_len(out, many, len),
    }
}

/// A length of two bytes, or of four behind the next first byte. A command has no more than what
/// fits there: it came as JSON in a message.
fn put_len(out: &mut Vec<u8>, first: u8, len: usize) {
    match u16::try_from(len) {
        Ok(len) => {
            out.push(first);
            out.extend_from_slice(&len.to_be_bytes());
        }
        Err(_) => {
            out.push(first + 1);
            out.extend_from_slice(&u32::try_from(len).unwrap_or(u32::MAX).to_be_bytes());
        }
    }
}

fn put_whole(out: &mut Vec<u8>, number: i64) {
    let (first, bytes) = match number {
        -32..=127 => return out.push(number as u8),
        128..=0xff => (0xcc, 1),
        0x100..=0xffff => (0xcd, 2),
        0x1_0000..=0xffff_ffff => (0xce, 4),
        0x1_0000_0000.. => (0xcf, 8),
        -0x80..-32 => (0xd0, 1),
        -0x8000..-0x80 => (0xd1, 2),
        -0x8000_0000..-0x8000 => (0xd2, 4),
        _ => (0xd3, 8),
    };
    out.push(first);
    out.extend_from_slice(&number.to_be_bytes()[8 - bytes..]);
}

/// In single precision where nothing is lost.
#[allow(clippy::cast_possible_truncation)]
fn put_real(out: &mut Vec<u8>, number: f64) {
    let single = number as f32;
    if f64::from(single) == number {
        out.push(0xca);
        out.extend_from_slice(&single.to_be_bytes());
    } else {
        out.push(0xcb);
        out.extend_from_slice(&number.to_be_bytes());
    }
}
