//! Answers as bytes: `204`, or a problem document (RFC 9457).

use bytes::BytesMut;
use serde_json::{Map, Value};

/// What a request is answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// 204: it is on disk.
    Taken,
    /// Why it was not taken.
    Refused(Refusal),
}

/// Why a request was not taken. Small, since it is the rare end of very many functions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal(Box<Told>);

/// What a refusal says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// The status code.
    pub status: u16,
    /// A stable, dotted word: `http.media_type`.
    pub code: &'static str,
    /// What is wrong, for people.
    pub detail: String,
    /// How to mend it.
    pub hint: Option<&'static str>,
    /// Where in the content, line and column from 1.
    pub place: Option<(usize, usize)>,
    /// Seconds after which it may be tried again.
    pub retry_after_s: Option<u64>,
    /// A header field that belongs to the status.
    pub field: Option<(&'static str, &'static str)>,
    /// Whether the connection ends with it: what follows can no longer be told apart.
    pub close: bool,
}

impl std::ops::Deref for Refusal {
    type Target = Told;

    fn deref(&self) -> &Told {
        &self.0
    }
}

impl Refusal {
    /// A refusal with nothing but a status, a code and a text.
    #[must_use]
    pub fn new(status: u16, code: &'static str, detail: impl Into<String>) -> Self {
        Self(Box::new(Told {
            status,
            code,
            detail: detail.into(),
            hint: None,
            place: None,
            retry_after_s: None,
            field: None,
            close: false,
        }))
    }

    /// With the way to mend it.
    #[must_use]
    pub fn hint(mut self, hint: &'static str) -> Self {
        self.0.hint = Some(hint);
        self
    }

    /// With a header field.
    #[must_use]
    pub fn field(mut self, name: &'static str, value: &'static str) -> Self {
        self.0.field = Some((name, value));
        self
    }

    /// With the place in the content.
    #[must_use]
    pub fn at(mut self, line: usize, column: usize) -> Self {
        self.0.place = Some((line, column));
        self
    }

    /// To be tried again after so many seconds (RFC 9110 section 10.2.3).
    #[must_use]
    pub fn retry_after(mut self, seconds: u64) -> Self {
        self.0.retry_after_s = Some(seconds);
        self
    }

    /// The connection ends with it.
    #[must_use]
    pub fn closing(mut self) -> Self {
        self.0.close = true;
        self
    }

    /// Nobody was named, or not truly (RFC 9110 section 15.5.2).
    #[must_use]
    pub fn unauthorized() -> Self {
        let detail = "the device's secret is missing or wrong";
        Self::new(401, "http.unauthorized", detail)
            .hint(
                "send `Authorization: Bearer <secret>`, or Basic with the device's key and secret",
            )
            .field("WWW-Authenticate", "Bearer realm=\"device\", Basic realm=\"device\"")
    }

    fn document(&self) -> String {
        let mut problem = Map::new();
        problem.insert("code".to_owned(), self.code.into());
        problem.insert("message".to_owned(), self.detail.as_str().into());
        if let Some((line, column)) = self.place {
            problem.insert("line".to_owned(), line.into());
            problem.insert("column".to_owned(), column.into());
        }
        if let Some(hint) = self.hint {
            problem.insert("hint".to_owned(), hint.into());
        }
        let mut document = problem.clone();
        document.remove("message");
        document.insert("type".to_owned(), format!("urn:fluxhybrid:error:{}", self.code).into());
        document.insert("title".to_owned(), title(self.status).into());
        document.insert("status".to_owned(), self.status.into());
        document.insert("detail".to_owned(), self.detail.as_str().into());
        document.insert("problems".to_owned(), Value::Array(vec![Value::Object(problem)]));
        Value::Object(document).to_string()
    }
}

fn title(status: u16) -> &'static str {
    match status {
        400 => "The request cannot be read",
        401 => "Not signed in",
        403 => "Not allowed",
        404 => "Not found",
        405 => "Method not allowed",
        408 => "The request took too long",
        413 => "The request is too large",
        415 => "The request's media type is not understood",
        417 => "The expectation cannot be met",
        429 => "Too many requests",
        431 => "The request's head is too large",
        501 => "Not implemented",
        505 => "HTTP version not supported",
        _ => "Not now",
    }
}

fn reason(status: u16) -> &'static str {
    match status {
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        413 => "Content Too Large",
        415 => "Unsupported Media Type",
        417 => "Expectation Failed",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        501 => "Not Implemented",
        505 => "HTTP Version Not Supported",
        _ => "Service Unavailable",
    }
}

/// How the connection goes on, as it is told to the peer (RFC 9112 section 9.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Persistence {
    /// HTTP/1.1 goes on unless told otherwise.
    Implied,
    /// HTTP/1.0 that asked to go on.
    Told,
    /// It ends.
    Close,
}

impl Answer {
    /// Whether the connection ends with it.
    #[must_use]
    pub fn closes(&self) -> bool {
        matches!(self, Self::Refused(refusal) if refusal.close)
    }

    /// Writes it. `body` is false for answers to HEAD (RFC 9110 section 9.3.2).
    pub(crate) fn write(&self, out: &mut BytesMut, date: &str, then: Persistence, body: bool) {
        let connection = match then {
            Persistence::Implied => "",
            Persistence::Told => "Connection: keep-alive\r\n",
            Persistence::Close => "Connection: close\r\n",
        };
        let mut put =
            |parts: &[&str]| parts.iter().for_each(|p| out.extend_from_slice(p.as_bytes()));
        let refusal = match self {
            // a 204 has no content and no Content-Length (RFC 9110 section 8.6)
            Self::Taken => {
                put(&["HTTP/1.1 204 No Content\r\nDate: ", date, "\r\n", connection, "\r\n"]);
                return;
            }
            Self::Refused(refusal) => refusal,
        };
        let document = refusal.document();
        let status = refusal.status.to_string();
        put(&["HTTP/1.1 ", &status, " ", reason(refusal.status), "\r\nDate: ", date, "\r\n"]);
        if let Some((name, value)) = refusal.field {
            put(&[name, ": ", value, "\r\n"]);
        }
        if let Some(seconds) = refusal.retry_after_s {
            put(&["Retry-After: ", &seconds.to_string(), "\r\n"]);
        }
        let length = document.len().to_string();
        put(&["Content-Type: application/problem+json\r\nContent-Length: ", &length, "\r\n"]);
        put(&[connection, "\r\n", if body { &document } else { "" }]);
    }
}
