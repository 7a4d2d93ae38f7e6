//! What one peer, or many, cannot do to a server.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod modes;

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use flux_net::{CloseReason, Limits, NetError};

use modes::{PATIENCE, Seen, read_exactly, read_to_end, run};

/// Reads until the connection is over, however it ends.
fn read_all(stream: &mut TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut chunk = [0; 65_536];
    loop {
        match stream.read(&mut chunk) {
            Ok(0) => return bytes,
            Ok(len) => bytes.extend_from_slice(&chunk[..len]),
            Err(error) if error.kind() == ErrorKind::ConnectionReset => return bytes,
            Err(error) => panic!("the connection was not closed: {error}"),
        }
    }
}

#[test]
fn a_slow_reader_holds_no_more_than_the_high_water_mark() {
    let limits = Limits { output_bytes_high: 20_000, ..Limits::default() };
    let running = run(1, limits);
    const TOTAL: u64 = 30_000_000;
    running.shared.flood_left.store(TOTAL, Ordering::SeqCst);
    let mut stream = running.connect_as(b"f");
    // It has taken what the sockets hold, and the protocol is not asked for more.
    running.wait_counts("output waits", |c| c.buffered_bytes > 0);
    let mut most = 0;
    let mut got = 0;
    let mut chunk = vec![0; 10_000];
    while got < TOTAL {
        most = most.max(running.counts().buffered_bytes);
        let len = stream.read(&mut chunk).unwrap();
        assert!(len > 0);
        got += len as u64;
    }
    assert!(most <= 20_000, "{most} bytes waited");
    assert_eq!(running.shared.flood_left.load(Ordering::SeqCst), 0);
}

#[test]
fn a_peer_that_does_not_take_its_output_is_not_read() {
    let running = run(1, Limits::default());
    let stream = running.connect_as(b"e");
    let mut writer = stream.try_clone().unwrap();
    writer.set_nonblocking(true).unwrap();
    let mut sent = 0_usize;
    let until = Instant::now() + PATIENCE;
    // Echoes that nobody takes fill the way back; then nothing is read, and the way there fills.
    let mut refused = 0;
    while refused < 200 {
        match writer.write(&[b'.'; 65_536]) {
            Ok(len) => {
                sent += len;
                refused = 0;
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                refused += 1;
                std::thread::yield_now();
            }
            Err(error) => panic!("{error}"),
        }
        assert!(sent < 256 << 20 && Instant::now() < until, "the peer was read without end");
    }
    let counts = running.counts();
    assert_eq!(counts.open, 1);
    assert!(counts.buffered_bytes <= (64 + 32) << 10, "{counts:?}");
}

#[test]
fn a_peer_that_takes_nothing_is_closed_after_the_write_timeout() {
    let running = run(1, Limits { write_timeout_ms: 300, ..Limits::default() });
    running.shared.flood_left.store(1 << 40, Ordering::SeqCst);
    let _stream = running.connect_as(b"f");
    assert_eq!(running.wait_closed(), CloseReason::WriteTimeout);
    running.wait_counts("released", |c| c.open == 0 && c.buffered_bytes == 0);
}

#[test]
fn output_beyond_its_limit_closes() {
    let running = run(1, Limits::default());
    let mut stream = running.connect_as(b"o");
    assert!(read_all(&mut stream).is_empty());
    assert_eq!(running.wait_closed(), CloseReason::OutputOverflow);
}

#[test]
fn input_left_beyond_its_limit_closes() {
    let running = run(1, Limits { input_bytes_max: 100_000, ..Limits::default() });
    let mut stream = running.connect_as(b"k");
    stream.write_all(&[0; 100_000]).unwrap();
    running.wait_counts("all is kept", |c| c.buffered_bytes == 100_000);
    stream.write_all(&[0]).unwrap();
    assert_eq!(running.wait_closed(), CloseReason::InputOverflow);
    running.wait_counts("released", |c| c.buffered_bytes == 0);
}

#[test]
fn all_buffers_together_have_a_limit() {
    let running = run(1, Limits { buffered_bytes_max: 200_000, ..Limits::default() });
    let mut streams: Vec<_> = (0..3).map(|_| running.connect_as(b"k")).collect();
    for stream in &mut streams[..2] {
        stream.write_all(&[0; 80_000]).unwrap();
    }
    running.wait_counts("two are kept", |c| c.buffered_bytes == 160_000);
    let _ = streams[2].write_all(&[0; 80_000]);
    assert_eq!(running.wait_closed(), CloseReason::BufferBudget);
    running.wait_counts("two are left", |c| c.open == 2 && c.buffered_bytes == 160_000);
}

#[test]
fn a_handshake_may_not_take_forever() {
    let running = run(1, Limits { handshake_timeout_ms: 300, ..Limits::default() });
    let mut established = running.connect_as(b"e");
    // A byte now and then does not help.
    let mut stream = running.connect_as(b"q");
    let mut dripping = stream.try_clone().unwrap();
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::SeqCst) && dripping.write_all(b".").is_ok() {
                std::thread::sleep(Duration::from_millis(5));
            }
        });
        read_all(&mut stream);
        over.store(true, Ordering::SeqCst);
    });
    assert_eq!(running.wait_closed(), CloseReason::HandshakeTimeout);
    established.write_all(b"!").unwrap();
    assert_eq!(read_exactly(&mut established, 1), b"!");
}

#[test]
fn more_connections_than_allowed_are_closed_at_once() {
    let running = run(2, Limits { connections_max: 5, ..Limits::default() });
    let mut served: Vec<_> = (0..5).map(|_| running.connect_as(b"e!")).collect();
    for stream in &mut served {
        assert_eq!(read_exactly(stream, 1), b"!");
    }
    assert!(read_all(&mut running.connect()).is_empty());
    assert_eq!(running.counts().refused_connections_max, 1);
    served.pop();
    running.wait_counts("one has gone", |c| c.open == 4);
    let mut next = running.connect_as(b"e!");
    assert_eq!(read_exactly(&mut next, 1), b"!");
}

#[test]
fn one_address_may_have_its_share_only() {
    let running = run(2, Limits { connections_per_ip_max: 2, ..Limits::default() });
    let served: Vec<_> = (0..2).map(|_| running.connect()).collect();
    running.wait_counts("both are in", |c| c.open == 2);
    assert!(read_all(&mut running.connect()).is_empty());
    assert_eq!(running.counts().refused_per_ip_max, 1);
    drop(served);
    running.wait_counts("both have gone", |c| c.open == 0);
    let mut next = running.connect_as(b"e!");
    assert_eq!(read_exactly(&mut next, 1), b"!");
}

#[test]
fn the_accept_rate_lets_all_in_but_not_at_once() {
    let running = run(1, Limits { accept_rate_max: 50, ..Limits::default() });
    let began = Instant::now();
    let streams: Vec<_> = (0..75).map(|_| running.connect()).collect();
    running.wait_counts("all are in", |c| c.open == 75);
    // 50 at once, the others at 50 per second: a floor, so no slow machine can break it.
    assert!(began.elapsed() >= Duration::from_millis(480), "{:?}", began.elapsed());
    assert!(running.counts().accept_rate_held > 0);
    drop(streams);
}

#[test]
fn a_connection_is_read_at_its_rate() {
    let running = run(1, Limits { read_rate_max: 100_000, ..Limits::default() });
    let began = Instant::now();
    let mut stream = running.connect_as(b"s");
    stream.write_all(&[b'.'; 150_000]).unwrap();
    running.wait_counts("all is read", |c| c.bytes_in == 150_001);
    // 100 000 at once, 50 000 in half a second.
    assert!(began.elapsed() >= Duration::from_millis(480), "{:?}", began.elapsed());
    assert!(running.counts().rate_held > 0);
}

#[test]
fn flooding_peers_do_not_starve_another() {
    let running = run(1, Limits::default());
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..3 {
            let mut stream = running.connect_as(b"s");
            let over = &over;
            scope.spawn(move || {
                while !over.load(Ordering::SeqCst) {
                    stream.write_all(&[b'.'; 65_536]).unwrap();
                }
            });
        }
        running.wait_counts("they flood", |c| c.bytes_in > 10 << 20);
        let mut polite = running.connect_as(b"e");
        for _ in 0..200 {
            polite.write_all(b"please").unwrap();
            assert_eq!(read_exactly(&mut polite, 6), b"please");
        }
        over.store(true, Ordering::SeqCst);
    });
    let most = running.seen.try_iter().filter_map(|seen| match seen {
        Seen::Bytes(_, len) => Some(len),
        _ => None,
    });
    assert!(most.max().unwrap() <= Limits::default().read_bytes_per_turn);
}

/// Runs in a process of its own, which may have 40 files open: prints its port and serves until its
/// input ends.
fn serve_with_few_files() {
    use rustix::process::{Resource, Rlimit, setrlimit};
    setrlimit(Resource::Nofile, Rlimit { current: Some(40), maximum: Some(40) }).unwrap();
    let running = run(1, Limits::default());
    println!("port {}", running.address().port());
    let _ = std::io::stdin().read(&mut [0]);
    println!("exhausted {}", running.counts().accept_files_exhausted);
}

#[test]
fn with_no_file_descriptor_left_peers_are_refused_and_others_served_on() {
    const ROLE: &str = "FLUX_NET_TEST_FEW_FILES";
    if std::env::var_os(ROLE).is_some() {
        serve_with_few_files();
        return;
    }
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "--nocapture"])
        .arg("with_no_file_descriptor_left_peers_are_refused_and_others_served_on")
        .env(ROLE, "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    let mut numbers = lines.filter_map(|line| {
        let word = line.rsplit_once(' ').map(|(_, last)| last.to_owned());
        let ours = line.contains("port ") || line.starts_with("exhausted ");
        word.filter(|_| ours).and_then(|word| word.parse::<u64>().ok())
    });
    let port = u16::try_from(numbers.next().unwrap()).unwrap();
    let connect = || {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let _ = stream.write_all(b"e!");
        stream
    };
    let answered = |stream: &mut TcpStream| matches!(stream.read(&mut [0; 8]), Ok(1..));
    let mut served = Vec::new();
    let mut refused = 0;
    for _ in 0..60 {
        let mut stream = connect();
        if answered(&mut stream) {
            served.push(stream);
        } else {
            refused += 1;
        }
    }
    assert!(served.len() >= 20 && refused >= 20, "{} served, {refused} refused", served.len());
    // Those inside are still served, and a place that becomes free is used.
    for stream in &mut served {
        stream.write_all(b"?").unwrap();
        assert_eq!(read_exactly(stream, 1), b"?");
    }
    served.truncate(5);
    let until = Instant::now() + PATIENCE;
    while !answered(&mut connect()) {
        assert!(Instant::now() < until, "nobody was let in again");
    }
    drop(child.stdin.take());
    assert!(numbers.next().unwrap() > 0);
    assert!(child.wait().unwrap().success());
}

#[test]
fn a_stop_tells_the_peers_and_waits_for_them() {
    let mut running = run(2, Limits::default());
    let mut streams: Vec<_> = (0..6).map(|_| running.connect_as(b"e!")).collect();
    for stream in &mut streams {
        assert_eq!(read_exactly(stream, 1), b"!");
    }
    running.server.stop().unwrap();
    running.server.stop().unwrap();
    for stream in &mut streams {
        assert_eq!(read_to_end(stream), b"stopping");
    }
    let counts = running.counts();
    assert_eq!((counts.open, counts.closed(CloseReason::Stopped)), (0, 6));
    assert_eq!(counts.stop_forced, 0);
    let refused = TcpStream::connect(running.address()).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
}

#[test]
fn a_stop_is_bounded_whatever_a_peer_does() {
    let mut running = run(2, Limits { stop_grace_ms: 300, ..Limits::default() });
    running.shared.flood_left.store(1 << 40, Ordering::SeqCst);
    // One that takes nothing, one that the protocol keeps, one that keeps its side open.
    let _stuck = running.connect_as(b"f");
    let _kept = running.connect_as(b"z");
    let half = running.connect_as(b"k");
    half.shutdown(Shutdown::Write).unwrap();
    running.wait_counts("output waits", |c| c.buffered_bytes > 0 && c.bytes_in == 3);
    running.wait(|seen| matches!(seen, Seen::Ended(_)).then_some(()));
    // the system's buffers take some more for a while; then nothing moves
    let until = Instant::now() + PATIENCE;
    let mut taken = 0;
    loop {
        let counts = running.counts();
        if counts.buffered_bytes > 0 && counts.bytes_out == taken {
            break;
        }
        taken = counts.bytes_out;
        assert!(Instant::now() < until, "the stuck peer took everything: {counts:?}");
        std::thread::sleep(Duration::from_millis(100));
    }
    running.server.stop().unwrap();
    let counts = running.counts();
    assert_eq!(counts.open, 0);
    assert!(counts.stop_forced >= 2, "{counts:?}");
    assert_eq!((counts.buffered_bytes, counts.paused), (0, 0));
}

#[test]
fn a_worker_stuck_in_its_protocol_does_not_hold_up_a_stop_for_ever() {
    let mut running = run(2, Limits { stop_grace_ms: 0, ..Limits::default() });
    let _stream = running.connect_as(b"b");
    running.wait(|seen| matches!(seen, Seen::Bytes(..)).then_some(()));
    let error = running.server.stop().unwrap_err();
    assert!(matches!(error, NetError::StopTimedOut { workers: 1, .. }), "{error}");
    running.server.stop().unwrap();
    running.shared.promised.store(1, Ordering::SeqCst);
    // Let go, it ends by itself.
    running.wait_counts("released", |c| c.open == 0);
}
