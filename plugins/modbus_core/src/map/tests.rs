use flux_plugin_sdk::setting;

use super::*;
use crate::{Rtu, Tcp};

/// A map of good settings.
pub(crate) fn map(settings: &str) -> Map {
    compile::compile::<Rtu>(&setting::read(settings).unwrap()).unwrap()
}

fn refused<T: Transport>(settings: &str) -> String {
    match setting::read(settings) {
        Ok(settings) => compile::compile::<T>(&settings).unwrap_err().to_string(),
        Err(error) => error.to_string(),
    }
}

/// What is wrong with one register beside its name and address.
fn refused_register(more: &str) -> String {
    refused::<Rtu>(&format!(r#"{{"registers": [{{"name": "a", "address": 0, {more}}}]}}"#))
}

#[test]
fn nothing_at_all_is_a_good_setting() {
    let map = map("{}");
    assert_eq!((map.unit, map.units.len()), (Some(1), 1));
    assert_eq!(map.unmapped, Unmapped::Raw);
}

#[test]
fn wrong_units_are_refused_with_their_place() {
    for (settings, expected) in [
        (r#"{"unit": 0}"#, "/unit: 0 is every unit at once, which none of them answers"),
        (r#"{"unit": 256}"#, "/unit: must be a whole number from 0 to 255"),
        (r#"{"devices": {"256": "a"}}"#, "/devices/256: is no unit: write a number from 0 to 255"),
        (r#"{"devices": {"03": "a"}}"#, "/devices/03: is no unit: write a number from 0 to 255"),
        (r#"{"devices": {"+3": "a"}}"#, "/devices/+3: is no unit: write a number from 0 to 255"),
        (r#"{"devices": {"3": ""}}"#, "/devices/3: must be a device's key, of 1 to 255 bytes"),
        (r#"{"devices": {"3": "a", "4": "a"}}"#, "/devices/4: \"a\" is unit 3 already"),
        (r#"{"registers_max": 126}"#, "/registers_max: must be from 1 to 125"),
        (r#"{"bits_max": 0}"#, "/bits_max: must be from 1 to 2000"),
    ] {
        assert_eq!(refused::<Rtu>(settings), expected);
    }
}

#[test]
fn unit_0_is_a_unit_like_any_other_on_tcp() {
    let settings = setting::read(r#"{"unit": 0}"#).unwrap();
    assert_eq!(compile::compile::<Tcp>(&settings).unwrap().unit, Some(0));
}

#[test]
fn wrong_registers_are_refused_with_their_place() {
    for (more, expected) in [
        (r#""type": "u8""#, "/registers/0/type: must be one of \"bool\", \"bits\", \"u16\", "),
        (r#""bit": 16, "type": "bool""#, "/registers/0/bit: must be from 0 to 15"),
        (r#""bit": 1"#, "/registers/0/bit: belongs to the types bool and bits"),
        (r#""bit": 0, "table": "coil""#, "/registers/0/bit: belongs to registers"),
        (r#""length": 2"#, "/registers/0/length: belongs to the types bits and string"),
        (r#""type": "string""#, "/registers/0/length: must be from 1 to 250: bytes of the text"),
        (r#""type": "bits", "bit": 9, "length": 8"#, "/registers/0/length: must leave `bit` and"),
        (r#""table": "coil", "type": "bits""#, "/registers/0/length: must be from 1 to 32"),
        (r#""table": "coil", "type": "u16""#, "/registers/0/type: must be bool or bits"),
        (r#""words": "big""#, "/registers/0/words: belongs to numbers of several registers"),
        (r#""table": "discrete", "bytes": "big""#, "/registers/0/bytes: belongs to registers"),
        (r#""scale": 0"#, "/registers/0/scale: must not be 0: nothing could be read"),
        (r#""type": "bool", "offset": 1"#, "/registers/0/offset: belongs to numbers"),
        (r#""type": "epoch32", "scale": 2"#, "/registers/0/scale: belongs to numbers"),
        (r#""enum": {"1": "a", "2": "a"}"#, "/registers/0/enum/2: another number means the same"),
        (r#""enum": {"one": "a"}"#, "/registers/0/enum/one: is no whole number"),
        (r#""enum": {"01": "a"}"#, "/registers/0/enum/01: is no whole number"),
        (r#""type": "f32", "enum": {"1": "a"}"#, "/registers/0/enum: belongs to whole numbers"),
        (r#""null": 65536"#, "/registers/0/null: must be a whole number from -32768 to 65535"),
        (r#""null": "x""#, "/registers/0/null: must be a number"),
        (r#""type": "bool", "null": 1"#, "/registers/0/null: belongs to numbers of registers"),
        (r#""units": []"#, "/registers/0/units: names at least one unit"),
        (r#""units": [1, 2]"#, "/registers/0/units/1: is neither \"unit\" nor one of \"devices\""),
        (r#""units": [1, 1]"#, "/registers/0/units/1: stands twice"),
        (r#""scle": 1"#, "/registers/0/scle: is not known; there is name, table, address, "),
    ] {
        let refused = refused_register(more);
        assert!(refused.starts_with(expected), "{more}: {refused}");
    }
}

#[test]
fn places_beyond_the_table_are_refused() {
    for (register, expected) in [
        (r#"{"name": "a", "address": 65536}"#, "/address: must be a whole number from 0 to 65535"),
        (r#"{"name": "a", "address": 65535, "type": "u32"}"#, "/address: its 2 places reach"),
        (r#"{"name": "", "address": 0}"#, "/name: must have 1 to 255 bytes"),
    ] {
        let refused = refused::<Rtu>(&format!(r#"{{"registers": [{register}]}}"#));
        assert!(refused.starts_with(&format!("/registers/0{expected}")), "{refused}");
    }
    let last = r#"{"registers": [{"name": "a", "address": 65534, "type": "u32"}]}"#;
    assert_eq!(map(last).points(Table::Holding)[0].end, 65_536);
}

#[test]
fn a_value_longer_than_a_request_may_read_is_refused() {
    let settings =
        r#"{"registers_max": 3, "registers": [{"name": "a", "address": 0, "type": "f64"}]}"#;
    let expected = "/registers/0: has 4 places, more than registers_max lets a request read";
    assert_eq!(refused::<Rtu>(settings), expected);
}

#[test]
fn a_name_stands_once_for_each_unit() {
    let settings = |more: &str| {
        format!(
            r#"{{"devices": {{"1": "a", "2": "b"}}, "registers": [
                {{"name": "v", "address": 0, "units": [1]}}, {{"name": "v", "address": 9{more}}}]}}"#
        )
    };
    assert_eq!(map(&settings(r#", "units": [2]"#)).points(Table::Holding).len(), 2);
    let twice = refused::<Rtu>(&settings(r#", "units": [2, 1]"#));
    assert_eq!(twice, "/registers/1/name: is register 0 of unit 1 already");
    assert_eq!(refused::<Rtu>(&settings("")), "/registers/1/name: is register 0 already");
}

#[test]
fn overlapping_values_are_welcome() {
    let map = map(r#"{"registers": [{"name": "word", "address": 5}, {"name": "bit", "address": 5,
            "type": "bool", "bit": 3}, {"name": "both", "address": 4, "type": "u32"}]}"#);
    assert_eq!(map.points(Table::Holding).len(), 3);
}

#[test]
fn wrong_entries_of_unsolicited_are_refused() {
    let refused = |entry: &str| refused::<Rtu>(&format!(r#"{{"unsolicited": [{entry}]}}"#));
    for (entry, expected) in [
        (r#"{"function": 7}"#, "/function: must be 1 to 6, 15 or 16"),
        (r#"{"function": 3}"#, "/address: is missing: where what the frame brings begins"),
        (r#"{"function": 6, "address": 0}"#, "/address: such frames say it themselves"),
        (r#"{"function": 16, "count": 1}"#, "/count: such frames say it themselves"),
        (r#"{"function": 3, "address": 0, "count": 126}"#, "/count: must be from 1 to 125"),
        (r#"{"function": 3, "address": 0, "unit": 2}"#, "/unit: unit 2 is neither"),
    ] {
        let refused = refused(entry);
        assert!(refused.starts_with(&format!("/unsolicited/0{expected}")), "{refused}");
    }
    let covered = r#"{"function": 3, "address": 0}, {"function": 3, "address": 9, "count": 2}"#;
    assert_eq!(refused(covered), "/unsolicited/1: never counts: entry 0 comes first");
}

#[test]
fn more_registers_than_a_message_holds_are_refused() {
    let one = |place| format!(r#"{{"name": "r{place}", "address": {place}}}"#);
    let settings = |count| {
        let all: Vec<_> = (0..count).map(one).collect();
        format!(r#"{{"registers": [{}]}}"#, all.join(","))
    };
    assert_eq!(map(&settings(REGISTERS_MAX)).points(Table::Holding).len(), REGISTERS_MAX);
    let refused = refused::<Rtu>(&settings(REGISTERS_MAX + 1));
    assert_eq!(refused, "/registers: has 1001 registers, at most 1000");
}
