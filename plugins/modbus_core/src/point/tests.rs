use flux_plugin_sdk::Json;
use flux_plugin_sdk::testing::written;

use super::*;
use crate::map::tests::map;

/// The one register of these settings.
fn point(register: &str) -> Point {
    let settings = format!(r#"{{"registers": [{{"name": "v", "address": 7, {register}}}]}}"#);
    map(&settings).all_points().next().unwrap().clone()
}

fn places<'a>(point: &Point, data: &'a [u8]) -> Places<'a> {
    Places { table: point.table, start: point.start, end: point.end, data }
}

fn read<'a>(point: &'a Point, data: &'a [u8]) -> Option<Reading<'a>> {
    point.read(&places(point, data)).unwrap()
}

fn float(register: &str, data: &[u8]) -> f64 {
    match read(&point(register), data) {
        Some(Reading::Float(number)) => number,
        other => panic!("{other:?}"),
    }
}

fn int(register: &str, data: &[u8]) -> i64 {
    match read(&point(register), data) {
        Some(Reading::Int(number)) => number,
        other => panic!("{other:?}"),
    }
}

fn json(text: &str) -> Json {
    text.parse().unwrap()
}

fn registers(write: Write) -> Vec<u16> {
    match write {
        Write::Registers(7, registers) => registers,
        other => panic!("{other:?}"),
    }
}

#[test]
fn every_order_of_words_and_bytes_is_read() {
    // 123456.789 in single precision is 47F12065; the four orders people call ABCD to DCBA.
    for (orders, data) in [
        (r#""words": "big", "bytes": "big""#, [0x47, 0xf1, 0x20, 0x65]),
        (r#""words": "little", "bytes": "big""#, [0x20, 0x65, 0x47, 0xf1]),
        (r#""words": "big", "bytes": "little""#, [0xf1, 0x47, 0x65, 0x20]),
        (r#""words": "little", "bytes": "little""#, [0x65, 0x20, 0xf1, 0x47]),
    ] {
        let number = float(&format!(r#""type": "f32", {orders}"#), &data);
        assert!((number - 123_456.789).abs() < 0.01, "{orders}: {number}");
    }
    let eight = [0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x08];
    for (orders, expected) in [
        (r#""words": "big", "bytes": "big""#, 0x0102_0304_0506_0708),
        (r#""words": "little", "bytes": "big""#, 0x0708_0506_0304_0102),
        (r#""words": "big", "bytes": "little""#, 0x0201_0403_0605_0807),
        (r#""words": "little", "bytes": "little""#, 0x0807_0605_0403_0201),
    ] {
        assert_eq!(int(&format!(r#""type": "i64", {orders}"#), &eight), expected, "{orders}");
    }
}

#[test]
fn signs_and_widths_are_read() {
    assert_eq!(int(r#""type": "u16""#, &[0xff, 0xfe]), 65_534);
    assert_eq!(int(r#""type": "i16""#, &[0xff, 0xfe]), -2);
    assert_eq!(int(r#""type": "u32""#, &[0xff; 4]), 4_294_967_295);
    assert_eq!(int(r#""type": "i32""#, &[0xff; 4]), -1);
    assert_eq!(int(r#""type": "i64""#, &[0xff; 8]), -1);
    assert_eq!(float(r#""type": "u64""#, &[0xff; 8]), 18_446_744_073_709_551_615.0);
    assert_eq!(int(r#""type": "bcd16""#, &[0x12, 0x34]), 1234);
    assert_eq!(int(r#""type": "bcd32""#, &[0x12, 0x34, 0x56, 0x78]), 12_345_678);
    assert_eq!(float(r#""type": "f64""#, &1.5_f64.to_be_bytes()), 1.5);
}

#[test]
fn a_scale_gives_the_number_people_expect() {
    for (scale, raw, expected) in [
        ("0.1", 3, 0.3),
        ("0.01", 2305, 23.05),
        ("0.001", 7, 0.007),
        ("0.5", 3, 1.5),
        ("0.05", 7, 0.35),
        ("10", 7, 70.0),
        ("-0.1", 3, -0.3),
    ] {
        let data = u16::to_be_bytes(raw);
        let number = float(&format!(r#""type": "u16", "scale": {scale}"#), &data);
        // To the last digit: neither 0.30000000000000004 nor 23.049999999999997.
        assert_eq!(number.to_string(), expected.to_string(), "{scale}");
    }
    assert_eq!(float(r#""scale": 0.1, "offset": -40"#, &[0x02, 0x58]), 20.0);
    assert_eq!(float(r#""offset": 0.5"#, &[0, 1]), 1.5);
}

#[test]
fn no_value_is_left_out() {
    for (register, data) in [
        (r#""null": 65535"#, [0xff, 0xff].as_slice()),
        (r#""type": "i16", "null": -32768"#, &[0x80, 0]),
        (r#""type": "i16", "null": 32768"#, &[0x80, 0]),
        (r#""type": "u32", "null": 4294967295, "words": "little""#, &[0xff; 4]),
        (r#""type": "i64", "null": -9223372036854775808"#, &[0x80, 0, 0, 0, 0, 0, 0, 0]),
        (r#""type": "u64", "null": 18446744073709551615"#, &[0xff; 8]),
        (r#""type": "u64", "null": -1"#, &[0xff; 8]),
        (r#""type": "f32", "null": -9999"#, &(-9999_f32).to_be_bytes()),
        (r#""type": "bcd16", "null": 65535"#, &[0xff, 0xff]),
        (r#""type": "bits", "bit": 4, "length": 4, "null": 15"#, &[0x12, 0xf4]),
    ] {
        assert_eq!(read(&point(register), data), None, "{register}");
    }
    assert_eq!(int(r#""null": 65535"#, &[0xff, 0xfe]), 65_534);
}

#[test]
fn bits_are_read_from_registers_and_coils() {
    let high = point(r#""type": "bool", "bit": 15"#);
    assert_eq!(read(&high, &[0x80, 0]), Some(Reading::Bool(true)));
    assert_eq!(read(&high, &[0x7f, 0xff]), Some(Reading::Bool(false)));
    assert_eq!(read(&point(r#""type": "bool""#), &[0, 2]), Some(Reading::Bool(true)));
    assert_eq!(int(r#""type": "bits", "bit": 4, "length": 6"#, &[0x0a, 0xbc]), 0x2b);
    assert_eq!(int(r#""type": "bits", "bytes": "little", "length": 4"#, &[0x0a, 0xbc]), 0x0a);
    assert_eq!(int(r#""table": "coil", "type": "bits", "length": 10"#, &[0xcd, 0x01]), 0x1cd);
}

#[test]
fn words_stand_for_numbers() {
    let mode = point(r#""enum": {"0": "off", "2": "auto"}"#);
    assert_eq!(read(&mode, &[0, 2]), Some(Reading::Label("auto")));
    assert_eq!(read(&mode, &[0, 1]), Some(Reading::Int(1)));
    let valve = point(r#""table": "coil", "enum": {"0": "closed", "1": "open"}"#);
    assert_eq!(read(&valve, &[1]), Some(Reading::Label("open")));
}

#[test]
fn a_digit_above_nine_is_no_decimal() {
    let point = point(r#""type": "bcd16""#);
    let error = point.read(&places(&point, &[0x1a, 0x34])).unwrap_err();
    assert_eq!(error.to_string(), "holds 1a34, which has a digit above 9");
}

#[test]
fn text_ends_at_a_zero_byte_and_may_be_latin() {
    let text = |register: &str, data: &[u8]| {
        let point = point(&format!(r#""type": "string", {register}"#));
        let outcome = written(|out| {
            point.report(read(&point, data).unwrap(), &mut out.message(""));
        });
        outcome.messages[0].value("v").cloned()
    };
    let is = |text: &str| Some(flux_plugin_sdk::Value::from(text));
    assert_eq!(text(r#""length": 6"#, b"AB C\0x"), is("AB C"));
    assert_eq!(text(r#""length": 5"#, b"  AB  "), is("AB"));
    assert_eq!(text(r#""length": 5, "bytes": "little""#, b"BADCFE"), is("ABCDE"));
    assert_eq!(text(r#""length": 4"#, b"\xb0C\0\0"), is("°C"));
    assert_eq!(text(r#""length": 4"#, "°C\0".as_bytes()), is("°C"));
}

#[test]
fn the_shorter_way_reads_the_same() {
    let mut seed = 1_u32;
    for of in ["u16", "i16", "u32", "i32", "f32"] {
        for orders in ["", r#", "bytes": "little""#] {
            for scale in ["", r#", "scale": 0.1"#, r#", "scale": 3, "offset": -1"#] {
                let point = point(&format!(r#""type": "{of}"{orders}{scale}"#));
                for _ in 0..50 {
                    seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    let data = seed.to_be_bytes();
                    let data = &data[..2 * (point.end - point.start) as usize];
                    let short = written(|out| {
                        let plain = point.plain.unwrap();
                        point.report_plain(plain, &places(&point, data), &mut out.message(""));
                    });
                    let long = written(|out| {
                        point.report(read(&point, data).unwrap(), &mut out.message(""));
                    });
                    assert_eq!(short.messages, long.messages, "{of}{orders}{scale} {data:?}");
                }
            }
        }
    }
}

#[test]
fn what_is_written_reads_the_same() {
    for (register, value) in [
        (r#""type": "u16""#, "65535"),
        (r#""type": "i16", "bytes": "little""#, "-3"),
        (r#""type": "u32", "words": "little""#, "305419896"),
        (r#""type": "i32""#, "-2"),
        (r#""type": "i64", "words": "little", "bytes": "little""#, "-81985529216486896"),
        (r#""type": "u64""#, "9223372036854775807"),
        (r#""type": "f32", "words": "little""#, "1.5"),
        (r#""type": "f64""#, "-0.1"),
        (r#""type": "bcd16""#, "9876"),
        (r#""type": "bcd32", "words": "little""#, "12345678"),
        (r#""type": "u16", "scale": 0.1"#, "230.4"),
        (r#""type": "i16", "scale": 0.5, "offset": 10"#, "-2.5"),
        (r#""type": "bool""#, "true"),
        (r#""enum": {"0": "off", "2": "auto"}"#, "\"auto\""),
        (r#""type": "bits", "length": 16"#, "4660"),
        (r#""type": "string", "length": 5"#, "\"AB C\""),
        (r#""type": "string", "length": 4, "bytes": "little""#, "\"ABCD\""),
    ] {
        let point = point(register);
        let words = registers(point.write(&json(value)).unwrap());
        let data: Vec<u8> = words.iter().flat_map(|word| word.to_be_bytes()).collect();
        let outcome = written(|out| {
            point.report(read(&point, &data).unwrap(), &mut out.message(""));
        });
        let expected = match json(value) {
            Json::Bool(yes) => yes.into(),
            Json::Int(number) => flux_plugin_sdk::Value::from(number),
            Json::Float(number) => number.into(),
            other => other.as_str().unwrap().into(),
        };
        assert_eq!(outcome.messages[0].value("v"), Some(&expected), "{register}");
    }
}

#[test]
fn a_time_is_written_in_seconds() {
    let point = point(r#""type": "epoch32""#);
    let words = registers(point.write(&json("1700000000")).unwrap());
    assert_eq!(words, [0x6553, 0xf100]);
    let data = [0x65, 0x53, 0xf1, 0x00];
    assert_eq!(read(&point, &data), Some(Reading::Time(1_700_000_000_000_000_000)));
}

#[test]
fn some_bits_are_written_with_a_mask() {
    let masked = |register: &str, value: &str| point(register).write(&json(value)).unwrap();
    let bit = masked(r#""type": "bool", "bit": 3"#, "true");
    assert_eq!(bit, Write::Mask { place: 7, and: 0xfff7, or: 0x0008 });
    let bits = masked(r#""type": "bits", "bit": 4, "length": 4"#, "5");
    assert_eq!(bits, Write::Mask { place: 7, and: 0xff0f, or: 0x0050 });
    let swapped = masked(r#""type": "bool", "bit": 3, "bytes": "little""#, "false");
    assert_eq!(swapped, Write::Mask { place: 7, and: 0xf7ff, or: 0 });
}

#[test]
fn coils_are_written_as_coils() {
    let coils = |register: &str, value: &str| point(register).write(&json(value)).unwrap();
    assert_eq!(coils(r#""table": "coil""#, "true"), Write::Coils(7, vec![true]));
    assert_eq!(coils(r#""table": "coil""#, "0"), Write::Coils(7, vec![false]));
    let five = coils(r#""table": "coil", "type": "bits", "length": 4"#, "5");
    assert_eq!(five, Write::Coils(7, vec![true, false, true, false]));
}

#[test]
fn values_that_do_not_fit_are_refused_in_their_own_unit() {
    for (register, value, expected) in [
        (r#""type": "u16""#, "65536", "must be from 0 to 65535"),
        (r#""type": "u16""#, "-1", "must be from 0 to 65535"),
        (r#""type": "u16""#, "1.5", "must be a whole number"),
        (r#""type": "i16", "scale": 0.1"#, "3276.8", "must be from -3276.8 to 3276.7"),
        (r#""type": "u16", "scale": 0.1, "offset": -40"#, "-40.1", "must be from -40 to 6513.5"),
        (r#""type": "u16", "scale": -1"#, "1", "must be from -65535 to 0"),
        (r#""type": "u64""#, "-1", "must be from 0 to 18446744073709551615"),
        (r#""type": "i64""#, "9.3e18", "must be from -9223372036854775808 to 9223372036854775807"),
        (r#""type": "bcd16""#, "10000", "must be from 0 to 9999"),
        (r#""type": "f32""#, "1e39", "is too large for the register's type"),
        (r#""type": "bits", "length": 3"#, "8", "must be from 0 to 7"),
        (r#""type": "bool""#, "2", "must be true or false"),
        (r#""type": "u16""#, "true", "must be a number"),
        (r#""type": "u16""#, "\"on\"", "must be a number, not a string"),
        (r#""enum": {"0": "off"}"#, "\"on\"", "must be a number, or one of \"off\""),
        (r#""type": "string", "length": 2"#, "\"abc\"", "has 3 bytes, at most 2 fit"),
        (r#""type": "string", "length": 2"#, "5", "must be a string"),
        (r#""type": "epoch32""#, "4294967296", "must be from 0 to 4294967295"),
    ] {
        let error = point(register).write(&json(value)).unwrap_err();
        assert_eq!(error.text, expected, "{register} {value}");
    }
}
