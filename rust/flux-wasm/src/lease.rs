//! Calls, as workers make them.
//!
//! Owns one instance of one version for the length of a batch. A call that spoils its instance costs
//! that instance, and the next call of the same lease gets another: one poisoned message does not
//! take its neighbours along. Must never be kept longer than a batch: it holds back a reload's
//! memory and one of `max_instances`.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant as Moment;

use flux_plugin_abi::Context;

use crate::breaker::{CallEnd, TripCause};
use crate::instance::{Input, Instance};
use crate::interface::Function;
use crate::output::Mark;
use crate::plugin::{Mode, Plugin, Version};
use crate::pool::Taken;
use crate::sandbox::Ticking;
use crate::stats::{TIMED_EVERY, Tally};
use crate::{FailureReason, Limits, Outcome, PluginError, Sink, output};

/// Ticks inside calls after which the breaker is told, even before the lease ends.
const BUSY_TOLD_MS: u64 = 20;

/// An instance, taken for a batch.
pub struct Lease {
    plugin: Arc<Plugin>,
    version: Arc<Version>,
    instance: Option<Box<Instance>>,
    ticking: Ticking,
    tally: Tally,
    /// Whether the next call is the one by which an open breaker decides.
    probing: bool,
}

impl std::fmt::Debug for Lease {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Lease").field("plugin", self.plugin.id()).finish_non_exhaustive()
    }
}

impl Lease {
    pub(crate) fn take(plugin: &Arc<Plugin>) -> Result<Self, PluginError> {
        let taken = match plugin.version.load_full() {
            Some(version) => Self::of(plugin, version),
            None => Err(PluginError::Unknown { id: plugin.id().to_string() }),
        };
        if taken.is_err() {
            plugin.counters.refuse();
        }
        taken
    }

    /// An instance of a version, be it in force or not.
    pub(crate) fn of(plugin: &Arc<Plugin>, version: Arc<Version>) -> Result<Self, PluginError> {
        let limits = &plugin.sandbox.limits;
        let ticking = plugin.sandbox.ticker().begin();
        let probing = !plugin.breaker.is_closed();
        admit(plugin)?;
        let instance = match version.pool.take(limits) {
            Ok(Taken::Kept(instance)) => {
                plugin.counters.hits.fetch_add(1, Ordering::Relaxed);
                Some(instance)
            }
            Ok(Taken::New) => None,
            Err(error) => {
                plugin.breaker.withdraw_probe();
                return Err(error);
            }
        };
        let plugin = Arc::clone(plugin);
        Ok(Self { plugin, version, instance, ticking, tally: Tally::default(), probing })
    }

    /// Which version this is: SHA-256 of its bytes.
    #[must_use]
    pub fn content_hash(&self) -> &[u8; 32] {
        &self.version.hash
    }

    /// Whether the version has that function.
    #[must_use]
    pub fn has(&self, function: Function) -> bool {
        self.version.interface().has(function)
    }

    // --- what workers call ---

    /// Decodes one input to the end of `sink`.
    ///
    /// # Errors
    /// The call failed; the sink is as it was. What the plugin itself reports is no error:
    /// [`Outcome::reported`].
    #[inline]
    pub fn decode(
        &mut self,
        context: &Context<'_>,
        input: &[u8],
        sink: &mut Sink,
    ) -> Result<Outcome, PluginError> {
        self.call_into(Function::Decode, context, input, sink)
    }

    /// Decodes several inputs of one source under one context: in one call where the plugin can
    /// ([`Function::DecodeBatch`]), else, and where that call fails, one after the other, so that
    /// one poisoned input costs no other. Each input has its [`Item`](crate::Item) in the sink;
    /// where the call failed on it, with the reason ([`Item::failure`](crate::Item::failure)).
    ///
    /// The context's `state` is that before the batch; after it [`Sink::state`] is the last one.
    pub fn decode_batch(
        &mut self,
        context: &Context<'_>,
        inputs: &[&[u8]],
        sink: &mut Sink,
    ) -> Outcome {
        let part_max = self.plugin.sandbox.limits.batch_items_max.max(1);
        let mut sum =
            Outcome { items: sink.items().len()..sink.items().len(), ..Outcome::default() };
        let mut state: Option<Vec<u8>> = None;
        for part in inputs.chunks(part_max) {
            let context = Context { state: state.as_deref().unwrap_or(context.state), ..*context };
            let outcome = match self.decode_at_once(&context, part, sink) {
                Some(outcome) => outcome,
                None => self.decode_singly(&context, part, sink),
            };
            let after = sink.state().map(<[u8]>::to_vec);
            state = after.or(state);
            sum.add(&outcome);
        }
        sink.replace_state(state.as_deref());
        sum.state_changed = state.is_some();
        sum
    }

    /// Encodes a command, `{"command": ..., "params": {...}}`, into frames.
    ///
    /// # Errors
    /// The call failed; the sink is as it was.
    pub fn encode(
        &mut self,
        context: &Context<'_>,
        command: &[u8],
        sink: &mut Sink,
    ) -> Result<Outcome, PluginError> {
        self.call_into(Function::Encode, context, command, sink)
    }

    /// Hands a message ([`write_message`](crate::write_message)) to `on_msg`; to that of ABI 0 the
    /// bytes as they arrived.
    ///
    /// # Errors
    /// The call failed; the sink is as it was.
    pub fn on_msg(
        &mut self,
        context: &Context<'_>,
        message: &[u8],
        sink: &mut Sink,
    ) -> Result<Outcome, PluginError> {
        self.call_into(Function::OnMsg, context, message, sink)
    }

    /// Hands a message and, as [`Context::subject`], a firing to `on_action`.
    ///
    /// # Errors
    /// The call failed; the sink is as it was.
    pub fn on_action(
        &mut self,
        context: &Context<'_>,
        message: &[u8],
        sink: &mut Sink,
    ) -> Result<Outcome, PluginError> {
        self.call_into(Function::OnAction, context, message, sink)
    }

    /// Calls any function and gives its output as it is.
    ///
    /// # Errors
    /// The call failed.
    pub fn call(
        &mut self,
        function: Function,
        context: &Context<'_>,
        input: &[u8],
    ) -> Result<Vec<u8>, PluginError> {
        self.run(function, context, Input::One(input), 1, |bytes, _| Ok(bytes.to_vec()))
    }

    /// Calls any function and reads its output to the end of `sink`.
    ///
    /// # Errors
    /// The call failed; the sink is as it was.
    #[inline]
    pub fn call_into(
        &mut self,
        function: Function,
        context: &Context<'_>,
        input: &[u8],
        sink: &mut Sink,
    ) -> Result<Outcome, PluginError> {
        let mark = sink.begin(None);
        let called = self.run(function, context, Input::One(input), 1, |bytes, limits| {
            Ok(output::read(bytes, &mark, limits, sink)?)
        });
        self.end(called, &mark, sink)
    }

    // --- how ---

    /// The whole batch in one call; `None` where that cannot be or failed.
    fn decode_at_once(
        &mut self,
        context: &Context<'_>,
        inputs: &[&[u8]],
        sink: &mut Sink,
    ) -> Option<Outcome> {
        let count = u32::try_from(inputs.len()).ok()?;
        let bytes: usize = inputs.iter().map(|input| input.len() + 4).sum();
        let max = self.plugin.sandbox.limits.input_bytes_max;
        if count < 2 || bytes + 4 > max || !self.has(Function::DecodeBatch) {
            return None;
        }
        let mark = sink.begin(Some(count));
        let items = u64::from(count);
        let input = Input::Batch(inputs);
        let called = self.run(Function::DecodeBatch, context, input, items, |bytes, limits| {
            Ok(output::read(bytes, &mark, limits, sink)?)
        });
        self.end(called, &mark, sink).ok()
    }

    fn decode_singly(
        &mut self,
        context: &Context<'_>,
        inputs: &[&[u8]],
        sink: &mut Sink,
    ) -> Outcome {
        let first = sink.items().len();
        let mut sum = Outcome { items: first..first, ..Outcome::default() };
        let mut state: Option<Vec<u8>> = None;
        for input in inputs {
            let context = Context { state: state.as_deref().unwrap_or(context.state), ..*context };
            match self.decode(&context, input, sink) {
                Ok(outcome) => {
                    if outcome.state_changed {
                        state = sink.state().map(<[u8]>::to_vec);
                    }
                    sum.add(&outcome);
                }
                Err(error) => {
                    sink.push_failure(error);
                    sum.items.end += 1;
                    sum.failed += 1;
                }
            }
        }
        sink.replace_state(state.as_deref());
        sum
    }

    /// Counts what came of a call, or takes it back.
    #[inline]
    fn end(
        &mut self,
        called: Result<Outcome, PluginError>,
        mark: &Mark,
        sink: &mut Sink,
    ) -> Result<Outcome, PluginError> {
        match &called {
            Ok(outcome) => {
                self.tally.messages += outcome.messages as u64;
                self.tally.values_dropped += outcome.values_dropped as u64;
                self.tally.failures[FailureReason::Reported as usize] += outcome.reported as u64;
            }
            Err(_) => sink.undo(mark),
        }
        called
    }

    /// One call, counted and timed.
    #[inline]
    fn run<R>(
        &mut self,
        function: Function,
        context: &Context<'_>,
        input: Input<'_>,
        items: u64,
        read: impl FnOnce(&[u8], &Limits) -> Result<R, PluginError>,
    ) -> Result<R, PluginError> {
        self.ready()?;
        let Some(instance) = &mut self.instance else {
            return Err(PluginError::Start { reason: "no instance".to_owned() });
        };
        let timed = self.tally.group.is_multiple_of(TIMED_EVERY).then(Moment::now);
        let before = self.ticking.now_ms();
        let sandbox = &self.plugin.sandbox;
        let (blueprint, limits) = (&self.version.blueprint, &sandbox.limits);
        let result = instance.call(blueprint, limits, function, context, input, read);
        let now = self.ticking.now_ms();
        self.tally.calls += 1;
        self.tally.items += items;
        // What is beyond the deadline was no work of the call's, but waiting for a core.
        self.tally.busy_ms += now.saturating_sub(before).min(limits.deadline_ticks());
        if let Some(start) = timed {
            self.tally.close_group();
            self.tally.group_ns = u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX);
        }
        self.tally.group += 1;
        if self.version.mode == Mode::Fresh {
            self.instance = None;
        }
        match result {
            Ok(answer) => {
                self.plugin.breaker.finished(&limits.breaker, now);
                self.probing = false;
                if self.tally.busy_ms >= BUSY_TOLD_MS {
                    self.tell_busy();
                }
                Ok(answer)
            }
            Err(error) => Err(self.failed(function, error)),
        }
    }

    /// Sees to it that the call may be made and that there is an instance.
    #[inline]
    fn ready(&mut self) -> Result<(), PluginError> {
        if !self.plugin.breaker.is_closed() && !self.probing {
            if let Err(error) = admit(&self.plugin) {
                self.tally.fail(FailureReason::Refused);
                return Err(error);
            }
            self.probing = !self.plugin.breaker.is_closed();
        }
        if self.instance.is_none() {
            return self.make_instance();
        }
        Ok(())
    }

    fn make_instance(&mut self) -> Result<(), PluginError> {
        self.plugin.counters.misses.fetch_add(1, Ordering::Relaxed);
        let fleeting = self.version.mode == Mode::Fresh;
        let (sandbox, log) = (&self.plugin.sandbox, Arc::clone(&self.plugin.log));
        match Instance::new(sandbox, &self.version.blueprint, log, fleeting) {
            Ok(instance) => {
                self.instance = Some(Box::new(instance));
                Ok(())
            }
            Err(error) => {
                self.tally.calls += 1;
                Err(self.failed(Function::Start, error))
            }
        }
    }

    /// Counts a failed call and decides what becomes of the instance and of the plugin.
    #[cold]
    fn failed(&mut self, function: Function, error: PluginError) -> PluginError {
        let plugin = &self.plugin;
        self.tally.fail(error.reason());
        if error.spoils_instance() {
            if self.instance.take().is_some() {
                plugin.counters.discarded.fetch_add(1, Ordering::Relaxed);
            }
            if plugin.log.admits_failure() {
                let id = &**plugin.id();
                tracing::warn!(target: "plugin", plugin = id, %function, %error, "a call failed");
            }
        }
        let end = match error.reason() {
            FailureReason::Deadline => CallEnd::Deadline,
            // an input too long, or the guest's own no: nothing against the plugin
            FailureReason::Reported | FailureReason::Refused => CallEnd::Finished,
            _ => CallEnd::Failed,
        };
        let (limits, now) = (&plugin.sandbox.limits.breaker, plugin.sandbox.ticker().read_ms());
        if end == CallEnd::Finished {
            plugin.breaker.finished(limits, now);
        } else if let Some(cause) = plugin.breaker.failed(limits, now, end) {
            announce(plugin, cause);
        }
        self.probing = false;
        error
    }

    /// Hands in the time calls took, and with it how many there were.
    #[cold]
    fn tell_busy(&mut self) {
        let busy_ms = std::mem::take(&mut self.tally.busy_ms);
        self.plugin.counters.take_in(&mut self.tally);
        let now = self.plugin.sandbox.ticker().read_ms();
        let (limits, calls) = (&self.plugin.sandbox.limits.breaker, self.plugin.counters.calls());
        if let Some(cause) = self.plugin.breaker.spent(limits, now, busy_ms, calls) {
            announce(&self.plugin, cause);
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let limits = &self.plugin.sandbox.limits;
        let worn = self.instance.as_ref().is_some_and(|instance| instance.is_worn(limits));
        if worn {
            self.plugin.counters.recycled.fetch_add(1, Ordering::Relaxed);
        }
        let instance = self.instance.take().filter(|_| !worn);
        self.version.pool.put(instance, limits);
        if self.probing {
            self.plugin.breaker.withdraw_probe();
        }
        if self.tally.busy_ms > 0 {
            self.tell_busy();
        } else {
            self.plugin.counters.take_in(&mut self.tally);
        }
    }
}

fn admit(plugin: &Plugin) -> Result<(), PluginError> {
    if plugin.breaker.is_closed() {
        return Ok(());
    }
    let now = plugin.sandbox.ticker().read_ms();
    plugin.breaker.admits(now).map_err(|(cause, wait_ms)| PluginError::Tripped { cause, wait_ms })
}

fn announce(plugin: &Plugin, cause: TripCause) {
    let (id, limit) = (&**plugin.id(), cause.as_str());
    tracing::warn!(target: "plugin", plugin = id, limit, "a plugin is set aside");
}
