//! What devices post, as the JSON that the decoder of every product reads.
//!
//! Owns the way from each content type to it. JSON goes on as it was sent, once it is known to be
//! JSON; CBOR and line protocol are written anew.

mod cbor;
mod line_protocol;

use bytes::Bytes;
use serde::de::IgnoredAny;

use crate::http::{Content, Refusal};

/// The JSON of what was posted: an object, or an array of objects.
///
/// # Errors
/// 400 with the place where it stops being what it should be.
pub fn to_json(content: Content, body: Bytes) -> Result<Bytes, Refusal> {
    match content {
        Content::Json => json(body),
        Content::Cbor => cbor::to_json(&body).map(Bytes::from),
        Content::Lines(precision) => line_protocol::to_json(&body, precision).map(Bytes::from),
    }
}

fn json(body: Bytes) -> Result<Bytes, Refusal> {
    let first = body.iter().find(|byte| !byte.is_ascii_whitespace());
    if !matches!(first, Some(b'{' | b'[')) {
        let found = if first.is_none() { "nothing" } else { "something else" };
        let detail = format!("expected a JSON object or an array of objects, found {found}");
        return Err(Refusal::new(400, "telemetry.not_an_object", detail));
    }
    match serde_json::from_slice::<IgnoredAny>(&body) {
        Ok(IgnoredAny) => Ok(body),
        Err(error) => {
            let text = error.to_string();
            let text = text.rsplit_once(" at line ").map_or(text.as_str(), |(text, _)| text);
            let detail = format!("the content is not JSON: {text}");
            Err(Refusal::new(400, "telemetry.malformed", detail).at(error.line(), error.column()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_goes_on_as_it_was_sent_and_its_faults_have_a_place() {
        let sent = Bytes::from_static(b" [{\"t\": 1.50}]\n");
        assert_eq!(to_json(Content::Json, sent.clone()).unwrap(), sent);
        let wrong =
            |text: &'static [u8]| to_json(Content::Json, Bytes::from_static(text)).unwrap_err();
        assert_eq!(wrong(b"{\n\"t\" 1}").place, Some((2, 5)));
        assert_eq!(wrong(b"").code, "telemetry.not_an_object");
        assert_eq!(wrong(b"12").code, "telemetry.not_an_object");
        assert_eq!(wrong(b"{} {}").code, "telemetry.malformed");
        assert_eq!(wrong(b"{\"a\": \xff}").status, 400);
        // nesting is the decoder's to limit; here it costs no stack
        let deep = [b"[".repeat(500_000), b"]".repeat(500_000)].concat();
        assert!(to_json(Content::Json, Bytes::from(deep)).is_ok());
    }
}
