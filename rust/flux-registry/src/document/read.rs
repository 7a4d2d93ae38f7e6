//! Reads a document or a delta from bytes, with every problem at its JSON pointer.
//!
//! What is right is read straight into its shape. Only when that fails is it read again, entry by
//! entry, to find all that is wrong and not just the first.

use flux_types::Problem;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use serde_path_to_error::{Path, Segment};

use super::{
    Delete, Delta, DeviceEntry, Document, PrincipalEntry, ProductEntry, RuleEntry, TenantEntry,
    Upsert,
};
use crate::report::Report;

const CODE: &str = "config.shape";

impl Document {
    /// Reads a document.
    ///
    /// # Errors
    /// Every entry that has not the shape of its kind, each with its JSON pointer.
    pub fn from_json(json: &[u8]) -> Result<Self, Vec<Problem>> {
        match object(json) {
            Ok(document) => Ok(document),
            Err(error) => Err(document_problems(json, &error)),
        }
    }
}

impl Delta {
    /// Reads a delta.
    ///
    /// # Errors
    /// Every entry that has not the shape of its kind, each with its JSON pointer.
    pub fn from_json(json: &[u8]) -> Result<Self, Vec<Problem>> {
        match object(json) {
            Ok(delta) => Ok(delta),
            Err(error) => Err(delta_problems(json, &error)),
        }
    }
}

/// A shape's derived reading takes an array of its fields too, which nobody means.
fn object<T: DeserializeOwned>(json: &[u8]) -> Result<T, serde_json::Error> {
    match json.trim_ascii_start().first() {
        Some(b'[') => Err(serde::de::Error::custom("expected an object, found an array")),
        _ => serde_json::from_slice(json),
    }
}

fn document_problems(json: &[u8], first: &serde_json::Error) -> Vec<Problem> {
    let Ok(mut fields) = top_level(json) else { return vec![malformed(first)] };
    let mut report = Report::default();
    section_problems(&mut fields, "", &mut report);
    whole::<Document>(fields, "", &mut report);
    finish(report, first)
}

fn delta_problems(json: &[u8], first: &serde_json::Error) -> Vec<Problem> {
    let Ok(mut fields) = top_level(json) else { return vec![malformed(first)] };
    let mut report = Report::default();
    if let Some(Value::Object(upsert)) = fields.get_mut("upsert") {
        section_problems(upsert, "/upsert", &mut report);
        whole::<Upsert>(std::mem::take(upsert), "/upsert", &mut report);
    }
    if let Some(Value::Object(delete)) = fields.get_mut("delete") {
        whole::<Delete>(std::mem::take(delete), "/delete", &mut report);
    }
    whole::<Delta>(fields, "", &mut report);
    finish(report, first)
}

fn finish(report: Report, first: &serde_json::Error) -> Vec<Problem> {
    let problems = report.into_problems();
    if problems.is_empty() { vec![malformed(first)] } else { problems }
}

fn top_level(json: &[u8]) -> Result<Map<String, Value>, serde_json::Error> {
    serde_json::from_slice(json)
}

fn malformed(error: &serde_json::Error) -> Problem {
    let place = |number: usize| u32::try_from(number).ok().filter(|number| *number > 0);
    Problem::new(CODE, without_place(error)).on_line(place(error.line()), place(error.column()))
}

/// `serde_json` ends its sentence with the place, which we tell apart.
fn without_place(error: &serde_json::Error) -> String {
    let text = error.to_string();
    match text.rsplit_once(" at line ") {
        Some((sentence, _)) if error.line() > 0 => sentence.to_owned(),
        _ => text,
    }
}

/// Reports the wrong entries of each list and leaves the lists empty.
fn section_problems(fields: &mut Map<String, Value>, prefix: &str, report: &mut Report) {
    entries::<TenantEntry>(fields, prefix, "tenants", report);
    entries::<PrincipalEntry>(fields, prefix, "principals", report);
    entries::<ProductEntry>(fields, prefix, "products", report);
    entries::<DeviceEntry>(fields, prefix, "devices", report);
    entries::<RuleEntry>(fields, prefix, "rules", report);
}

fn entries<T: DeserializeOwned>(
    fields: &mut Map<String, Value>,
    prefix: &str,
    section: &str,
    report: &mut Report,
) {
    let Some(Value::Array(list)) = fields.get_mut(section) else { return };
    for (index, entry) in std::mem::take(list).into_iter().enumerate() {
        whole::<T>(entry, &format!("{prefix}/{section}/{index}"), report);
    }
}

/// Reports the first thing wrong with one value of a shape.
fn whole<T: DeserializeOwned>(json: impl Into<Value>, pointer: &str, report: &mut Report) {
    let json: Value = json.into();
    if let Err(error) = serde_path_to_error::deserialize::<_, T>(json) {
        let pointer = format!("{pointer}{}", json_pointer(error.path()));
        report.push(Problem::new(CODE, without_place(error.inner())).at(pointer));
    }
}

/// RFC 6901: each segment after `/`, with `~` and `/` escaped.
fn json_pointer(path: &Path) -> String {
    let mut pointer = String::new();
    for segment in path {
        let text = match segment {
            Segment::Seq { index } => index.to_string(),
            Segment::Map { key } => key.replace('~', "~0").replace('/', "~1"),
            // the variant of a tagged enum is no level of the document
            Segment::Enum { .. } | Segment::Unknown => continue,
        };
        pointer.push('/');
        pointer.push_str(&text);
    }
    pointer
}
