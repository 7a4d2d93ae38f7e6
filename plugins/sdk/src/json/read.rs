//! Reading JSON text (RFC 8259).

use super::{Json, JsonError};

/// Arrays and objects within one another; deeper text is refused, because the sandbox's stack is
/// small.
pub const DEPTH_MAX: usize = 64;

/// Reads JSON text.
///
/// Stricter than many: a name that stands twice in an object is refused, because one of the two
/// would be lost.
///
/// # Errors
/// What is wrong, with line and column, counted from 1.
///
/// ```
/// use flux_plugin_sdk::json::parse;
///
/// assert!(parse("[1, 2").unwrap_err().text.contains("line 1, column 6"));
/// ```
pub fn parse(text: &str) -> Result<Json, JsonError> {
    let mut reader = Reader { text, at: 0, depth: 0 };
    let json = reader.value()?;
    match reader.peek() {
        None => Ok(json),
        Some(_) => Err(reader.wrong("text goes on behind the value")),
    }
}

struct Reader<'a> {
    text: &'a str,
    /// Always on a character's first byte.
    at: usize,
    depth: usize,
}

impl<'a> Reader<'a> {
    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn next_byte(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    /// The next byte that is no white space.
    fn peek(&mut self) -> Option<u8> {
        while matches!(self.next_byte(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
        self.next_byte()
    }

    fn take(&mut self, expected: u8) -> bool {
        let found = self.peek() == Some(expected);
        self.at += usize::from(found);
        found
    }

    fn wrong(&self, what: &str) -> JsonError {
        let before = self.text.get(..self.at).unwrap_or(self.text);
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        JsonError::new(format!("is no JSON: {what} (line {line}, column {column})"))
    }

    fn value(&mut self) -> Result<Json, JsonError> {
        match self.peek() {
            Some(b'{') => self.nested(Self::object),
            Some(b'[') => self.nested(Self::list),
            Some(b'"') => self.string().map(Json::Text),
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(b't') => self.word("true", Json::Bool(true)),
            Some(b'f') => self.word("false", Json::Bool(false)),
            Some(b'n') => self.word("null", Json::Null),
            Some(_) => Err(self.wrong("expected a value")),
            None => Err(self.wrong("it ends where a value is expected")),
        }
    }

    fn nested(
        &mut self,
        read: fn(&mut Self) -> Result<Json, JsonError>,
    ) -> Result<Json, JsonError> {
        if self.depth == DEPTH_MAX {
            return Err(self.wrong("nested too deeply"));
        }
        self.at += 1;
        self.depth += 1;
        let json = read(self);
        self.depth -= 1;
        json
    }

    fn word(&mut self, word: &str, json: Json) -> Result<Json, JsonError> {
        if !self.rest().starts_with(word) {
            return Err(self.wrong("expected a value"));
        }
        self.at += word.len();
        Ok(json)
    }

    fn list(&mut self) -> Result<Json, JsonError> {
        let mut items = Vec::new();
        if self.take(b']') {
            return Ok(Json::List(items));
        }
        loop {
            items.push(self.value()?);
            if self.take(b']') {
                return Ok(Json::List(items));
            }
            if !self.take(b',') {
                return Err(self.wrong("expected `,` or `]`"));
            }
        }
    }

    fn object(&mut self) -> Result<Json, JsonError> {
        let mut members: Vec<(String, Json)> = Vec::new();
        if self.take(b'}') {
            return Ok(Json::Object(members));
        }
        loop {
            if self.peek() != Some(b'"') {
                return Err(self.wrong("expected a name in quotation marks"));
            }
            let name = self.string()?;
            if members.iter().any(|(known, _)| *known == name) {
                return Err(self.wrong("the name stands twice"));
            }
            if !self.take(b':') {
                return Err(self.wrong("expected `:`"));
            }
            members.push((name, self.value()?));
            if self.take(b'}') {
                return Ok(Json::Object(members));
            }
            if !self.take(b',') {
                return Err(self.wrong("expected `,` or `}`"));
            }
        }
    }

    fn string(&mut self) -> Result<String, JsonError> {
        self.at += 1;
        let mut text = String::new();
        loop {
            let rest = self.rest();
            let plain = rest.find(|c: char| c == '"' || c == '\\' || c < ' ');
            let plain = plain.unwrap_or(rest.len());
            text.push_str(&rest[..plain]);
            self.at += plain;
            match self.next_byte() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(text);
                }
                Some(b'\\') => text.push(self.escape()?),
                Some(_) => return Err(self.wrong("a control character stands in a string")),
                None => return Err(self.wrong("it ends within a string")),
            }
        }
    }

    fn escape(&mut self) -> Result<char, JsonError> {
        self.at += 1;
        let letter = self.next_byte();
        let plain = match letter {
            Some(b'"') => '"',
            Some(b'\\') => '\\',
            Some(b'/') => '/',
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => return self.unicode(),
            _ => return Err(self.wrong("no such escape")),
        };
        self.at += 1;
        Ok(plain)
    }

    /// `\uXXXX`, two of them for what is beyond the first plane.
    fn unicode(&mut self) -> Result<char, JsonError> {
        let first = self.hex()?;
        let code = match first {
            0xd800..=0xdbff if self.rest().starts_with("\\u") => {
                self.at += 1;
                match self.hex()? {
                    second @ 0xdc00..=0xdfff => {
                        0x1_0000 + ((first - 0xd800) << 10) + second - 0xdc00
                    }
                    _ => first,
                }
            }
            _ => first,
        };
        char::from_u32(code).ok_or_else(|| self.wrong("half of a surrogate pair"))
    }

    /// Four digits behind the `u` that `at` stands on.
    fn hex(&mut self) -> Result<u32, JsonError> {
        let digits = self.text.get(self.at + 1..self.at + 5).unwrap_or_default();
        if digits.len() != 4 || !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return Err(self.wrong("`\\u` takes four hexadecimal digits"));
        }
        self.at += 5;
        u32::from_str_radix(digits, 16).map_err(|_| self.wrong("no such escape"))
    }

    fn number(&mut self) -> Result<Json, JsonError> {
        let rest = self.rest();
        let len = rest.find(|c: char| !matches!(c, '0'..='9' | '-' | '+' | '.' | 'e' | 'E'));
        let text = &rest[..len.unwrap_or(rest.len())];
        if !well_formed(text) {
            return Err(self.wrong("no number is written like this"));
        }
        self.at += text.len();
        if let Ok(number) = text.parse::<i64>() {
            return Ok(Json::Int(number));
        }
        match text.parse::<f64>() {
            Ok(number) if number.is_finite() => Ok(Json::Float(number)),
            _ => Err(self.wrong("the number is too large")),
        }
    }
}

/// What the grammar of RFC 8259 allows, which is less than `f64` reads: no `+1`, `01`, `.5`, `1.`.
fn well_formed(text: &str) -> bool {
    let digits = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
    let rest = text.strip_prefix('-').unwrap_or(text);
    let whole = digits(rest);
    if whole == 0 || (whole > 1 && rest.starts_with('0')) {
        return false;
    }
    let mut rest = &rest[whole..];
    if let Some(fraction) = rest.strip_prefix('.') {
        let len = digits(fraction);
        if len == 0 {
            return false;
        }
        rest = &fraction[len..];
    }
    if let Some(exponent) = rest.strip_prefix(['e', 'E']) {
        let exponent = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
        return !exponent.is_empty() && digits(exponent) == exponent.len();
    }
    rest.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_value_is_read() {
        let text = r#" {"a": [null, true, false, -12, 1.5e2, "x\n\u00e9\ud83d\ude00"], "b": {}} "#;
        let json = parse(text).unwrap();
        let items = json.get("a").and_then(Json::items).unwrap();
        assert_eq!(items[3], Json::Int(-12));
        assert_eq!(items[4], Json::Float(150.0));
        assert_eq!(items[5].as_str(), Some("x\né😀"));
        assert_eq!(json.get("b"), Some(&Json::Object(vec![])));
    }

    #[test]
    fn whole_numbers_keep_every_digit() {
        assert_eq!(parse("9223372036854775807").unwrap(), Json::Int(i64::MAX));
        assert_eq!(parse("9223372036854775808").unwrap(), Json::Float(9_223_372_036_854_775_808.0));
        assert_eq!(parse("-0").unwrap(), Json::Int(0));
    }

    #[test]
    fn what_is_no_json_is_refused_with_its_place() {
        for text in [
            "",
            "{",
            "[1,]",
            "{\"a\":1,}",
            "{a:1}",
            "01",
            "+1",
            ".5",
            "1.",
            "1e",
            "nul",
            "\"a",
            "\"\\x\"",
            "\"\\ud800\"",
            "\"\\u12\"",
            "1 2",
            "\"\u{1}\"",
            "1e999",
            "{\"a\":1,\"a\":2}",
            "--1",
            "1-1",
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.text.contains("line 1, column "), "{text:?}: {error}");
        }
    }

    #[test]
    fn the_place_counts_lines_and_characters() {
        let error = parse("{\n  \"é\": x}").unwrap_err();
        assert!(error.text.contains("line 2, column 8"), "{error}");
    }

    #[test]
    fn deep_nesting_is_refused_before_the_stack_is_used_up() {
        let deep = |levels| "[".repeat(levels) + &"]".repeat(levels);
        assert!(parse(&deep(DEPTH_MAX)).is_ok());
        assert!(parse(&deep(DEPTH_MAX + 1)).unwrap_err().text.contains("deeply"));
        assert!(parse(&"[{\"a\":".repeat(100_000)).is_err());
    }

    #[test]
    fn text_cut_at_any_character_is_an_error_not_a_panic() {
        let text = r#"{"a": [1.5e-3, "é\u00e9\\", true, null], "b": {"c": false}}"#;
        for (at, _) in text.char_indices() {
            assert!(parse(&text[..at]).is_err(), "{}", &text[..at]);
        }
    }
}
