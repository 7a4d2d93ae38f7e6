//! Line protocol, as InfluxDB and Telegraf write it, as JSON.
//!
//! `measurement,tag=value field=1.5,other=2i 1700000000000000000`: each line is a sample. Its
//! values are its fields and, as text, its tags; a field called `value` has the measurement's name,
//! the others their own. Source: <https://docs.influxdata.com/influxdb/v2/reference/syntax/line-protocol/>.

use serde_json::{Map, Number, Value};

use crate::http::{Precision, Refusal};

/// Lines of one request.
const LINES_MAX: usize = 4096;

/// The lines as a JSON array of `{"ts", "values"}`, `ts` in milliseconds.
pub(super) fn to_json(body: &[u8], precision: Precision) -> Result<Vec<u8>, Refusal> {
    let text = std::str::from_utf8(body).map_err(|error| {
        let line = 1 + body.iter().take(error.valid_up_to()).filter(|b| **b == b'\n').count();
        wrong((line, 1), "the content is not UTF-8")
    })?;
    let mut cursor = Cursor { text, at: 0, line: 1, line_start: 0 };
    let mut samples = Vec::new();
    while cursor.next_line() {
        if samples.len() >= LINES_MAX {
            let detail = format!("more than {LINES_MAX} lines");
            return Err(
                Refusal::new(413, "http.too_large", detail).hint("send fewer samples at a time")
            );
        }
        samples.push(cursor.sample(precision)?);
    }
    if samples.is_empty() {
        return Err(Refusal::new(400, "telemetry.not_an_object", "there is not one line"));
    }
    let json = Value::Array(samples);
    serde_json::to_vec(&json).map_err(|error| wrong((1, 1), &error.to_string()))
}

fn wrong((line, column): (usize, usize), detail: &str) -> Refusal {
    Refusal::new(400, "telemetry.line_protocol", detail).at(line, column)
}

struct Cursor<'t> {
    text: &'t str,
    at: usize,
    line: usize,
    line_start: usize,
}

impl Cursor<'_> {
    fn peek(&self) -> Option<char> {
        self.text.get(self.at..)?.chars().next()
    }

    fn take(&mut self) -> Option<char> {
        let found = self.peek()?;
        self.at += found.len_utf8();
        if found == '\n' {
            self.line += 1;
            self.line_start = self.at;
        }
        Some(found)
    }

    fn wrong(&self, detail: &str) -> Refusal {
        let before = self.text.get(self.line_start..self.at).unwrap_or_default();
        wrong((self.line, before.chars().count() + 1), detail)
    }

    /// Goes to the next line that says something.
    fn next_line(&mut self) -> bool {
        loop {
            match self.peek() {
                None => return false,
                Some('#') => {
                    while self.peek().is_some_and(|c| c != '\n') {
                        self.take();
                    }
                }
                Some(c) if c.is_whitespace() => {
                    self.take();
                }
                Some(_) => return true,
            }
        }
    }

    fn sample(&mut self, precision: Precision) -> Result<Value, Refusal> {
        let mut values = Map::new();
        let measurement = self.word(&[',', ' '])?;
        while self.peek() == Some(',') {
            self.take();
            let (key, value) = (self.key()?, self.word(&[',', ' '])?);
            values.insert(key, Value::String(value));
        }
        self.blanks("expected a blank before the fields")?;
        loop {
            let key = self.key()?;
            let value = self.value()?;
            values.insert(if key == "value" { measurement.clone() } else { key }, value);
            if self.peek() != Some(',') {
                break;
            }
            self.take();
        }
        let mut sample = Map::new();
        if let Some(ts) = self.time(precision)? {
            sample.insert("ts".to_owned(), ts);
        }
        sample.insert("values".to_owned(), Value::Object(values));
        Ok(Value::Object(sample))
    }

    fn blanks(&mut self, detail: &str) -> Result<(), Refusal> {
        if self.peek() != Some(' ') {
            return Err(self.wrong(detail));
        }
        while self.peek() == Some(' ') {
            self.take();
        }
        Ok(())
    }

    fn key(&mut self) -> Result<String, Refusal> {
        let key = self.word(&['=', ',', ' '])?;
        if self.peek() != Some('=') {
            return Err(self.wrong("expected `=`"));
        }
        self.take();
        Ok(key)
    }

    /// Text up to one of `ends`; a backslash keeps the next character from ending it.
    fn word(&mut self, ends: &[char]) -> Result<String, Refusal> {
        let mut word = String::new();
        while let Some(c) = self.peek() {
            if ends.contains(&c) || c == '\n' || c == '\r' {
                break;
            }
            self.take();
            match self.peek() {
                Some(next) if c == '\\' && [',', '=', ' '].contains(&next) => {
                    self.take();
                    word.push(next);
                }
                _ => word.push(c),
            }
        }
        if word.is_empty() { Err(self.wrong("a name or a value is empty")) } else { Ok(word) }
    }

    fn value(&mut self) -> Result<Value, Refusal> {
        if self.peek() == Some('"') {
            return self.quoted();
        }
        let (at, line, line_start) = (self.at, self.line, self.line_start);
        let word = self.word(&[',', ' '])?;
        number_or_flag(&word).ok_or_else(|| {
            (self.at, self.line, self.line_start) = (at, line, line_start);
            self.wrong(&format!("`{word}` is no number, flag or quoted text"))
        })
    }

    fn quoted(&mut self) -> Result<Value, Refusal> {
        let mut text = String::new();
        self.take();
        loop {
            match self.take() {
                None => return Err(self.wrong("a quoted text does not end")),
                Some('"') => return Ok(Value::String(text)),
                Some('\\') if matches!(self.peek(), Some('"' | '\\')) => {
                    text.extend(self.take());
                }
                Some(c) => text.push(c),
            }
        }
    }

    /// The time in milliseconds, with the fraction it has.
    fn time(&mut self, precision: Precision) -> Result<Option<Value>, Refusal> {
        while self.peek() == Some(' ') {
            self.take();
        }
        if matches!(self.peek(), None | Some('\n' | '\r')) {
            return Ok(None);
        }
        let word = self.word(&[' '])?;
        let given: Option<i64> = word.parse().ok();
        let ns = given.and_then(|given| given.checked_mul(precision.ns()));
        let ns = ns.ok_or_else(|| self.wrong(&format!("`{word}` is no time")))?;
        while self.peek() == Some(' ') {
            self.take();
        }
        if !matches!(self.peek(), None | Some('\n' | '\r')) {
            return Err(self.wrong("something stands behind the time"));
        }
        Ok(Some(match ns % 1_000_000 {
            0 => Value::from(ns / 1_000_000),
            _ => Number::from_f64(ns as f64 / 1e6).map_or(Value::Null, Value::Number),
        }))
    }
}

fn number_or_flag(word: &str) -> Option<Value> {
    match word {
        "t" | "T" | "true" | "True" | "TRUE" => return Some(Value::Bool(true)),
        "f" | "F" | "false" | "False" | "FALSE" => return Some(Value::Bool(false)),
        _ => {}
    }
    if let Some(digits) = word.strip_suffix('i') {
        return digits.parse::<i64>().ok().map(Value::from);
    }
    if let Some(digits) = word.strip_suffix('u') {
        return digits.parse::<u64>().ok().map(Value::from);
    }
    let plain = word.bytes().all(|byte| byte.is_ascii_digit() || b"+-.eE".contains(&byte));
    let number: f64 = word.parse().ok().filter(|_| plain)?;
    Number::from_f64(number).map(Value::Number)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(text: &str) -> Value {
        serde_json::from_slice(&to_json(text.as_bytes(), Precision::Ns).unwrap()).unwrap()
    }

    #[test]
    fn lines_become_samples() {
        let text = "# a comment\nweather,place=north\\ sea temperature=21.5,count=3i,ok=t \
                    1700000000123000000\r\n\nlevel value=2e3,note=\"a \\\"b\\\"\nc, d=e\"";
        assert_eq!(
            read(text),
            json!([
                {"ts": 1_700_000_000_123_i64,
                 "values": {"place": "north sea", "temperature": 21.5, "count": 3, "ok": true}},
                {"values": {"level": 2000.0, "note": "a \"b\"\nc, d=e"}},
            ])
        );
        let ms = to_json(b"a b=1u 5", Precision::Ms).unwrap();
        assert_eq!(ms, br#"[{"ts":5,"values":{"b":1}}]"#);
        let us = to_json(b"a b=1 1500", Precision::Us).unwrap();
        assert_eq!(us, br#"[{"ts":1.5,"values":{"b":1.0}}]"#);
    }

    #[test]
    fn what_is_wrong_has_its_line_and_column() {
        let place = |text: &str| to_json(text.as_bytes(), Precision::Ns).unwrap_err().place;
        assert_eq!(place("a b=1\na b=x"), Some((2, 5)));
        assert_eq!(place("a"), Some((1, 2)));
        assert_eq!(place("a b"), Some((1, 4)));
        assert_eq!(place("a b= 1"), Some((1, 5)));
        assert_eq!(place("a b=1 x"), Some((1, 8)));
        assert_eq!(place("a b=1 1 2"), Some((1, 9)));
        assert_eq!(place("a b=\"x"), Some((1, 7)));
        assert_eq!(place("a b=nan"), Some((1, 5)));
        assert!(to_json(b"a b=1\n\xff", Precision::Ns).is_err());
        assert!(to_json(b"\n# nothing\n", Precision::Ns).is_err());
        let many = "a b=1\n".repeat(LINES_MAX + 1);
        assert_eq!(to_json(many.as_bytes(), Precision::Ns).unwrap_err().status, 413);
        let beyond = i64::MAX.to_string();
        assert!(to_json(format!("a b=1 {beyond}").as_bytes(), Precision::S).is_err());
    }
}
