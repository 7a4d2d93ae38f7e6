//! CBOR (RFC 8949) as JSON, by the advice of its section 6.1.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ciborium::Value as Cbor;
use serde_json::{Map, Number, Value as Json};

use crate::http::Refusal;

/// Arrays and maps within one another.
const DEPTH_MAX: usize = 32;

/// One map, or an array of maps, as JSON.
pub(super) fn to_json(body: &[u8]) -> Result<Vec<u8>, Refusal> {
    let mut rest = body;
    let value: Cbor = ciborium::de::from_reader_with_recursion_limit(&mut rest, DEPTH_MAX)
        .map_err(|error| malformed(&format!("the content is not CBOR: {error}")))?;
    if !rest.is_empty() {
        return Err(malformed("something stands behind the CBOR"));
    }
    let holds = match &value {
        Cbor::Map(_) => true,
        Cbor::Array(items) => items.iter().all(Cbor::is_map),
        _ => false,
    };
    if !holds {
        let detail = "expected a CBOR map or an array of maps";
        return Err(Refusal::new(400, "telemetry.not_an_object", detail));
    }
    serde_json::to_vec(&json(value)?).map_err(|error| malformed(&error.to_string()))
}

fn malformed(detail: &str) -> Refusal {
    Refusal::new(400, "telemetry.malformed", detail)
}

fn json(value: Cbor) -> Result<Json, Refusal> {
    Ok(match value {
        Cbor::Bool(flag) => Json::Bool(flag),
        Cbor::Integer(number) => integer(number.into())?,
        // no JSON number: no value
        Cbor::Float(number) => Number::from_f64(number).map_or(Json::Null, Json::Number),
        Cbor::Text(text) => Json::String(text),
        Cbor::Bytes(bytes) => Json::String(STANDARD.encode(bytes)),
        Cbor::Array(items) => {
            Json::Array(items.into_iter().map(json).collect::<Result<Vec<_>, _>>()?)
        }
        Cbor::Map(pairs) => {
            let mut map = Map::new();
            for (key, value) in pairs {
                map.insert(name(key)?, json(value)?);
            }
            Json::Object(map)
        }
        // bignums, section 3.4.3
        Cbor::Tag(2 | 3, content) if content.is_bytes() => Json::Null,
        Cbor::Tag(_, content) => json(*content)?,
        _ => Json::Null,
    })
}

fn integer(number: i128) -> Result<Json, Refusal> {
    let small = i64::try_from(number).map(Json::from).ok();
    let large = || u64::try_from(number).map(Json::from).ok();
    small.or_else(large).ok_or_else(|| malformed("a number is beyond 64 bits"))
}

fn name(key: Cbor) -> Result<String, Refusal> {
    match key {
        Cbor::Text(text) => Ok(text),
        Cbor::Integer(number) => Ok(i128::from(number).to_string()),
        _ => Err(malformed("a map's key is neither text nor a whole number")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(bytes: &[u8]) -> String {
        String::from_utf8(to_json(bytes).unwrap()).unwrap()
    }

    #[test]
    fn the_standard_s_examples_become_json() {
        // RFC 8949 appendix A
        assert_eq!(text(b"\xa2\x61a\x01\x61b\x82\x02\x03"), r#"{"a":1,"b":[2,3]}"#);
        assert_eq!(text(b"\xbf\x63Fun\xf5\x63Amt\x21\xff"), r#"{"Amt":-2,"Fun":true}"#);
        assert_eq!(text(b"\xa1\x01\xfb\x3f\xf1\x99\x99\x99\x99\x99\x9a"), r#"{"1":1.1}"#);
        assert_eq!(text(b"\xa1\x61b\x44\x01\x02\x03\x04"), r#"{"b":"AQIDBA=="}"#);
        assert_eq!(text(b"\xa1\x61t\xc1\x1a\x51\x4b\x67\xb0"), r#"{"t":1363896240}"#);
        assert_eq!(text(b"\xa1\x61n\xf9\x7e\x00"), r#"{"n":null}"#);
        assert_eq!(text(b"\x81\xa0"), "[{}]");
        assert_eq!(
            text(b"\xa1\x61m\x1b\xff\xff\xff\xff\xff\xff\xff\xff"),
            r#"{"m":18446744073709551615}"#
        );
    }

    #[test]
    fn what_is_cut_short_hostile_or_no_map_is_refused() {
        let whole = b"\xa2\x61a\x01\x61b\x82\x02\x03";
        for end in 0..whole.len() {
            assert!(to_json(&whole[..end]).is_err(), "{end}");
        }
        assert!(to_json(&[&whole[..], b"\x00"].concat()).is_err());
        for hostile in [
            &b"\x01"[..],
            b"\x81\x01",
            b"\x9b\xff\xff\xff\xff\xff\xff\xff\xff",
            b"\x5b\x7f\xff\xff\xff\xff\xff\xff\xff",
            b"\xa1\xf5\x01",
            b"\xff",
        ] {
            assert!(to_json(hostile).is_err(), "{hostile:x?}");
        }
        assert!(to_json(&[0x81; 100_000]).is_err());
    }
}
