//! The problems found so far, bounded.

use flux_types::Problem;

/// Collects problems up to [`Report::PROBLEMS_MAX`] and counts the rest.
#[derive(Debug, Default)]
pub(crate) struct Report {
    problems: Vec<Problem>,
    left_out: usize,
}

impl Report {
    /// A document of 100 000 wrong devices is told by its first thousand.
    const PROBLEMS_MAX: usize = 1000;

    pub(crate) fn push(&mut self, problem: Problem) {
        if self.problems.len() < Self::PROBLEMS_MAX {
            self.problems.push(problem);
        } else {
            self.left_out += 1;
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.problems.is_empty()
    }

    pub(crate) fn into_problems(mut self) -> Vec<Problem> {
        if self.left_out > 0 {
            let rest = format!("{} further problems are left out", self.left_out);
            self.problems.push(Problem::new("config.too_many_problems", rest));
        }
        self.problems
    }
}
