//! What RFC 9110 and RFC 9112 ask of a server, clause by clause.

use std::sync::Arc;

use bytes::BytesMut;
use proptest::prelude::*;

use super::*;

const DATE: &str = "Sun, 06 Nov 1994 08:49:37 GMT";

struct Door;

impl Gate for Door {
    type Ticket = String;

    fn admit(&mut self, credentials: &Credentials<'_>) -> Result<String, Refusal> {
        match credentials {
            Credentials::Bearer("s3cret") | Credentials::Basic("thermo-1", "s3cret") => {
                Ok("thermo-1".to_owned())
            }
            Credentials::Bearer("off") => Err(Refusal::new(403, "http.disabled", "disabled")),
            _ => Err(Refusal::unauthorized()),
        }
    }
}

struct Bench {
    http: HttpConnection<String>,
    input: BytesMut,
    output: BytesMut,
    received: Vec<Received<String>>,
    flow: HttpFlow,
}

impl Bench {
    fn new() -> Self {
        Self::within(HttpLimits::default())
    }

    fn within(limits: HttpLimits) -> Self {
        Self {
            http: HttpConnection::new(Arc::new(limits), 0),
            input: BytesMut::new(),
            output: BytesMut::new(),
            received: Vec::new(),
            flow: HttpFlow::Open,
        }
    }

    fn feed(&mut self, bytes: &[u8]) {
        self.input.extend_from_slice(bytes);
        let now = (0, DATE);
        let Self { http, input, output, received, .. } = self;
        self.flow = http.on_bytes(input, output, now, &mut Door, received);
    }

    fn take(&mut self, number: u64) {
        self.flow = self.http.answer(number, Answer::Taken, &mut self.output, (0, DATE));
    }

    /// Answers everything, and gives the status lines sent.
    fn statuses(&mut self) -> Vec<u16> {
        for number in self.received.iter().map(|r| r.number).collect::<Vec<_>>() {
            self.take(number);
        }
        let text = String::from_utf8(self.output.split().to_vec()).unwrap();
        let (mut rest, mut statuses) = (text.as_str(), Vec::new());
        while let Some((head, behind)) = rest.split_once("\r\n\r\n") {
            statuses.push(head.strip_prefix("HTTP/1.1 ").unwrap()[..3].parse().unwrap());
            let length = head
                .split("Content-Length: ")
                .nth(1)
                .map_or(0, |after| after.lines().next().unwrap().parse().unwrap());
            // an answer to HEAD has none, and stands last in these tests
            rest = behind.get(length..).unwrap_or("");
        }
        statuses
    }
}

fn post(body: &str) -> String {
    format!(
        "POST /device/v1/telemetry HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer s3cret\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// The answer to one request whose head is `lines` behind a good request line and Host.
fn answer_to(lines: &str) -> (Vec<u16>, HttpFlow) {
    let mut bench = Bench::new();
    let head = "POST /device/v1/telemetry HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer s3cret\r\n\
                Content-Type: application/json\r\n";
    bench.feed(format!("{head}{lines}\r\n").as_bytes());
    (bench.statuses(), bench.flow)
}

#[test]
fn a_request_is_answered_once_its_caller_says_so() {
    let mut bench = Bench::new();
    bench.feed(post("{}").as_bytes());
    assert!(bench.output.is_empty() && bench.http.is_waiting());
    assert_eq!(
        (&bench.received[0].body[..], bench.received[0].content),
        (&b"{}"[..], Content::Json)
    );
    bench.take(0);
    let expected = format!("HTTP/1.1 204 No Content\r\nDate: {DATE}\r\n\r\n");
    assert_eq!(&bench.output[..], expected.as_bytes(), "RFC 9110 section 8.6: no Content-Length");
    assert_eq!(bench.flow, HttpFlow::Open);
}

#[test]
fn pipelined_requests_are_answered_in_their_order() {
    // RFC 9112 section 9.3.2
    let mut bench = Bench::new();
    let bad = "GET /nowhere HTTP/1.1\r\nHost: x\r\n\r\n";
    bench.feed([post("[1]"), bad.to_owned(), post("[2]")].concat().as_bytes());
    assert!(bench.output.is_empty(), "the 404 waits for the answer before it");
    bench.take(2);
    assert!(bench.output.is_empty());
    assert_eq!(bench.received.remove(0).number, 0);
    bench.take(0);
    assert_eq!(bench.statuses(), [204, 404, 204]);
}

#[test]
fn a_pipeline_is_paused_at_its_limit_and_goes_on() {
    let mut bench = Bench::within(HttpLimits { pipeline_len_max: 2, ..HttpLimits::default() });
    bench.feed(post("{}").repeat(3).as_bytes());
    assert_eq!((bench.flow, bench.received.len()), (HttpFlow::Paused, 2));
    assert_eq!(bench.statuses(), [204, 204]);
    assert_eq!(bench.flow, HttpFlow::Open);
    bench.received.clear();
    bench.feed(b"");
    assert_eq!(bench.received[0].number, 2);
}

#[test]
fn whoever_shows_no_secret_is_told_how() {
    let mut bench = Bench::new();
    let request = post("{}").replace("Bearer s3cret", "Bearer wrong");
    bench.feed([request.as_bytes(), post("{}").as_bytes()].concat().as_slice());
    let text = String::from_utf8(bench.output.to_vec()).unwrap();
    assert!(text.starts_with("HTTP/1.1 401 Unauthorized\r\n"), "{text}");
    assert!(text.contains("WWW-Authenticate: Bearer"), "RFC 9110 section 11.6.1");
    assert!(text.contains("Content-Type: application/problem+json"), "RFC 9457");
    let document: serde_json::Value =
        serde_json::from_str(text.split_once("\r\n\r\n").unwrap().1).unwrap();
    assert_eq!(document["type"], "urn:fluxhybrid:error:http.unauthorized");
    assert_eq!(document["problems"][0]["code"], "http.unauthorized");
    assert_eq!(bench.statuses(), [401, 204], "the content was read over");
    assert_eq!(answer_to("Authorization: Bearer s3cret\r\n").0, [400], "it stands twice");
    let mut bench = Bench::new();
    // thermo-1:s3cret
    bench.feed(post("{}").replace("Bearer s3cret", "basic dGhlcm1vLTE6czNjcmV0").as_bytes());
    assert_eq!(bench.statuses(), [204], "RFC 7617");
    let mut bench = Bench::new();
    bench.feed(post("{}").replace("s3cret", "off").as_bytes());
    assert_eq!(bench.statuses(), [403]);
}

#[test]
fn content_in_chunks_is_put_together() {
    // RFC 9112 section 7.1
    let body = "5;ext=1\r\n{\"a\":\r\n2\r\n1}\r\n0\r\nTrailer: ignored\r\n\r\n";
    let head = post("").replace("Content-Length: 0", "Transfer-Encoding: Chunked");
    let whole = [head, body.to_owned(), post("{}")].concat();
    for at in 0..whole.len() {
        let mut bench = Bench::new();
        bench.feed(&whole.as_bytes()[..at]);
        bench.feed(&whole.as_bytes()[at..]);
        assert_eq!(&bench.received[0].body[..], b"{\"a\":1}", "cut at {at}");
        assert_eq!(bench.received.len(), 2);
    }
}

#[test]
fn what_looks_like_smuggling_is_refused_and_the_connection_ends() {
    for (lines, status) in [
        // RFC 9112 section 6.3, 3
        ("Content-Length: 2\r\nTransfer-Encoding: chunked\r\n", 400),
        // section 6.3, 5
        ("Content-Length: 2\r\nContent-Length: 3\r\n", 400),
        ("Content-Length: 2, 3\r\n", 400),
        ("Content-Length: -1\r\n", 400),
        ("Content-Length: +2\r\n", 400),
        ("Content-Length: 99999999999999999999\r\n", 400),
        ("Content-Length:\r\n", 400),
        // section 6.1
        ("Transfer-Encoding: gzip, chunked\r\n", 501),
        ("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", 400),
        // section 3.2
        ("Host: y\r\n", 400),
        // section 5.1 and 5.2
        ("X : 1\r\n", 400),
        ("X: 1\r\n folded\r\n", 400),
        // RFC 9110 section 10.1.1
        ("Expect: tea\r\n", 417),
    ] {
        assert_eq!(answer_to(lines), (vec![status], HttpFlow::Close), "{lines:?}");
    }
    for chunks in ["x\r\n", "-1\r\n", "fffffffffffffffff\r\n", "1\r\nab\r\n", &"1".repeat(300)] {
        let mut bench = Bench::new();
        let head = post("").replace("Content-Length: 0", "Transfer-Encoding: chunked");
        bench.feed(format!("{head}{chunks}").as_bytes());
        assert_eq!((bench.statuses(), bench.flow), (vec![400], HttpFlow::Close), "{chunks:?}");
    }
}

#[test]
fn equal_lengths_may_stand_twice() {
    // RFC 9112 section 6.3, 5
    let mut bench = Bench::new();
    bench.feed(post("{}").replace("Content-Length: 2", "Content-Length: 2, 2").as_bytes());
    assert_eq!(bench.statuses(), [204]);
}

#[test]
fn what_is_no_http_is_told_so_at_once() {
    let mut bench = Bench::new();
    bench.feed(b"\x16\x03\x01\x02\x00");
    assert_eq!((bench.statuses(), bench.flow), (vec![400], HttpFlow::Close));
    for (request, status) in [
        ("GET / HTTP/2.0\r\nHost: x\r\n\r\n", 505),
        ("GET / HTTP/1.1\r\n\r\n", 400),
        ("GET\r\n\r\n", 400),
        ("GET example.com:80 HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    ] {
        let mut bench = Bench::new();
        bench.feed(request.as_bytes());
        assert_eq!(bench.statuses(), [status], "{request:?}");
    }
}

#[test]
fn methods_paths_and_media_types_have_their_answers() {
    let request = |from: &str, to: &str| {
        let mut bench = Bench::new();
        bench.feed(post("{}").replace(from, to).as_bytes());
        let text = String::from_utf8(bench.output.to_vec()).unwrap();
        (bench.statuses()[0], text)
    };
    assert_eq!(request("POST", "PUT").0, 405);
    assert!(request("POST", "PUT").1.contains("Allow: POST"), "RFC 9110 section 15.5.6");
    assert_eq!(request("/telemetry", "/commands?wait_s=5").0, 404);
    assert_eq!(request("application/json", "application/xml").0, 415);
    assert!(request("application/json", "text/html").1.contains("Accept: application/json"));
    assert_eq!(request("application/json", "text/plain; charset=latin1").0, 415);
    assert_eq!(request("application/json", "Application/JSON; charset=\"UTF-8\"").0, 204);
    assert_eq!(request("Host: x", "Host: x\r\nContent-Encoding: gzip").0, 415);
    // RFC 9112 section 3.2.2
    assert_eq!(request("POST /", "POST http://plant.example/").0, 204);
    let (status, text) = request("POST /device/v1/telemetry", "HEAD /");
    assert!(status == 404 && text.ends_with("\r\n\r\n"), "RFC 9110 section 9.3.2: {text}");
    assert_eq!(request("telemetry HTTP", "telemetry?precision=h HTTP").0, 204, "JSON has none");
}

#[test]
fn a_sender_that_waits_is_asked_to_go_on_or_turned_away() {
    // RFC 9110 section 10.1.1
    let mut bench = Bench::new();
    let request = post("{}").replace("Host: x", "Host: x\r\nExpect: 100-Continue");
    let (head, body) = request.split_at(request.len() - 2);
    bench.feed(head.as_bytes());
    assert_eq!(&bench.output[..], b"HTTP/1.1 100 Continue\r\n\r\n");
    bench.output.clear();
    bench.feed(body.as_bytes());
    assert_eq!(bench.statuses(), [204]);
    let mut bench = Bench::new();
    bench.feed(head.replace("s3cret", "wrong").as_bytes());
    assert_eq!((bench.statuses(), bench.flow), (vec![401], HttpFlow::Close));
}

#[test]
fn http_1_0_ends_unless_it_asks_to_go_on() {
    // RFC 9112 section 9.3
    let mut bench = Bench::new();
    let old = post("{}").replace("HTTP/1.1", "HTTP/1.0").replace("Host: x\r\n", "");
    bench.feed(old.as_bytes());
    assert_eq!((bench.statuses(), bench.flow), (vec![204], HttpFlow::Close));
    let mut bench = Bench::new();
    let kept = old.replace("Content-Type", "Connection: Keep-Alive\r\nContent-Type");
    bench.feed(kept.as_bytes());
    bench.take(0);
    let text = String::from_utf8(bench.output.to_vec()).unwrap();
    assert!(text.contains("Connection: keep-alive"), "{text}");
    assert_eq!(bench.flow, HttpFlow::Open);
    let mut bench = Bench::new();
    bench.feed(post("{}").replace("Host: x", "Host: x\r\nConnection: close").as_bytes());
    bench.feed(post("{}").as_bytes());
    bench.take(0);
    let text = String::from_utf8(bench.output.to_vec()).unwrap();
    assert!(text.contains("Connection: close"), "section 9.6: {text}");
    assert_eq!((bench.received.len(), bench.flow), (1, HttpFlow::Close));
}

#[test]
fn what_is_too_large_is_refused() {
    let limits = HttpLimits { head_bytes_max: 300, body_bytes_max: 10, ..HttpLimits::default() };
    let mut bench = Bench::within(limits.clone());
    bench.feed(post("{\"a\": 1234567}").as_bytes());
    bench.feed(post("{}").as_bytes());
    assert_eq!(bench.statuses(), [413, 204], "a little too much is read over");
    let mut bench = Bench::within(limits.clone());
    bench.feed(post("").replace("Length: 0", "Length: 999999").as_bytes());
    assert_eq!((bench.statuses(), bench.flow), (vec![413], HttpFlow::Close));
    let mut bench = Bench::within(limits.clone());
    let chunked = post("").replace("Content-Length: 0", "Transfer-Encoding: chunked");
    bench.feed(format!("{chunked}b\r\n0123456789a").as_bytes());
    assert_eq!((bench.statuses(), bench.flow), (vec![413], HttpFlow::Close));
    let mut bench = Bench::within(limits);
    bench.feed(format!("GET /{} HTTP/1.1\r\n", "x".repeat(400)).as_bytes());
    assert_eq!((bench.statuses(), bench.flow), (vec![431], HttpFlow::Close));
    let mut bench = Bench::new();
    let fields = "A: b\r\n".repeat(65);
    bench.feed(format!("GET / HTTP/1.1\r\nHost: x\r\n{fields}\r\n").as_bytes());
    assert_eq!((bench.statuses(), bench.flow), (vec![431], HttpFlow::Close));
}

#[test]
fn a_slow_sender_is_told_and_an_idle_one_is_left() {
    let tick = |bench: &mut Bench, now_ms: u64| {
        bench.flow = bench.http.on_tick(&mut bench.output, (now_ms, DATE));
    };
    let mut bench = Bench::new();
    bench.feed(b"POST /device");
    tick(&mut bench, 9_999);
    assert_eq!(bench.flow, HttpFlow::Open);
    tick(&mut bench, 10_000);
    assert_eq!((bench.statuses(), bench.flow), (vec![408], HttpFlow::Close));
    let mut bench = Bench::new();
    bench.feed(&post("{\"a\": 1}").as_bytes()[..post("{}").len()]);
    tick(&mut bench, 30_000);
    assert_eq!((bench.statuses(), bench.flow), (vec![408], HttpFlow::Close), "a slow body");
    let mut bench = Bench::new();
    bench.feed(post("{}").as_bytes());
    tick(&mut bench, 75_000);
    assert_eq!(bench.flow, HttpFlow::Open, "it waits for us");
    assert_eq!(bench.statuses(), [204]);
    tick(&mut bench, 150_000);
    assert_eq!((bench.statuses(), bench.flow), (vec![], HttpFlow::Close), "idle: no word");
}

#[test]
fn a_stop_waits_for_what_was_taken_and_no_more() {
    let mut bench = Bench::new();
    bench.feed(post("{}").as_bytes());
    bench.feed(&post("{}").as_bytes()[..60]);
    assert_eq!(bench.http.finish(), HttpFlow::Open);
    bench.take(0);
    assert_eq!(bench.flow, HttpFlow::Close);
    let mut bench = Bench::new();
    let request = post("{}");
    bench.feed(&request.as_bytes()[..request.len() - 1]);
    assert_eq!(bench.http.finish(), HttpFlow::Close);
}

proptest! {
    #[test]
    fn any_cutting_gives_the_same_requests_and_nothing_panics(
        garbage in prop::collection::vec(any::<u8>(), 0..80),
        where_to in 0_usize..600,
        cuts in prop::collection::vec(0_usize..700, 0..12),
    ) {
        let chunked = post("").replace("Content-Length: 0", "Transfer-Encoding: chunked");
        let mut stream = [post("{\"a\": 1}"), format!("{chunked}2\r\n{{}}\r\n0\r\n\r\n"), post("[]")]
            .concat().into_bytes();
        let at = where_to.min(stream.len());
        stream.splice(at..at, garbage);
        let run = |pieces: &[&[u8]]| {
            let mut bench = Bench::new();
            pieces.iter().for_each(|piece| bench.feed(piece));
            let bodies: Vec<Vec<u8>> = bench.received.iter().map(|r| r.body.to_vec()).collect();
            (bodies, bench.statuses(), bench.flow == HttpFlow::Close)
        };
        let mut cuts: Vec<usize> = cuts.into_iter().map(|at| at.min(stream.len())).collect();
        cuts.extend([0, stream.len()]);
        cuts.sort_unstable();
        let pieces: Vec<&[u8]> = cuts.windows(2).map(|pair| &stream[pair[0]..pair[1]]).collect();
        prop_assert_eq!(run(&pieces), run(&[&stream]));
    }
}
