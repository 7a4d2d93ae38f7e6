use serde_json::{Value, json};

use super::*;
use crate::identify::tests::{Site, listener};
use crate::listener::HeadEntry;
use crate::ports::NoScanner;

struct Bench {
    site: Site,
    counters: Counters,
    listener: Arc<ListenerSpec>,
    events: Vec<LinkEvent>,
    input: BytesMut,
    output: BytesMut,
}

impl Bench {
    fn new(link: Value, identify: Value) -> Self {
        Self {
            site: Site::new(link),
            counters: Counters::default(),
            listener: Arc::new(listener(identify)),
            events: Vec::new(),
            input: BytesMut::new(),
            output: BytesMut::new(),
        }
    }

    fn open_from(&mut self, peer: &str) -> Result<Link, LinkError> {
        let peer = format!("{peer}:5000").parse().unwrap();
        let Self { site, counters, listener, events, .. } = self;
        let ports = LinkPorts { directory: site, scanner: &NoScanner, counters };
        Link::open(Arc::clone(listener), peer, 1_000, &ports, events)
    }

    fn open(&mut self) -> Link {
        self.open_from("127.0.0.1").unwrap()
    }

    fn feed(&mut self, link: &mut Link, bytes: &[u8]) -> Result<(), LinkError> {
        self.input.extend_from_slice(bytes);
        let Self { site, counters, events, input, output, .. } = self;
        let ports = LinkPorts { directory: site, scanner: &NoScanner, counters };
        link.on_bytes(input, output, 2_000, &ports, events)
    }

    fn tick(&mut self, link: &mut Link, now_ms: u64) -> Result<(), LinkError> {
        let Self { site, counters, events, input, output, .. } = self;
        let ports = LinkPorts { directory: site, scanner: &NoScanner, counters };
        link.on_tick(input, output, now_ms, &ports, events)
    }

    /// What came out, written short.
    fn seen(&mut self) -> Vec<String> {
        let text = |event: LinkEvent| match event {
            LinkEvent::Registered(device) => format!("{} is here", device.key),
            LinkEvent::Frame(device, frame) => {
                format!("{}: {}", device.key, String::from_utf8_lossy(&frame))
            }
        };
        self.events.drain(..).map(text).collect()
    }
}

fn lines() -> Value {
    json!({"framing": {"type": "delimiter", "delimiter": "\n", "frame_bytes_max": 40},
           "heartbeats": [{"exact": "hex:fe", "answer": "hex:ff"}, {"prefix": "HB"}]})
}

fn believed() -> Value {
    json!({"by": "registration", "prefix": "REG:", "allow": ["127.0.0.0/8"], "answer": "OK\n"})
}

#[test]
fn a_device_registers_and_then_speaks_however_the_bytes_are_cut() {
    let stream = b"REG:dtu-1\nHB 1\nfirst\n\xfe\xfesecond\nREG:dtu-1\nthird\nrest";
    for at in 0..stream.len() {
        let mut bench = Bench::new(lines(), believed());
        let mut link = bench.open();
        bench.feed(&mut link, &stream[..at]).unwrap();
        bench.feed(&mut link, &stream[at..]).unwrap();
        assert_eq!(
            bench.seen(),
            ["dtu-1 is here", "dtu-1: first", "dtu-1: second", "dtu-1: third"],
            "cut at {at}"
        );
        assert_eq!(&bench.output[..], b"OK\n\xff\xffOK\n", "cut at {at}");
        link.close(bench.input.len(), &bench.counters);
        let counts: std::collections::HashMap<_, _> = bench.counters.read().collect();
        assert_eq!((counts["heartbeats"], counts["frames"], counts["frames_cut_off"]), (3, 3, 1));
    }
}

#[test]
fn a_device_that_reconnects_amid_a_frame_begins_anew() {
    let mut bench = Bench::new(lines(), believed());
    let mut old = bench.open();
    bench.feed(&mut old, b"REG:dtu-1\nhalf a fr").unwrap();
    old.close(bench.input.len(), &bench.counters);
    bench.input.clear();
    let mut new = bench.open();
    // the rest of what it was sending comes first
    assert_eq!(bench.feed(&mut new, b"ame\n"), Err(Stranger::NoWord.into()));
    let mut next = bench.open();
    bench.feed(&mut next, b"REG:dtu-1\nwhole\n").unwrap();
    assert_eq!(bench.seen(), ["dtu-1 is here", "dtu-1 is here", "dtu-1: whole"]);
}

#[test]
fn nobody_registers_as_somebody_else() {
    let mut bench = Bench::new(lines(), json!({"by": "registration", "separator": ","}));
    let mut link = bench.open();
    assert_eq!(bench.feed(&mut link, b"dtu-1,2-utd\n"), Err(Stranger::NotEntitled.into()));
    let mut bench = Bench::new(lines(), believed());
    let mut link = bench.open_from("192.0.2.1").unwrap();
    assert_eq!(bench.feed(&mut link, b"REG:dtu-1\n"), Err(Stranger::NotEntitled.into()));
    let mut link = bench.open();
    bench.input.clear();
    bench.feed(&mut link, b"REG:dtu-1\n").unwrap();
    assert_eq!(bench.feed(&mut link, b"REG:dtu-2\n"), Err(LinkError::OtherDevice));
    assert_eq!(bench.seen(), ["dtu-1 is here"]);
    assert_eq!(bench.counters.strangers_not_entitled.load(std::sync::atomic::Ordering::Relaxed), 1);
}

#[test]
fn each_frame_may_name_its_device() {
    let identify = json!({"by": "field", "offset": 0, "length": 5, "allow": ["127.0.0.1"]});
    let mut bench = Bench::new(lines(), identify);
    let mut link = bench.open();
    assert!(link.is_open() && link.device().is_none());
    bench.feed(&mut link, b"dtu-1 a\ndtu-2 b\ndtu-9 c\nx\n").unwrap();
    assert_eq!(bench.seen(), ["dtu-1: dtu-1 a", "dtu-2: dtu-2 b"]);
}

#[test]
fn an_address_is_a_device() {
    let mut bench = Bench::new(lines(), json!({"by": "address"}));
    let mut link = bench.open_from("127.0.0.9").unwrap();
    bench.feed(&mut link, b"hello\n").unwrap();
    assert_eq!(bench.seen(), ["dtu-1 is here", "dtu-1: hello"]);
    let refused = bench.open_from("127.0.0.8").map(|_| ());
    assert_eq!(refused, Err(Stranger::Unknown.into()));
}

#[test]
fn the_head_chooses_the_product_and_the_longest_prefix_counts() {
    let mut bench = Bench::new(lines(), believed());
    let mut spec = (*bench.listener).clone();
    spec.product = None;
    let head = |prefix: &str, product: &str| HeadEntry {
        prefix: crate::Pattern::parse(prefix).unwrap(),
        product: product.to_owned(),
    };
    spec.heads = vec![head("REG:", "dtu"), head("RE", "unknown")];
    bench.listener = Arc::new(spec);
    let mut link = bench.open();
    for byte in b"REG:dtu-2\nx\n" {
        bench.feed(&mut link, &[*byte]).unwrap();
    }
    assert_eq!(bench.seen(), ["dtu-2 is here", "dtu-2: x"]);
    let mut link = bench.open();
    assert_eq!(bench.feed(&mut link, b"REX"), Err(LinkError::UnknownProduct));
    bench.input.clear();
    let mut link = bench.open();
    assert_eq!(bench.feed(&mut link, b"\x16\x03\x01"), Err(LinkError::UnknownHead));
}

#[test]
fn who_says_nothing_is_closed_in_time() {
    let mut bench = Bench::new(lines(), believed());
    let mut link = bench.open();
    assert_eq!(link.deadline_ms(), 11_000);
    assert_eq!(bench.tick(&mut link, 10_999), Ok(()));
    assert_eq!(bench.tick(&mut link, 11_000), Err(LinkError::RegistrationTimeout));
    let mut link = bench.open();
    bench.feed(&mut link, b"REG:dtu-1\n").unwrap();
    assert_eq!(link.deadline_ms(), 602_000);
    link.excuse(5_000);
    assert_eq!(bench.tick(&mut link, 602_000), Ok(()));
    assert_eq!(bench.tick(&mut link, 605_000), Err(LinkError::Idle(600_000)));
}

#[test]
fn silence_ends_frames_and_registrations() {
    let link = json!({"framing": {"type": "idle", "gap_ms": 20},
                      "heartbeats": [{"exact": "hex:01"}]});
    let mut bench = Bench::new(link, json!({"by": "registration", "allow": ["127.0.0.1"]}));
    let mut link = bench.open();
    assert_eq!(link.deadline_ms(), 11_000);
    bench.feed(&mut link, b"dtu").unwrap();
    bench.feed(&mut link, b"-1").unwrap();
    assert_eq!(link.deadline_ms(), 2_020, "a registration is ended by silence too");
    bench.tick(&mut link, 2_020).unwrap();
    bench.feed(&mut link, b"\x01\x02").unwrap();
    assert_eq!(link.deadline_ms(), 2_020);
    bench.tick(&mut link, 2_020).unwrap();
    bench.feed(&mut link, b"\x01").unwrap();
    bench.tick(&mut link, 2_020).unwrap();
    assert_eq!(bench.seen(), ["dtu-1 is here", "dtu-1: \u{1}\u{2}"]);
}

#[test]
fn a_source_that_sends_too_much_is_held_to_its_rate() {
    let mut bench = Bench::new(lines(), believed());
    let spec = ListenerSpec { frames_per_s_max: 2, ..(*bench.listener).clone() };
    bench.listener = Arc::new(spec);
    let mut link = bench.open();
    bench.feed(&mut link, b"REG:dtu-1\n1\n2\n3\n4\n").unwrap();
    assert_eq!(bench.seen(), ["dtu-1 is here", "dtu-1: 1", "dtu-1: 2"]);
}
