//! Errors of the engine as exceptions of `fluxhybrid.errors`, by their kind.

use std::error::Error;

use flux_bus::BusError;
use flux_engine::EngineError;
use flux_rules::RuleError;
use flux_types::{Coded, ErrorKind, Problem, QosError};
use pyo3::prelude::*;
use pyo3::types::PyDict;

const ERRORS: &str = "fluxhybrid.errors";

/// An error that knows what else to say.
pub(crate) trait Failure: Coded {
    /// What is wrong, with what caused it.
    fn text(&self) -> String;

    /// Everything that is wrong, each with its place.
    fn problems(&self) -> Vec<Problem> {
        Vec::new()
    }

    /// How to mend it.
    fn hint(&self) -> Option<String> {
        None
    }
}

pub(crate) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

impl Failure for EngineError {
    fn text(&self) -> String {
        chain(self)
    }

    fn problems(&self) -> Vec<Problem> {
        self.problems()
    }

    fn hint(&self) -> Option<String> {
        self.hint()
    }
}

impl Failure for BusError {
    fn text(&self) -> String {
        chain(self)
    }
}

impl Failure for RuleError {
    fn text(&self) -> String {
        // the place is told beside it
        self.to_problem().message
    }

    fn problems(&self) -> Vec<Problem> {
        vec![self.to_problem()]
    }

    fn hint(&self) -> Option<String> {
        self.hint().map(str::to_owned)
    }
}

/// The exception for an error.
pub(crate) fn raised(py: Python<'_>, error: &impl Failure) -> PyErr {
    let problems = error.problems();
    exception(py, error.kind(), error.code(), &error.text(), error.hint().as_deref(), &problems)
}

/// The exception for what was given wrongly to a call.
pub(crate) fn invalid(py: Python<'_>, code: &str, message: &str, hint: Option<&str>) -> PyErr {
    exception(py, ErrorKind::Invalid, code, message, hint, &[])
}

/// The exception for a quality of service that is none.
pub(crate) fn wrong_qos(py: Python<'_>, error: QosError) -> PyErr {
    invalid(py, "engine.qos", &error.to_string(), None)
}

/// An exception of a kind.
pub(crate) fn exception(
    py: Python<'_>,
    kind: ErrorKind,
    code: &str,
    message: &str,
    hint: Option<&str>,
    problems: &[Problem],
) -> PyErr {
    build(py, kind, code, message, hint, problems).unwrap_or_else(|error| error)
}

fn build(
    py: Python<'_>,
    kind: ErrorKind,
    code: &str,
    message: &str,
    hint: Option<&str>,
    problems: &[Problem],
) -> PyResult<PyErr> {
    let errors = py.import(ERRORS)?;
    let class = errors.getattr("error_of_kind")?.call1((kind.as_str(),))?;
    let details = PyDict::new(py);
    details.set_item("hint", hint)?;
    if let [problem] = problems {
        place(&details, problem)?;
    }
    details.set_item("problems", problems_to_python(py, problems)?)?;
    Ok(PyErr::from_value(class.call((code, message), Some(&details))?))
}

fn place(fields: &Bound<'_, PyDict>, problem: &Problem) -> PyResult<()> {
    // the whole document has no pointer in Python
    let pointer = Some(problem.pointer.as_str()).filter(|pointer| !pointer.is_empty());
    fields.set_item("pointer", pointer)?;
    fields.set_item("line", problem.line)?;
    fields.set_item("column", problem.column)
}

/// Problems as a list of `fluxhybrid.errors.Problem`.
pub(crate) fn problems_to_python(py: Python<'_>, problems: &[Problem]) -> PyResult<Vec<Py<PyAny>>> {
    let make = py.import(ERRORS)?.getattr("Problem")?;
    problems
        .iter()
        .map(|problem| {
            let fields = PyDict::new(py);
            fields.set_item("hint", problem.hint.as_deref())?;
            place(&fields, problem)?;
            Ok(make.call((&problem.code, &problem.message), Some(&fields))?.unbind())
        })
        .collect()
}
