//! Values that are more than one: data sets and templates, as JSON.
//!
//! Owns `DataSet` and `Template` (sections 6.4.10 to 6.4.14) and how they are written: bytes as
//! hexadecimal digits, times as nanoseconds since 1970, as the platform shows them elsewhere. Must
//! never write more than [`JSON_BYTES_MAX`].

use std::fmt::Write;

use flux_plugin_sdk::PluginError;
use flux_plugin_sdk::json::Quoted;

use crate::datatype::{Value, refused, value};
use crate::payload::{Metric, Raw};
use crate::wire::{Fault, Malformed, Reader, Wire};

/// Bytes of one value as JSON: an output has a megabyte for all of them.
pub(crate) const JSON_BYTES_MAX: usize = 512 * 1024;
/// Templates within templates.
const DEPTH_MAX: usize = 8;
/// Columns of a data set.
const COLUMNS_MAX: usize = 1024;

/// JSON that is being written, and its bound.
#[derive(Debug, Default)]
pub(crate) struct Written {
    text: String,
}

impl Written {
    fn check(&self) -> Result<(), PluginError> {
        if self.text.len() <= JSON_BYTES_MAX {
            return Ok(());
        }
        let text = format!("as JSON it has more than {JSON_BYTES_MAX} bytes");
        Err(PluginError::new("sparkplug.limit", text))
    }

    /// An array of these.
    pub(crate) fn list<T>(
        &mut self,
        items: impl Iterator<Item = T>,
        mut put: impl FnMut(&mut String, T),
    ) -> Result<String, PluginError> {
        self.text.push('[');
        for (index, item) in items.enumerate() {
            if index > 0 {
                self.text.push(',');
            }
            put(&mut self.text, item);
            self.check()?;
        }
        self.text.push(']');
        Ok(std::mem::take(&mut self.text))
    }

    /// Begins a member of an object.
    fn name(&mut self, first: &mut bool, name: &str) {
        if !std::mem::take(first) {
            self.text.push(',');
        }
        put_text(&mut self.text, name);
        self.text.push(':');
    }
}

pub(crate) fn put_text(text: &mut String, value: &str) {
    let _ = write!(text, "{}", Quoted(value)); // a String takes all
}

/// With a point or an exponent, so that it stays a real; JSON has no word for what is not finite.
pub(crate) fn put_real(text: &mut String, real: f64) {
    if real.is_finite() {
        let _ = write!(text, "{real:?}");
    } else {
        text.push_str("null");
    }
}

pub(crate) fn put_value(text: &mut String, value: &Value<'_>) {
    let _ = match value {
        Value::Bool(yes) => write!(text, "{yes}"),
        Value::Int(number) | Value::Time(number) => write!(text, "{number}"),
        Value::Long(number) => write!(text, "{number}"),
        Value::Real(real) => return put_real(text, *real),
        Value::Text(value) => return put_text(text, value),
        Value::Json(json) => write!(text, "{json}"),
        Value::Bytes(bytes) => {
            text.push('"');
            for byte in *bytes {
                let _ = write!(text, "{byte:02x}");
            }
            write!(text, "\"")
        }
    };
}

/// A data set: `{"columns": [..], "rows": [[..], ..]}`.
pub(crate) fn data_set(set: Reader<'_>) -> Result<String, PluginError> {
    let (columns, types) = columns(set)?;
    if columns.len() != types.len() {
        let (columns, types) = (columns.len(), types.len());
        return Err(refused(format!("a data set has {columns} columns and {types} datatypes")));
    }
    let names = Written::default().list(columns.iter(), |text, name| put_text(text, name))?;
    let mut written = Written { text: format!("{{\"columns\":{names},\"rows\":[") };
    let (mut first, mut reader) = (true, set);
    while let Some((field, wire)) = reader.next()? {
        if let (4, Wire::Bytes(cells)) = (field, wire) {
            written.text.push_str(if std::mem::take(&mut first) { "" } else { "," });
            row(cells, &types, &mut written)?;
        }
    }
    written.text.push_str("]}");
    Ok(written.text)
}

fn columns(mut set: Reader<'_>) -> Result<(Vec<&str>, Vec<u32>), Malformed> {
    let (mut columns, mut types) = (Vec::new(), Vec::new());
    while let Some((field, wire)) = set.next()? {
        #[allow(clippy::cast_possible_truncation)] // what uint32 means on the wire
        match (field, wire) {
            (2, Wire::Bytes(name)) => columns.push(name.text()?),
            (3, Wire::Varint(number)) => types.push(number as u32),
            (3, Wire::Bytes(mut packed)) => {
                while !packed.is_empty() && types.len() <= COLUMNS_MAX {
                    types.push(packed.varint()? as u32);
                }
            }
            _ => {}
        }
        if columns.len().max(types.len()) > COLUMNS_MAX {
            return Err(set.malformed(Fault::TooMuch));
        }
    }
    Ok((columns, types))
}

fn row(mut cells: Reader<'_>, types: &[u32], written: &mut Written) -> Result<(), PluginError> {
    let mut found = 0;
    written.text.push('[');
    while let Some((field, wire)) = cells.next()? {
        let (1, Wire::Bytes(cell)) = (field, wire) else { continue };
        let Some(datatype) = types.get(found) else {
            found += 1;
            break;
        };
        written.text.push_str(if found == 0 { "" } else { "," });
        put_scalar(scalar(cell, 1)?, *datatype, written)?;
        found += 1;
    }
    written.text.push(']');
    if found != types.len() {
        let columns = types.len();
        return Err(refused(format!(
            "a row of a data set has not {columns} cells, as it has columns"
        )));
    }
    Ok(())
}

/// The one value of a message whose values begin with this field.
fn scalar(mut reader: Reader<'_>, first: u32) -> Result<Option<Raw<'_>>, Malformed> {
    let mut value = None;
    while let Some((field, wire)) = reader.next()? {
        if let Some(place) = field.checked_sub(first) {
            value = Raw::scalar(place, wire)?.or(value);
        }
    }
    Ok(value)
}

fn put_scalar(
    raw: Option<Raw<'_>>,
    datatype: u32,
    written: &mut Written,
) -> Result<(), PluginError> {
    match raw.map(|raw| value(Some(datatype), raw)).transpose()?.flatten() {
        Some(value) => put_value(&mut written.text, &value),
        None => written.text.push_str("null"),
    }
    written.check()
}

/// An instance of a template: `{"template_ref": "..", "version": "..", "metrics": {..},
/// "parameters": {..}}`, without what it has not. `None`: it is a definition.
pub(crate) fn template(template: Reader<'_>) -> Result<Option<String>, PluginError> {
    let mut written = Written::default();
    Ok(put_template(template, 0, &mut written)?.then_some(written.text))
}

fn put_template(
    template: Reader<'_>,
    depth: usize,
    written: &mut Written,
) -> Result<bool, PluginError> {
    if depth == DEPTH_MAX {
        return Err(template.malformed(Fault::TooMuch).into());
    }
    let head = TemplateHead::read(template)?;
    if head.is_definition {
        return Ok(false);
    }
    let mut first = true;
    written.text.push('{');
    for (name, text) in [("template_ref", head.reference), ("version", head.version)] {
        if let Some(text) = text {
            written.name(&mut first, name);
            put_text(&mut written.text, text);
        }
    }
    if head.metrics > 0 {
        written.name(&mut first, "metrics");
        put_members(template, depth, written)?;
    }
    if head.parameters > 0 {
        written.name(&mut first, "parameters");
        put_parameters(template, written)?;
    }
    written.text.push('}');
    Ok(true)
}

#[derive(Default)]
struct TemplateHead<'a> {
    reference: Option<&'a str>,
    version: Option<&'a str>,
    is_definition: bool,
    metrics: usize,
    parameters: usize,
}

impl<'a> TemplateHead<'a> {
    fn read(mut reader: Reader<'a>) -> Result<Self, Malformed> {
        let mut head = Self::default();
        while let Some((field, wire)) = reader.next()? {
            match (field, wire) {
                (1, Wire::Bytes(text)) => head.version = Some(text.text()?),
                (2, Wire::Bytes(_)) => head.metrics += 1,
                (3, Wire::Bytes(_)) => head.parameters += 1,
                (4, Wire::Bytes(text)) => head.reference = Some(text.text()?),
                (5, Wire::Varint(yes)) => head.is_definition = yes != 0,
                _ => {}
            }
        }
        Ok(head)
    }
}

fn put_members(
    mut template: Reader<'_>,
    depth: usize,
    written: &mut Written,
) -> Result<(), PluginError> {
    let mut first = true;
    written.text.push('{');
    while let Some((field, wire)) = template.next()? {
        let (2, Wire::Bytes(member)) = (field, wire) else { continue };
        let member = Metric::read(member)?;
        let Some(name) = member.name else {
            return Err(refused("a member of a template has no name"));
        };
        let named = |error: PluginError| {
            PluginError::new(error.code, format!("member {name:?}: {}", error.text))
        };
        match member.value.filter(|_| !member.null) {
            None => {
                written.name(&mut first, name);
                written.text.push_str("null");
            }
            Some(Raw::Template(inner)) => {
                let before = (written.text.len(), first);
                written.name(&mut first, name);
                if !put_template(inner, depth + 1, written).map_err(named)? {
                    written.text.truncate(before.0);
                    first = before.1;
                }
            }
            Some(raw) => {
                let value = value(member.datatype, raw).map_err(named)?;
                if let Some(value) = value {
                    written.name(&mut first, name);
                    put_value(&mut written.text, &value);
                }
            }
        }
        written.check()?;
    }
    written.text.push('}');
    Ok(())
}

fn put_parameters(mut template: Reader<'_>, written: &mut Written) -> Result<(), PluginError> {
    let mut first = true;
    written.text.push('{');
    while let Some((field, wire)) = template.next()? {
        let (3, Wire::Bytes(parameter)) = (field, wire) else { continue };
        let (mut name, mut datatype, mut reader) = ("", 0, parameter);
        while let Some((field, wire)) = reader.next()? {
            #[allow(clippy::cast_possible_truncation)] // what uint32 means on the wire
            match (field, wire) {
                (1, Wire::Bytes(text)) => name = text.text()?,
                (2, Wire::Varint(number)) => datatype = number as u32,
                _ => {}
            }
        }
        written.name(&mut first, name);
        put_scalar(scalar(parameter, 3)?, datatype, written)?;
    }
    written.text.push('}');
    Ok(())
}
