//! JSON and values, from one world to the other.
//!
//! Owns which Python types stand for which values. Must never guess: what has no counterpart is
//! refused, with its place.

use std::sync::Arc;

use flux_types::{ErrorKind, Problem, Value};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{
    PyBool, PyByteArray, PyBytes, PyDict, PyFloat, PyInt, PyList, PyMemoryView, PyString, PyTuple,
};
use serde::de::DeserializeOwned;
use serde_json::{Map, Number, Value as Json};

use crate::failure::{exception, invalid};

/// Nesting of what Python hands in.
const DEPTH_MAX: usize = 64;

/// JSON as Python's own types.
pub(crate) fn to_python<'py>(py: Python<'py>, json: &Json) -> PyResult<Bound<'py, PyAny>> {
    Ok(match json {
        Json::Null => py.None().into_bound(py),
        Json::Bool(yes) => PyBool::new(py, *yes).to_owned().into_any(),
        Json::Number(number) => number_to_python(py, number)?,
        Json::String(text) => PyString::new(py, text).into_any(),
        Json::Array(items) => {
            let list = PyList::empty(py);
            for item in items {
                list.append(to_python(py, item)?)?;
            }
            list.into_any()
        }
        Json::Object(members) => {
            let dict = PyDict::new(py);
            for (name, member) in members {
                dict.set_item(name, to_python(py, member)?)?;
            }
            dict.into_any()
        }
    })
}

fn number_to_python<'py>(py: Python<'py>, number: &Number) -> PyResult<Bound<'py, PyAny>> {
    if let Some(whole) = number.as_i64() {
        return Ok(whole.into_pyobject(py)?.into_any());
    }
    if let Some(whole) = number.as_u64() {
        return Ok(whole.into_pyobject(py)?.into_any());
    }
    Ok(PyFloat::new(py, number.as_f64().unwrap_or(f64::NAN)).into_any())
}

/// Python's own types as JSON. `code` and `place` are for the error.
pub(crate) fn to_json(given: &Bound<'_, PyAny>, code: &str, place: &str) -> PyResult<Json> {
    json_at(given, code, place, 0)
}

fn json_at(given: &Bound<'_, PyAny>, code: &str, place: &str, depth: usize) -> PyResult<Json> {
    let py = given.py();
    let wrong = |what: &str| invalid(py, code, &format!("{place}: {what}"), None);
    if depth > DEPTH_MAX {
        return Err(wrong(&format!("is nested deeper than {DEPTH_MAX} levels")));
    }
    if given.is_none() {
        return Ok(Json::Null);
    }
    if let Ok(yes) = given.cast::<PyBool>() {
        return Ok(Json::Bool(yes.is_true()));
    }
    if given.is_instance_of::<PyInt>() {
        return given
            .extract::<i64>()
            .map(Json::from)
            .or_else(|_| given.extract::<u64>().map(Json::from))
            .map_err(|_| wrong("is a whole number of more than 64 bits"));
    }
    if given.is_instance_of::<PyFloat>() {
        let real: f64 = given.extract()?;
        return Number::from_f64(real).map(Json::Number).ok_or_else(|| wrong("is not finite"));
    }
    if let Ok(text) = given.cast::<PyString>() {
        return Ok(Json::String(text.extract()?));
    }
    if given.is_instance_of::<PyList>() || given.is_instance_of::<PyTuple>() {
        let mut items = Vec::new();
        for (index, item) in given.try_iter()?.enumerate() {
            items.push(json_at(&item?, code, &format!("{place}/{index}"), depth + 1)?);
        }
        return Ok(Json::Array(items));
    }
    if let Ok(dict) = given.cast::<PyDict>() {
        let mut members = Map::new();
        for (name, member) in dict.iter() {
            let Ok(name) = name.extract::<String>() else {
                return Err(wrong("has a name that is no text"));
            };
            let member = json_at(&member, code, &format!("{place}/{name}"), depth + 1)?;
            members.insert(name, member);
        }
        return Ok(Json::Object(members));
    }
    Err(wrong(&format!("a {} has no place in JSON", given.get_type().name()?)))
}

/// JSON as a shape of ours; what does not fit is refused with its place.
pub(crate) fn shaped<T: DeserializeOwned>(py: Python<'_>, json: Json, code: &str) -> PyResult<T> {
    serde_path_to_error::deserialize(json).map_err(|error| {
        let problem = Problem::new(code, error.inner().to_string())
            .at(format!("/{}", error.path().to_string().replace('.', "/")));
        let text = problem.to_string();
        exception(py, ErrorKind::Invalid, code, &text, None, &[problem])
    })
}

/// One of Python's values as one that a device can report.
pub(crate) fn to_value(given: &Bound<'_, PyAny>, code: &str, place: &str) -> PyResult<Value> {
    if given.is_instance_of::<PyFloat>() {
        return Ok(Value::F64(given.extract()?));
    }
    if let Ok(bytes) = given.cast::<PyBytes>() {
        return Ok(Value::Bytes(bytes::Bytes::copy_from_slice(bytes.as_bytes())));
    }
    Value::from_json(to_json(given, code, place)?)
        .map_err(|error| invalid(given.py(), code, &format!("{place}: {error}"), None))
}

/// A dictionary of values, in its order.
pub(crate) fn to_values(
    given: &Bound<'_, PyDict>,
    code: &str,
    place: &str,
) -> PyResult<Vec<(Arc<str>, Value)>> {
    let mut values = Vec::with_capacity(given.len());
    for (name, value) in given.iter() {
        let Ok(name) = name.extract::<String>() else {
            let message = format!("{place}: has a name that is no text");
            return Err(invalid(given.py(), code, &message, None));
        };
        let value = to_value(&value, code, &format!("{place}/{name}"))?;
        values.push((name.into(), value));
    }
    Ok(values)
}

/// What is published or sent: bytes as they are, text as UTF-8.
pub(crate) fn to_payload(given: &Bound<'_, PyAny>) -> PyResult<bytes::Bytes> {
    if let Ok(bytes) = given.cast::<PyBytes>() {
        return Ok(bytes::Bytes::copy_from_slice(bytes.as_bytes()));
    }
    if let Ok(text) = given.cast::<PyString>() {
        return Ok(bytes::Bytes::from(text.extract::<String>()?));
    }
    if given.is_instance_of::<PyByteArray>() || given.is_instance_of::<PyMemoryView>() {
        let copied = given.py().get_type::<PyBytes>().call1((given,))?;
        return Ok(bytes::Bytes::copy_from_slice(copied.cast::<PyBytes>()?.as_bytes()));
    }
    let name = given.get_type().name()?;
    Err(PyTypeError::new_err(format!("a payload is bytes or str, not {name}")))
}
