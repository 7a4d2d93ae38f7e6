//! The highest rate that loses nothing and is not late.
//!
//! Rates grow by half until one fails, then the gap is halved until it is a twentieth. A rate
//! counts when nothing was lost, doubled or out of order, the 99th percentile end to end is within
//! the limit, and the generator itself kept up.

use serde::Serialize;

use crate::conduct::conduct;
use crate::failure::Failure;
use crate::options::{Options, Plan};
use crate::report::Report;

const STEPS_MAX: usize = 24;
const GROWTH: f64 = 1.5;
/// The gap between the best that passed and the least that failed, at which it is enough.
const RESOLUTION: f64 = 1.05;
/// Of the rate asked for, what has to be sent.
const KEPT_UP: f64 = 0.98;
/// A rate below this is not worth looking for.
const RATE_LEAST: f64 = 50.0;
/// A noisy machine fails a rate that it can keep: each has so many tries.
const TRIES: usize = 2;

/// One rate tried.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Step {
    pub(crate) rate: f64,
    pub(crate) passed: bool,
    pub(crate) sent_per_s: f64,
    pub(crate) lost: u64,
    pub(crate) p99_ms: f64,
}

/// What the search came to.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Found {
    pub(crate) rate: f64,
    pub(crate) steps: Vec<Step>,
    pub(crate) best: Report,
}

/// Searches.
pub(crate) fn search(options: &Options, plan: &Plan) -> Result<Found, Failure> {
    let mut steps = Vec::new();
    let mut best: Option<(f64, Report)> = None;
    let mut worst: Option<f64> = None;
    let mut rate = options.search_from;
    while steps.len() < STEPS_MAX {
        match try_rate(rate, options, plan, &mut steps)? {
            Some(report) => best = Some((rate, report)),
            None => worst = Some(rate),
        }
        rate = match (&best, worst) {
            (Some((good, _)), Some(bad)) if bad / good < RESOLUTION => break,
            (Some((good, _)), Some(bad)) => (good * bad).sqrt(),
            (Some((good, _)), None) => good * GROWTH,
            (None, _) => rate / (GROWTH * GROWTH),
        };
        if rate < RATE_LEAST {
            break;
        }
    }
    match best {
        Some((rate, best)) => Ok(Found { rate, steps, best }),
        None => Err(Failure::NothingPasses(rate)),
    }
}

fn try_rate(
    rate: f64,
    options: &Options,
    plan: &Plan,
    steps: &mut Vec<Step>,
) -> Result<Option<Report>, Failure> {
    let plan = Plan { rate: Some(rate), ..plan.clone() };
    for _ in 0..TRIES {
        let report = conduct(&plan)?;
        let in_time = report.end_to_end.p99_ms <= options.p99_max_ms;
        let passed = report.is_clean() && in_time && report.sent_per_s >= KEPT_UP * rate;
        steps.push(Step {
            rate,
            passed,
            sent_per_s: report.sent_per_s,
            lost: report.lost,
            p99_ms: report.end_to_end.p99_ms,
        });
        if !options.json {
            let verdict = if passed { "passes" } else { "fails" };
            let (lost, p99) = (report.lost, report.end_to_end.p99_ms);
            let sent = report.sent_per_s;
            println!("{rate:>10.0}/s {verdict}: {sent:.0}/s sent, {lost} lost, p99 {p99:.2} ms");
        }
        if passed {
            return Ok(Some(report));
        }
    }
    Ok(None)
}
