//! A request's head: what RFC 9112 lets it say, and what of it we go by.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::response::{Persistence, Refusal};

/// Header fields of a request, at most.
const HEADERS_MAX: usize = 64;

/// How much content follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BodyLength {
    /// As many bytes (RFC 9112 section 6.2); 0 also without a word about it (section 6.3, 7).
    Fixed(u64),
    /// In chunks (section 7.1).
    Chunked,
}

/// What a sender shows of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Credentials<'h> {
    /// Nothing.
    None,
    /// `Authorization: Bearer` (RFC 6750 section 2.1).
    Bearer(&'h str),
    /// `Authorization: Basic` (RFC 7617): user and password.
    Basic(&'h str, &'h str),
}

/// A request's head, as far as we go by it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// The method.
    pub method: String,
    /// The target's path.
    pub path: String,
    /// What stands behind `?`.
    pub query: String,
    /// How much content follows.
    pub length: BodyLength,
    /// `Content-Type`.
    pub content_type: Option<String>,
    /// `Content-Encoding`.
    pub content_encoding: Option<String>,
    /// Whether the sender waits for `100 Continue` (RFC 9110 section 10.1.1).
    pub expects_continue: bool,
    pub(crate) persistence: Persistence,
    authorization: Option<Authorization>,
}

#[derive(Clone, PartialEq, Eq)]
enum Authorization {
    Bearer(String),
    Basic(String, String),
    Unknown,
}

impl std::fmt::Debug for Authorization {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Authorization(..)") // no log shows a secret
    }
}

/// A refusal after which the end of the request is not known.
fn unreadable(detail: &str) -> Refusal {
    Refusal::new(400, "http.malformed", detail).closing()
}

impl Head {
    /// What the sender shows of itself.
    #[must_use]
    pub fn credentials(&self) -> Credentials<'_> {
        match &self.authorization {
            Some(Authorization::Bearer(token)) => Credentials::Bearer(token),
            Some(Authorization::Basic(user, password)) => Credentials::Basic(user, password),
            Some(Authorization::Unknown) | None => Credentials::None,
        }
    }

    /// Reads a whole head, its empty line included.
    ///
    /// # Errors
    /// What it is answered; the connection ends with it.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, Refusal> {
        let mut fields = [httparse::EMPTY_HEADER; HEADERS_MAX];
        let mut request = httparse::Request::new(&mut fields);
        match request.parse(bytes) {
            Ok(httparse::Status::Complete(_)) => {}
            Ok(httparse::Status::Partial) => return Err(unreadable("the head is not complete")),
            Err(httparse::Error::TooManyHeaders) => {
                let detail = format!("more than {HEADERS_MAX} header fields");
                return Err(Refusal::new(431, "http.head_too_large", detail).closing());
            }
            Err(httparse::Error::Version) => {
                let detail = "only HTTP/1.1 and HTTP/1.0 are spoken here";
                return Err(Refusal::new(505, "http.version", detail).closing());
            }
            Err(error) => return Err(unreadable(&format!("the head is malformed: {error}"))),
        }
        let (Some(method), Some(target), Some(minor)) =
            (request.method, request.path, request.version)
        else {
            return Err(unreadable("the request line is not complete"));
        };
        let (path, query) = target_of(target)?;
        let mut head = Self {
            method: method.to_owned(),
            path,
            query,
            length: BodyLength::Fixed(0),
            content_type: None,
            content_encoding: None,
            expects_continue: false,
            persistence: if minor == 1 { Persistence::Implied } else { Persistence::Close },
            authorization: None,
        };
        head.fields(request.headers, minor)?;
        Ok(head)
    }

    fn fields(&mut self, fields: &[httparse::Header<'_>], minor: u8) -> Result<(), Refusal> {
        let (mut hosts, mut length, mut chunked) = (0, None, false);
        for field in fields {
            let value = field.value;
            let text = || std::str::from_utf8(value).map(str::trim);
            let ascii = || text().map_err(|_| unreadable("a header field is not text"));
            match field.name.to_ascii_lowercase().as_str() {
                "host" => hosts += 1,
                "content-length" => length = Some(content_length(ascii()?, length)?),
                "transfer-encoding" => chunked = transfer_coding(ascii()?, chunked, minor)?,
                "connection" => self.connection(ascii()?, minor),
                "content-type" => self.content_type = Some(ascii()?.to_owned()),
                "content-encoding" => self.content_encoding = Some(ascii()?.to_owned()),
                "expect" => self.expect(ascii()?, minor)?,
                "authorization" => {
                    if self.authorization.is_some() {
                        return Err(unreadable("Authorization stands twice"));
                    }
                    self.authorization = Some(Authorization::read(text().unwrap_or_default()));
                }
                _ => {}
            }
        }
        // RFC 9112 section 3.2: a request without exactly one Host is answered with 400
        if hosts > 1 || hosts == 0 && minor == 1 {
            return Err(unreadable("an HTTP/1.1 request has exactly one Host field"));
        }
        self.length = match (length, chunked) {
            // section 6.3, 3: what looks like smuggling is refused
            (Some(_), true) => {
                return Err(unreadable("Content-Length and Transfer-Encoding do not go together"));
            }
            (Some(length), false) => BodyLength::Fixed(length),
            (None, true) => BodyLength::Chunked,
            (None, false) => BodyLength::Fixed(0),
        };
        Ok(())
    }

    /// RFC 9112 section 9.3.
    fn connection(&mut self, value: &str, minor: u8) {
        for option in value.split(',').map(str::trim) {
            if option.eq_ignore_ascii_case("close") {
                self.persistence = Persistence::Close;
            } else if option.eq_ignore_ascii_case("keep-alive") && minor == 0 {
                self.persistence = Persistence::Told;
            }
        }
    }

    /// RFC 9110 section 10.1.1: an HTTP/1.0 sender's is ignored, another than `100-continue`
    /// answered with 417.
    fn expect(&mut self, value: &str, minor: u8) -> Result<(), Refusal> {
        if minor == 0 {
            return Ok(());
        }
        if !value.eq_ignore_ascii_case("100-continue") {
            let detail = "the only expectation understood is 100-continue";
            return Err(Refusal::new(417, "http.expectation", detail).closing());
        }
        self.expects_continue = true;
        Ok(())
    }
}

/// RFC 9110 section 8.6, RFC 9112 section 6.3, 5: digits, and where there are several, all the same.
fn content_length(value: &str, before: Option<u64>) -> Result<u64, Refusal> {
    let mut length = before;
    for part in value.split(',').map(str::trim) {
        let digits = !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        let given = part.parse().ok().filter(|_| digits);
        let given = given.ok_or_else(|| unreadable("Content-Length is not a number"))?;
        if length.is_some_and(|length| length != given) {
            return Err(unreadable("Content-Length stands twice and differs"));
        }
        length = Some(given);
    }
    length.ok_or_else(|| unreadable("Content-Length is empty"))
}

/// RFC 9112 section 6.1: `chunked`, once and last; 501 for a coding that is not understood.
fn transfer_coding(value: &str, before: bool, minor: u8) -> Result<bool, Refusal> {
    if minor == 0 {
        return Err(unreadable("HTTP/1.0 has no Transfer-Encoding"));
    }
    if before {
        return Err(unreadable("Transfer-Encoding stands twice"));
    }
    if value.eq_ignore_ascii_case("chunked") {
        return Ok(true);
    }
    let detail = "the only transfer coding understood is `chunked`, alone";
    Err(Refusal::new(501, "http.transfer_coding", detail).closing())
}

/// Path and query of a target in origin-form or absolute-form (RFC 9112 section 3.2).
fn target_of(target: &str) -> Result<(String, String), Refusal> {
    let origin = match target.split_once("://") {
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("http") => {
            rest.find(['/', '?']).and_then(|at| rest.get(at..)).unwrap_or("/")
        }
        _ => target,
    };
    if !(origin.starts_with('/') || origin.starts_with('?') || origin == "*") {
        return Err(unreadable("the target is neither a path nor an http URI"));
    }
    let (path, query) = origin.split_once('?').unwrap_or((origin, ""));
    Ok((path.to_owned(), query.to_owned()))
}

impl Authorization {
    fn read(value: &str) -> Self {
        let Some((scheme, rest)) = value.split_once(' ') else { return Self::Unknown };
        let rest = rest.trim();
        if scheme.eq_ignore_ascii_case("bearer") {
            return Self::Bearer(rest.to_owned());
        }
        if !scheme.eq_ignore_ascii_case("basic") {
            return Self::Unknown;
        }
        let decoded = STANDARD.decode(rest).ok().and_then(|bytes| String::from_utf8(bytes).ok());
        let pair = decoded.as_deref().and_then(|text| text.split_once(':'));
        pair.map_or(Self::Unknown, |(user, secret)| Self::Basic(user.to_owned(), secret.to_owned()))
    }
}
