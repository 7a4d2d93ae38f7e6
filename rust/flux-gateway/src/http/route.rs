//! What a request is for, and in which form its content comes.

use super::head::Head;
use super::response::Refusal;

/// Where telemetry is posted.
const TELEMETRY: &str = "/device/v1/telemetry";
/// The media types understood, as told to whoever sends another (RFC 9110 section 15.5.16).
const ACCEPT: &str = "application/json, application/cbor, text/plain, application/x-influx";

/// The form of a request's content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Content {
    /// JSON (RFC 8259): one object, or an array of objects.
    Json,
    /// CBOR (RFC 8949): one map, or an array of maps.
    Cbor,
    /// Line protocol, times in this unit.
    Lines(Precision),
}

/// What the times of line protocol are written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Precision {
    /// Nanoseconds since 1970.
    #[default]
    Ns,
    /// Microseconds.
    Us,
    /// Milliseconds.
    Ms,
    /// Seconds.
    S,
}

impl Precision {
    /// Nanoseconds of one unit.
    #[must_use]
    pub fn ns(self) -> i64 {
        match self {
            Self::Ns => 1,
            Self::Us => 1_000,
            Self::Ms => 1_000_000,
            Self::S => 1_000_000_000,
        }
    }
}

/// The form of what is posted, if the request is one for telemetry.
///
/// # Errors
/// What it is answered instead.
pub(super) fn route(head: &Head) -> Result<Content, Refusal> {
    if head.path != TELEMETRY {
        let detail = format!("there is nothing at {}", head.path);
        return Err(Refusal::new(404, "http.not_found", detail)
            .hint("telemetry goes to POST /device/v1/telemetry"));
    }
    if head.method != "POST" {
        let detail = "telemetry is posted";
        return Err(Refusal::new(405, "http.method", detail).field("Allow", "POST"));
    }
    if let Some(coding) = &head.content_encoding
        && !coding.eq_ignore_ascii_case("identity")
    {
        let detail = format!("the content coding {coding} is not understood");
        let refusal = Refusal::new(415, "http.content_coding", detail);
        return Err(refusal.field("Accept-Encoding", "identity"));
    }
    let media = head.content_type.as_deref().unwrap_or_default();
    let mut parts = media.split(';').map(str::trim);
    let name = parts.next().unwrap_or_default().to_ascii_lowercase();
    let content = match name.as_str() {
        "application/json" => Content::Json,
        "application/cbor" => Content::Cbor,
        "text/plain" | "application/x-influx" => Content::Lines(precision(&head.query)?),
        _ => return Err(media_type(format!("the media type {media:?} is not understood"))),
    };
    for parameter in parts {
        let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        let utf8 = ["utf-8", "utf8", "us-ascii"]
            .iter()
            .any(|known| value.trim_matches('"').eq_ignore_ascii_case(known));
        if name.eq_ignore_ascii_case("charset") && !utf8 {
            return Err(media_type("text has to be UTF-8".to_owned()));
        }
    }
    Ok(content)
}

fn media_type(detail: String) -> Refusal {
    Refusal::new(415, "http.media_type", detail).field("Accept", ACCEPT)
}

fn precision(query: &str) -> Result<Precision, Refusal> {
    let given = query.split('&').find_map(|pair| pair.strip_prefix("precision="));
    match given {
        None | Some("ns" | "n") => Ok(Precision::Ns),
        Some("us" | "u") => Ok(Precision::Us),
        Some("ms") => Ok(Precision::Ms),
        Some("s") => Ok(Precision::S),
        Some(other) => {
            let detail = format!("precision={other} is not understood");
            Err(Refusal::new(400, "http.precision", detail).hint("give ns, us, ms or s"))
        }
    }
}
