//! One run from the first connection to the last message.
//!
//! Owns the phases and their time limits: whatever the server does, a run ends.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::failure::Failure;
use crate::machine::{Usage, now_ns, usage};
use crate::options::Plan;
use crate::report::{Lost, Report, Second};
use crate::shared::{Phase, Progress, Shared};
use crate::worker::{Faults, Measured, Worker, latencies};

/// Longest wait for what is under way to arrive, whatever arrives meanwhile.
const DRAIN_MAX: Duration = Duration::from_secs(120);
/// Time without a delivery after which those under way are given up while load goes on.
const GIVE_UP: Duration = Duration::from_millis(250);
/// Losses told one by one.
const LOST_SHOWN_MAX: usize = 10;
/// How often progress is looked at.
const LOOK: Duration = Duration::from_millis(10);

/// Time, counters and usage at one moment.
#[derive(Clone, Copy)]
struct Look {
    at: Instant,
    progress: Progress,
    server: Usage,
    own: Usage,
}

struct Run {
    plan: Arc<Plan>,
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<Result<Measured, Failure>>>,
    server_rss_max: u64,
}

/// Makes one run.
pub(crate) fn conduct(plan: &Plan) -> Result<Report, Failure> {
    let plan = Arc::new(plan.clone());
    let shared = Arc::new(Shared::default());
    let mut run = Run { plan, shared, threads: Vec::new(), server_rss_max: 0 };
    let outcome = run.all_phases();
    run.shared.set_phase(Phase::Stopping);
    if outcome.is_err() {
        let _ = run.join();
    }
    outcome
}

impl Run {
    fn all_phases(&mut self) -> Result<Report, Failure> {
        let connecting = Instant::now();
        self.connect()?;
        let connected_in = connecting.elapsed();
        let (begin, end, seconds) = self.load()?;
        self.drain();
        self.shared.set_phase(Phase::Stopping);
        let last = self.look()?;
        let closed = last.progress.closed;
        let measured = self.join()?;
        let mut report = self.add_up(measured)?;
        let span = end.at.duration_since(begin.at).as_secs_f64();
        let rate = |count: fn(&Progress) -> u64| {
            count(&end.progress).saturating_sub(count(&begin.progress)) as f64 / span
        };
        report.begun_unix_s = unix_s() - begin.at.elapsed().as_secs_f64();
        report.seconds = span;
        report.connected_in_ms = connected_in.as_secs_f64() * 1e3;
        report.sent_per_s = rate(|progress| progress.sent);
        report.acked_per_s = rate(|progress| progress.acked);
        report.received_per_s = rate(|progress| progress.received);
        report.connections_closed = closed;
        let sent = end.progress.sent.saturating_sub(begin.progress.sent).max(1) as f64;
        let cpu_us = |from: Usage, to: Usage| to.cpu.saturating_sub(from.cpu).as_secs_f64() * 1e6;
        report.own_cpu_us_per_message = cpu_us(begin.own, end.own) / sent;
        if self.plan.server_pid.is_some() {
            let busy = cpu_us(begin.server, end.server);
            report.server_cpu_us_per_message = Some(busy / sent);
            report.server_cpu_cores = Some(busy / 1e6 / span);
            report.server_rss_begin_bytes = Some(begin.server.rss_bytes);
            report.server_rss_max_bytes = Some(self.server_rss_max.max(last.server.rss_bytes));
            report.server_rss_end_bytes = Some(last.server.rss_bytes);
        }
        report.by_second = seconds;
        Ok(report)
    }

    fn connect(&mut self) -> Result<(), Failure> {
        // sockets first, all from here: a failure is told before a thread is started
        for index in 0..self.plan.threads {
            let worker = Worker::new(Arc::clone(&self.plan), Arc::clone(&self.shared), index)?;
            let thread = std::thread::Builder::new()
                .name(format!("load-{index}"))
                .spawn(move || worker.run())
                .map_err(|source| Failure::System { what: "start a thread", source })?;
            self.threads.push(thread);
        }
        let all = u64::from(self.plan.publishers) + u64::from(self.plan.subscribers);
        let until = Instant::now() + self.plan.connect_timeout;
        loop {
            let progress = self.shared.progress();
            if progress.ready == all && progress.closed == 0 {
                return Ok(());
            }
            if Instant::now() > until || progress.closed > 0 || self.any_ended() {
                return Err(Failure::NotReady {
                    up: progress.ready,
                    all,
                    seconds: self.plan.connect_timeout.as_secs(),
                    refused: self.shared.first_refusal(),
                });
            }
            std::thread::sleep(LOOK);
        }
    }

    fn load(&mut self) -> Result<(Look, Look, Vec<Second>), Failure> {
        self.shared.load_from_ns.store(now_ns(), Ordering::Relaxed);
        self.shared.set_phase(Phase::Loading);
        self.wait_until(Instant::now() + self.plan.warmup)?;
        let span = u64::try_from(self.plan.duration.as_nanos()).unwrap_or(u64::MAX);
        let from = now_ns();
        self.shared.measure_until_ns.store(from.saturating_add(span), Ordering::Relaxed);
        self.shared.measure_from_ns.store(from, Ordering::Relaxed);
        let begin = self.look()?;
        let until = begin.at + self.plan.duration;
        let (mut before, mut seconds) = (begin, Vec::new());
        while Instant::now() < until {
            self.wait_until(until.min(before.at + Duration::from_secs(1)))?;
            let now = self.look()?;
            seconds.push(second(&begin, &before, &now));
            before = now;
        }
        self.shared.set_phase(Phase::Draining);
        Ok((begin, before, seconds))
    }

    /// Waits while memory and progress are watched.
    fn wait_until(&mut self, until: Instant) -> Result<(), Failure> {
        let (mut received, mut moved) = (0, Instant::now());
        loop {
            let progress = self.shared.progress();
            if progress.received != received {
                (received, moved) = (progress.received, Instant::now());
            } else if moved.elapsed() > GIVE_UP {
                self.shared.give_up(&progress);
                moved = Instant::now();
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(());
            }
            if self.any_ended() {
                return Ok(()); // told when it is joined
            }
            std::thread::sleep(left.min(5 * LOOK));
            if self.plan.server_pid.is_some() {
                self.server_rss_max = self.server_rss_max.max(self.server()?.rss_bytes);
            }
        }
    }

    /// Waits until everything has arrived, or nothing arrives any more.
    fn drain(&self) {
        let begun = Instant::now();
        let (mut before, mut moved) = (self.shared.progress(), Instant::now());
        loop {
            // until all are quiet, something may have been sent that nobody was told of
            let quiet = self.shared.quiet() == u64::from(self.plan.threads);
            let now = self.shared.progress();
            let acked = !self.plan.qos.is_promised() || now.acked >= now.sent;
            if quiet && acked && now.received >= now.expected {
                return;
            }
            if now != before {
                (before, moved) = (now, Instant::now());
            }
            if moved.elapsed() > self.plan.drain || begun.elapsed() > DRAIN_MAX || self.any_ended()
            {
                return;
            }
            std::thread::sleep(LOOK);
        }
    }

    fn any_ended(&self) -> bool {
        self.threads.iter().any(JoinHandle::is_finished)
    }

    fn server(&self) -> Result<Usage, Failure> {
        self.plan.server_pid.map_or(Ok(Usage::default()), |pid| usage(Some(pid)))
    }

    fn look(&self) -> Result<Look, Failure> {
        let (server, own) = (self.server()?, usage(None)?);
        Ok(Look { at: Instant::now(), progress: self.shared.progress(), server, own })
    }

    fn join(&mut self) -> Result<Vec<Measured>, Failure> {
        let mut all = Vec::new();
        for thread in self.threads.drain(..) {
            let ended = thread.join().map_err(|_| Failure::Worker("it panicked".to_owned()))?;
            all.push(ended?);
        }
        Ok(all)
    }

    /// Counts what is missing now that nothing more can come.
    fn add_up(&self, all: Vec<Measured>) -> Result<Report, Failure> {
        let (mut ack, mut end_to_end) = (latencies()?, latencies()?);
        let mut faults = Faults::default();
        let mut sent_by = vec![0; self.plan.publishers as usize];
        let mut report = Report::default();
        for measured in &all {
            let unfit = |_| Failure::Worker("histograms differ".to_owned());
            ack.add(&measured.ack).map_err(unfit)?;
            end_to_end.add(&measured.end_to_end).map_err(unfit)?;
            faults.add(&measured.faults);
            for publisher in &measured.publishers {
                report.sent += publisher.seq;
                report.unacknowledged += publisher.unacknowledged();
                if let Some(place) = sent_by.get_mut(publisher.n as usize) {
                    *place = publisher.seq;
                }
            }
        }
        for subscriber in all.iter().flat_map(|measured| &measured.subscribers) {
            for (publisher, seq) in subscriber.missing(&self.plan, &sent_by) {
                report.lost += 1;
                if report.lost_first.len() < LOST_SHOWN_MAX {
                    let sent = sent_by.get(publisher as usize).copied().unwrap_or_default();
                    report.lost_first.push(Lost { publisher, seq, sent });
                }
            }
        }
        let progress = self.shared.progress();
        report.received = progress.received;
        report.expected = progress.expected;
        report.acked = progress.acked;
        report.faults = faults.into();
        report.ack = (&ack).into();
        report.end_to_end = (&end_to_end).into();
        Ok(report)
    }
}

fn unix_s() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
}

fn second(begin: &Look, before: &Look, now: &Look) -> Second {
    let span = now.at.duration_since(before.at).as_secs_f64().max(1e-9);
    let rate = |now: u64, before: u64| now.saturating_sub(before) as f64 / span;
    Second {
        at_s: now.at.duration_since(begin.at).as_secs_f64(),
        sent_per_s: rate(now.progress.sent, before.progress.sent),
        acked_per_s: rate(now.progress.acked, before.progress.acked),
        received_per_s: rate(now.progress.received, before.progress.received),
        server_rss_bytes: now.server.rss_bytes,
    }
}
