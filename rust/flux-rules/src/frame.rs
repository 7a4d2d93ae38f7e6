//! The evaluation that is going on in this thread.
//!
//! Owns what the language's callbacks and our functions write to while a script runs: counts, the
//! clock, effects and log lines. One script runs at a time in a thread, and none starts another,
//! so a thread-local holds it; that keeps engines free of locks and evaluations apart.

use std::cell::{Cell, RefCell};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rhai::{Dynamic, Map};

use crate::error::LimitKind;
use crate::{Effect, Evaluation, Limits, LogLevel, LogLine};

thread_local! {
    /// Operations so far. Counted here, because the language forgets those inside callbacks of
    /// its own functions (`map`, `filter`, …).
    static OPERATIONS: Cell<u64> = const { Cell::new(0) };
    /// At how many operations to look at the limits next.
    static NEXT_LOOK: Cell<u64> = const { Cell::new(0) };
    /// Closures capture `msg` or `env`, so both are handed out by value.
    static GIVEN_BY_VALUE: Cell<bool> = const { Cell::new(false) };
    static FRAME: RefCell<Frame> = const { RefCell::new(Frame::IDLE) };
}

/// What a script may do while it runs.
pub(crate) struct Allowance {
    pub(crate) operations_max: u64,
    /// Which limit `operations_max` is.
    pub(crate) operations_limit: LimitKind,
    /// Read the clock at once: the script calls functions or loops.
    pub(crate) timed: bool,
    /// Closures capture variables. Where two uses of one such variable clash, the language waits
    /// 50 ms before it gives up, so the clock is looked at after every operation.
    pub(crate) captures: bool,
    /// Hand out `msg` and `env` by value: a closure that captures one must not make it a shared
    /// variable, which a method and the closure it calls could not both use.
    pub(crate) given_by_value: bool,
}

/// What scripts see inside their own functions, where the scope does not reach.
#[derive(Default)]
pub(crate) struct Globals {
    pub(crate) message: Dynamic,
    pub(crate) env: Dynamic,
    /// Names of functions of the script, which a bare name may mean.
    pub(crate) functions: Option<Arc<[Box<str>]>>,
}

struct Frame {
    effects: Vec<Effect>,
    logs: Vec<LogLine>,
    logs_dropped: u64,
    effects_max: usize,
    log_lines_max: usize,
    log_line_bytes_max: usize,
    operations_max: u64,
    operations_limit: LimitKind,
    operations_per_look: u64,
    deadline: Duration,
    started: Option<Instant>,
    /// Processor time of this thread when the deadline had passed by the clock on the wall.
    late_from: Option<Duration>,
    /// Waiting counts: see [`Allowance::captures`].
    waits_count: bool,
    stopped: Option<LimitKind>,
    globals: Globals,
}

impl Frame {
    const IDLE: Self = Self {
        effects: Vec::new(),
        logs: Vec::new(),
        logs_dropped: 0,
        effects_max: 0,
        log_lines_max: 0,
        log_line_bytes_max: 0,
        operations_max: 0,
        operations_limit: LimitKind::Operations,
        operations_per_look: 1,
        deadline: Duration::ZERO,
        started: None,
        late_from: None,
        waits_count: false,
        stopped: None,
        globals: Globals { message: Dynamic::UNIT, env: Dynamic::UNIT, functions: None },
    };
}

/// Begins an evaluation, writing into the buffers of `into`, which were cleared.
pub(crate) fn begin(
    limits: &Limits,
    allowance: &Allowance,
    globals: Option<Globals>,
    into: &mut Evaluation,
) {
    let operations_per_look =
        if allowance.captures { 1 } else { Limits::OPERATIONS_PER_CLOCK_READING };
    OPERATIONS.set(0);
    NEXT_LOOK.set(operations_per_look.min(allowance.operations_max));
    GIVEN_BY_VALUE.set(allowance.given_by_value);
    FRAME.with_borrow_mut(|frame| {
        frame.effects = std::mem::take(&mut into.effects);
        frame.logs = std::mem::take(&mut into.logs);
        frame.logs_dropped = 0;
        frame.effects_max = limits.effects_per_evaluation_max;
        frame.log_lines_max = limits.log_lines_max;
        frame.log_line_bytes_max = limits.log_line_bytes_max;
        frame.operations_max = allowance.operations_max;
        frame.operations_limit = allowance.operations_limit;
        frame.operations_per_look = operations_per_look;
        frame.deadline = limits.deadline;
        frame.started = allowance.timed.then(Instant::now);
        frame.late_from = None;
        frame.waits_count = allowance.captures;
        frame.stopped = None;
        frame.globals = globals.unwrap_or_default();
    });
}

impl Frame {
    /// Whether the deadline has passed. Reading the thread's own time costs a system call, so the
    /// clock on the wall is read first; when that is past the deadline, it may be the machine that
    /// was busy and not the script, which then has the deadline once more, in processor time. A
    /// trigger must not fail because another process had the core.
    fn is_late(&mut self) -> bool {
        if self.started.get_or_insert_with(Instant::now).elapsed() < self.deadline {
            return false;
        }
        if self.waits_count {
            return true;
        }
        let now = processor_time();
        now.saturating_sub(*self.late_from.get_or_insert(now)) >= self.deadline
    }

    /// How long the script ran, at most; none where no clock was read.
    fn busy(&mut self) -> Option<Duration> {
        let elapsed = self.started.take()?.elapsed();
        Some(match self.late_from.take() {
            Some(from) => elapsed.min(self.deadline + processor_time().saturating_sub(from)),
            None => elapsed,
        })
    }
}

/// Processor time of this thread so far.
fn processor_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(u64::try_from(time.tv_sec).unwrap_or(0), u32::try_from(time.tv_nsec).unwrap_or(0))
}

/// Nanoseconds one operation is taken to cost where no clock was read; measured 20 to 40.
const OPERATION_NS: u64 = 40;

/// Ends the evaluation: hands the buffers back and says which limit stopped it, if one did.
pub(crate) fn end(into: &mut Evaluation) -> Option<LimitKind> {
    into.operations = OPERATIONS.get();
    FRAME.with_borrow_mut(|frame| {
        into.effects = std::mem::take(&mut frame.effects);
        into.logs = std::mem::take(&mut frame.logs);
        into.logs_dropped = frame.logs_dropped;
        into.busy_ns = frame.busy().map_or(into.operations * OPERATION_NS, |busy| {
            u64::try_from(busy.as_nanos()).unwrap_or(u64::MAX)
        });
        frame.globals = Globals::default();
        frame.stopped.take()
    })
}

/// Called by the language for every operation; says which limit is reached.
#[inline]
pub(crate) fn on_operation() -> Option<LimitKind> {
    let operations = OPERATIONS.get() + 1;
    OPERATIONS.set(operations);
    if operations < NEXT_LOOK.get() { None } else { look(operations) }
}

#[cold]
fn look(operations: u64) -> Option<LimitKind> {
    FRAME.with_borrow_mut(|frame| {
        if frame.stopped.is_none() {
            frame.stopped = if operations > frame.operations_max {
                Some(frame.operations_limit)
            } else if frame.is_late() {
                Some(LimitKind::Deadline)
            } else {
                None
            };
        }
        // Once stopped, every further operation is refused: functions of the language swallow
        // errors of their callbacks.
        let next = if frame.stopped.is_some() {
            0
        } else {
            let next = operations + frame.operations_per_look;
            next.min(frame.operations_max.saturating_add(1))
        };
        NEXT_LOOK.set(next);
        frame.stopped
    })
}

/// Stops the script at a limit that is not one of operations.
pub(crate) fn stop(limit: LimitKind) {
    NEXT_LOOK.set(0);
    FRAME.with_borrow_mut(|frame| {
        frame.stopped.get_or_insert(limit);
    });
}

/// Takes an effect; says which limit stands against it.
pub(crate) fn push_effect(effect: Effect) -> Result<(), LimitKind> {
    let full = FRAME.with_borrow_mut(|frame| {
        let full = frame.effects.len() >= frame.effects_max;
        if !full {
            frame.effects.push(effect);
        }
        full
    });
    if full {
        stop(LimitKind::Effects);
        return Err(LimitKind::Effects);
    }
    Ok(())
}

/// Takes a log line, cut to its limit; beyond the count of lines it is counted only.
pub(crate) fn push_log(level: LogLevel, text: &str) {
    FRAME.with_borrow_mut(|frame| {
        if frame.logs.len() >= frame.log_lines_max {
            frame.logs_dropped += 1;
            return;
        }
        frame.logs.push(LogLine { level, text: cut(text, frame.log_line_bytes_max) });
    });
}

fn cut(text: &str, bytes_max: usize) -> String {
    const MARK: &str = "…";
    if text.len() <= bytes_max {
        return text.to_owned();
    }
    let kept = text.floor_char_boundary(bytes_max.saturating_sub(MARK.len()));
    let mut line = text.get(..kept).unwrap_or_default().to_owned();
    if bytes_max >= MARK.len() {
        line.push_str(MARK);
    }
    line
}

/// Whether `msg` and `env` are to be handed out by value, with [`global`].
pub(crate) fn given_by_value() -> bool {
    GIVEN_BY_VALUE.get()
}

/// The value of a name inside a function of the script.
pub(crate) fn global(name: &str) -> Option<Dynamic> {
    FRAME.with_borrow(|frame| match name {
        "msg" => Some(frame.globals.message.flatten_clone()),
        "env" => Some(frame.globals.env.flatten_clone()),
        _ => message_value(&frame.globals.message, name),
    })
}

/// Whether the running script defines a function of that name.
pub(crate) fn is_function(name: &str) -> bool {
    FRAME.with_borrow(|frame| match &frame.globals.functions {
        Some(functions) => functions.iter().any(|known| **known == *name),
        None => false,
    })
}

/// `msg.values.<name>` of a message map.
pub(crate) fn message_value(message: &Dynamic, name: &str) -> Option<Dynamic> {
    let message = message.read_lock::<Map>()?;
    let values = message.get("values")?.read_lock::<Map>()?;
    values.get(name).cloned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_lines_are_cut_at_a_character() {
        assert_eq!(cut("abcdef", 6), "abcdef");
        assert_eq!(cut("abcdefg", 6), "abc…");
        assert_eq!(cut("äöü", 5), "ä…");
        assert_eq!(cut("abc", 2), "ab".get(..0).unwrap_or_default());
    }
}
