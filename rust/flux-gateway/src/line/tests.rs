use std::sync::atomic::Ordering::Relaxed;

use flux_types::{DeviceId, Key, ProductId};
use serde_json::json;

use super::*;

/// `ask <device> <command>`; the answer is `<device> <command> <words>`, or `! <device>`.
struct Words;

impl LineCodec for Words {
    fn encode(&self, _: TenantId, device: DeviceId, c: &Value) -> Result<Vec<Frame>, CodecError> {
        let name = c["command"].as_str().unwrap();
        if name == "unknown" {
            return Err(CodecError::new("unknown_command", "no such command"));
        }
        let frame = |part: &str| Bytes::from(format!("ask {} {part};", short(device)));
        Ok(name.split('+').map(frame).collect())
    }

    fn check_reply(&self, device: DeviceId, request: &[u8], frame: &[u8]) -> Reply {
        let frame = std::str::from_utf8(frame).unwrap();
        let request = std::str::from_utf8(request).unwrap();
        let asked = request.trim_start_matches("ask ").trim_end_matches(';');
        if frame == format!("! {}", short(device)) {
            return Reply::Failed("exception".to_owned(), "illegal address".to_owned());
        }
        match frame.strip_prefix(asked) {
            Some(words) => Reply::Ok(json!(words.trim())),
            None => Reply::NotMine,
        }
    }
}

fn short(device: DeviceId) -> String {
    device.to_string()[..4].to_owned()
}

struct Bench {
    line: Line,
    counters: Counters,
    output: BytesMut,
    events: Vec<LineEvent>,
    a: LinkDevice,
    b: LinkDevice,
}

fn device(key: &str) -> LinkDevice {
    LinkDevice { id: DeviceId::random(), key: Key::new(key).unwrap(), product: ProductId::random() }
}

impl Bench {
    fn new(half_duplex: bool, gap_ms: u64) -> Self {
        let in_flight_max = if half_duplex { 1 } else { 4 };
        let settings = LineSettings { in_flight_max, half_duplex, gap_ms };
        Self {
            line: Line::new(TenantId::DEFAULT, settings),
            counters: Counters::default(),
            output: BytesMut::new(),
            events: Vec::new(),
            a: device("a"),
            b: device("b"),
        }
    }

    fn command(&mut self, device: &LinkDevice, name: &str, now_ms: u64) {
        let what = What::Command(json!({"id": name, "command": name, "params": {}}));
        let request =
            Request { device: device.clone(), what, timeout_ms: 100, retries: 1, due_ms: now_ms };
        self.line.command(request, &self.counters, &mut self.events);
        self.advance(now_ms);
    }

    fn poll(&mut self, device: &LinkDevice, name: &str, now_ms: u64) {
        let poll = PollSpec {
            name: name.into(),
            command: json!({"command": name}),
            every_ms: 1_000,
            timeout_ms: 100,
            retries: 0,
        };
        let what = What::Poll(Arc::new(poll));
        let device = device.clone();
        let request = Request { device, what, timeout_ms: 100, retries: 0, due_ms: now_ms };
        self.line.poll(request, &self.counters);
        self.advance(now_ms);
    }

    fn advance(&mut self, now_ms: u64) {
        let ports = LinePorts { codec: &Words, counters: &self.counters };
        self.line.advance(now_ms, &ports, &mut self.output, &mut self.events);
    }

    fn hear(&mut self, frame: &str, now_ms: u64) {
        let frame = Bytes::from(frame.to_owned());
        let ports = LinePorts { codec: &Words, counters: &self.counters };
        self.line.on_frame(frame, now_ms, &ports, &mut self.output, &mut self.events);
    }

    fn sent(&mut self) -> String {
        String::from_utf8(self.output.split().to_vec()).unwrap()
    }

    /// What came out, written short.
    fn seen(&mut self) -> Vec<String> {
        let text = |event: LineEvent| match event {
            LineEvent::Polled { device, frame, .. } => {
                format!("{} polled {}", device.key, String::from_utf8_lossy(&frame).len())
            }
            LineEvent::Finished { device, command, outcome } => match outcome {
                Ok(value) => format!("{} {}: {value}", device.key, command["id"]),
                Err(error) => format!("{} {} failed: {}", device.key, command["id"], error.code),
            },
            LineEvent::Unasked(frame) => format!("unasked {}", String::from_utf8_lossy(&frame)),
        };
        self.events.drain(..).map(text).collect()
    }
}

#[test]
fn one_request_at_a_time_and_commands_before_polls() {
    let mut bench = Bench::new(true, 0);
    let (a, b) = (bench.a.clone(), bench.b.clone());
    bench.poll(&a, "p1", 0);
    bench.poll(&b, "p2", 0);
    bench.command(&b, "close", 0);
    assert_eq!(bench.sent(), format!("ask {} p1;", short(a.id)));
    bench.hear(&format!("{} p1 5", short(a.id)), 10);
    assert_eq!(bench.sent(), format!("ask {} close;", short(b.id)));
    bench.hear(&format!("{} close done", short(b.id)), 20);
    assert_eq!(bench.sent(), format!("ask {} p2;", short(b.id)));
    assert_eq!(bench.seen(), ["a polled 9", "b \"close\": \"done\""]);
}

#[test]
fn a_slave_that_never_answers_is_asked_again_and_given_up() {
    let mut bench = Bench::new(true, 0);
    let (a, b) = (bench.a.clone(), bench.b.clone());
    bench.command(&a, "open", 0);
    bench.command(&b, "next", 0);
    let open = format!("ask {} open;", short(a.id));
    assert_eq!(bench.sent(), open);
    assert_eq!(bench.line.deadline_ms(), Some(100));
    bench.advance(99);
    assert_eq!(bench.sent(), "");
    bench.advance(100);
    assert_eq!(bench.sent(), open);
    bench.advance(200);
    assert_eq!(bench.seen(), ["a \"open\" failed: timeout"]);
    assert_eq!(bench.sent(), format!("ask {} next;", short(b.id)));
    assert_eq!(bench.counters.requests_timed_out.load(Relaxed), 2);
    assert_eq!(bench.counters.requests_given_up.load(Relaxed), 1);
}

#[test]
fn an_answer_that_is_late_or_another_s_is_nobody_s() {
    let mut bench = Bench::new(true, 30);
    let (a, b) = (bench.a.clone(), bench.b.clone());
    bench.poll(&a, "p", 0);
    bench.poll(&b, "p", 0);
    bench.advance(100);
    bench.sent();
    // silence before the next, so that a late answer falls into it
    bench.hear(&format!("{} p late", short(a.id)), 110);
    assert_eq!(bench.counters.frames_unasked.load(Relaxed), 1);
    assert_eq!(bench.line.deadline_ms(), Some(130));
    bench.advance(130);
    assert_eq!(bench.sent(), format!("ask {} p;", short(b.id)));
    bench.hear(&format!("{} p later still", short(a.id)), 140);
    assert_eq!(bench.counters.replies_not_mine.load(Relaxed), 1);
    bench.hear(&format!("{} p 7", short(b.id)), 150);
    assert_eq!(bench.seen(), ["b polled 8"]);
}

#[test]
fn an_exception_ends_a_request_without_another_try() {
    let mut bench = Bench::new(true, 0);
    let a = bench.a.clone();
    bench.command(&a, "write", 0);
    bench.hear(&format!("! {}", short(a.id)), 5);
    bench.command(&a, "unknown", 6);
    assert_eq!(
        bench.seen(),
        ["a \"write\" failed: exception", "a \"unknown\" failed: unknown_command"]
    );
    assert!(bench.line.is_idle());
}

#[test]
fn a_command_of_several_frames_waits_for_each_answer() {
    let mut bench = Bench::new(true, 0);
    let a = bench.a.clone();
    bench.command(&a, "one+two", 0);
    assert_eq!(bench.sent(), format!("ask {} one;", short(a.id)));
    bench.hear(&format!("{} one 1", short(a.id)), 10);
    assert_eq!(bench.sent(), format!("ask {} two;", short(a.id)));
    bench.hear(&format!("{} two 2", short(a.id)), 20);
    assert_eq!(bench.seen(), ["a \"one+two\": [\"1\",\"2\"]"]);
}

#[test]
fn several_are_under_way_where_the_line_carries_both_ways() {
    let mut bench = Bench::new(false, 0);
    let (a, b) = (bench.a.clone(), bench.b.clone());
    bench.command(&a, "x", 0);
    bench.command(&b, "y", 0);
    assert_eq!(bench.sent(), format!("ask {} x;ask {} y;", short(a.id), short(b.id)));
    bench.hear(&format!("{} y 2", short(b.id)), 5);
    bench.hear("by itself", 6);
    bench.hear(&format!("{} x 1", short(a.id)), 7);
    assert_eq!(bench.seen(), ["b \"y\": \"2\"", "unasked by itself", "a \"x\": \"1\""]);
}

#[test]
fn a_poll_that_still_waits_is_not_asked_twice() {
    let mut bench = Bench::new(true, 0);
    let (a, b) = (bench.a.clone(), bench.b.clone());
    bench.poll(&a, "p", 0);
    bench.poll(&a, "p", 50);
    bench.poll(&b, "p", 50);
    bench.poll(&b, "p", 60);
    assert_eq!(bench.counters.polls_skipped.load(Relaxed), 2);
}

#[test]
fn a_full_queue_refuses() {
    let mut bench = Bench::new(true, 0);
    let a = bench.a.clone();
    for _ in 0..=LINE_QUEUE_LEN_MAX {
        bench.command(&a, "c", 0);
    }
    assert!(bench.seen().is_empty());
    bench.command(&a, "c", 0);
    assert_eq!(bench.seen(), ["a \"c\" failed: busy"]);
}

#[test]
fn a_line_that_breaks_tells_whoever_waits() {
    let mut bench = Bench::new(true, 0);
    let a = bench.a.clone();
    bench.command(&a, "c1", 0);
    bench.command(&a, "c2", 0);
    bench.poll(&a, "p", 0);
    bench.line.on_break(&mut bench.events);
    assert_eq!(bench.seen(), ["a \"c1\" failed: broken", "a \"c2\" failed: unsent"]);
    assert!(bench.line.is_idle() && bench.line.deadline_ms().is_none());
}

#[test]
fn lateness_is_from_the_plan_to_the_wire() {
    let mut bench = Bench::new(true, 0);
    let (a, b) = (bench.a.clone(), bench.b.clone());
    bench.poll(&a, "p", 0);
    bench.poll(&b, "p", 0);
    bench.hear(&format!("{} p 1", short(a.id)), 40);
    let buckets = bench.counters.lateness.buckets();
    assert_eq!((buckets[0], buckets[5]), (1, 1));
}
