//! Bytes in, bytes out, pauses, wakes and ends over real sockets.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod modes;

use std::io::{ErrorKind, Read, Write};
use std::net::Shutdown;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use flux_net::{CloseReason, Limits};

use modes::{PATIENCE, Seen, read_exactly, read_to_end, run};

#[test]
fn what_is_sent_comes_back() {
    let running = run(2, Limits::default());
    let mut streams: Vec<_> = (0..8).map(|_| running.connect_as(b"e")).collect();
    for round in 0..50_u8 {
        for (n, stream) in streams.iter_mut().enumerate() {
            stream.write_all(&vec![round; n * 37 + 1]).unwrap();
        }
        for (n, stream) in streams.iter_mut().enumerate() {
            assert_eq!(read_exactly(stream, n * 37 + 1), vec![round; n * 37 + 1]);
        }
    }
    drop(streams);
    running.wait_counts("all closed", |c| c.open == 0);
    let counts = running.counts();
    assert_eq!((counts.accepted, counts.closed(CloseReason::PeerEnded)), (8, 8));
    assert_eq!(counts.bytes_in, counts.bytes_out + 8);
    assert_eq!(counts.buffered_bytes, 0);
}

#[test]
fn a_packet_in_pieces_is_put_together() {
    let running = run(1, Limits::default());
    let mut stream = running.connect_as(b"t");
    for chunk in b"0123456789abcdefghij".chunks(3) {
        stream.write_all(chunk).unwrap();
    }
    assert_eq!(read_exactly(&mut stream, 20), b"0123456789abcdefghij");
}

#[test]
fn a_megabyte_goes_through_in_both_directions() {
    let running = run(1, Limits::default());
    let mut stream = running.connect_as(b"e");
    let data: Vec<u8> = (0..1_000_000_u32).map(|n| (n % 251) as u8).collect();
    let (mut writer, sent) = (stream.try_clone().unwrap(), data.clone());
    let writing = std::thread::spawn(move || writer.write_all(&sent).unwrap());
    assert!(read_exactly(&mut stream, data.len()) == data);
    writing.join().unwrap();
}

#[test]
fn a_paused_connection_is_not_read_until_it_is_resumed() {
    let running = run(1, Limits::default());
    let mut stream = running.connect_as(b"p0123456789abcdefghijABC");
    assert_eq!(read_exactly(&mut stream, 10), b"0123456789");
    running.wait_counts("paused", |c| c.paused == 1);
    // More than the socket buffers hold cannot be sent to somebody who does not read.
    stream.set_nonblocking(true).unwrap();
    let mut sent = 0_usize;
    let until = Instant::now() + PATIENCE;
    let before = running.counts().bytes_in;
    loop {
        match stream.write(&[b'.'; 65_536]) {
            Ok(len) => sent += len,
            Err(error) if error.kind() == ErrorKind::WouldBlock => break,
            Err(error) => panic!("{error}"),
        }
        assert!(sent < 64 << 20 && Instant::now() < until, "a paused peer was read");
    }
    assert_eq!(running.counts().bytes_in, before);
    stream.set_nonblocking(false).unwrap();
    // The second packet came with the first: it is served without new bytes.
    running.server.wakers()[0].wake();
    assert_eq!(read_exactly(&mut stream, 10), b"abcdefghij");
    running.wait_counts("paused again", |c| c.paused == 1);
    running.server.wakers()[0].wake();
    assert_eq!(read_exactly(&mut stream, 10), b"ABC.......");
}

#[test]
fn packets_left_by_a_pause_come_again_without_new_bytes() {
    let running = run(1, Limits::default());
    let mut stream = running.connect_as(b"p0123456789abcdefghij");
    for packet in [b"0123456789", b"abcdefghij"] {
        assert_eq!(read_exactly(&mut stream, 10), packet);
        running.wait_counts("paused", |c| c.paused == 1);
        running.server.wakers()[0].wake();
    }
}

#[test]
fn a_peer_that_vanishes_while_paused_is_noticed() {
    let running = run(1, Limits::default());
    let mut stream = running.connect_as(b"p0123456789");
    assert_eq!(read_exactly(&mut stream, 10), b"0123456789");
    running.wait_counts("paused", |c| c.paused == 1);
    // With no time to linger a close is a reset.
    socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap();
    drop(stream);
    assert_eq!(running.wait_closed(), CloseReason::PeerLost);
    running.wait_counts("released", |c| c.open == 0 && c.paused == 0);
}

#[test]
fn a_reset_is_told_as_a_lost_peer() {
    let running = run(1, Limits::default());
    let mut stream = running.connect_as(b"e!");
    assert_eq!(read_exactly(&mut stream, 1), b"!");
    socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap();
    drop(stream);
    assert_eq!(running.wait_closed(), CloseReason::PeerLost);
}

#[test]
fn another_thread_wakes_a_connection() {
    let running = run(2, Limits::default());
    let mut stream = running.connect_as(b"n");
    let handle = running.wait_opened();
    running.wait_counts("mode is known", |c| c.bytes_in == 1);
    running.shared.promised.store(42, Ordering::SeqCst);
    std::thread::spawn(move || handle.wake()).join().unwrap();
    // The wake may come twice (spuriously), never not.
    assert_eq!(read_exactly(&mut stream, 8), 42_u64.to_be_bytes());
}

#[test]
fn no_wake_is_lost() {
    let running = run(2, Limits::default());
    let mut streams: Vec<_> = (0..4).map(|_| running.connect_as(b"n")).collect();
    let handles: Vec<_> = (0..4).map(|_| running.wait_opened()).collect();
    running.wait_counts("modes are known", |c| c.bytes_in == 4);
    // Each round publishes a number, wakes all from two threads at once, and waits until every
    // connection has sent it: with the workers falling asleep in between, a lost wake would hang.
    for round in 1..=1_500_u64 {
        running.shared.promised.store(round, Ordering::SeqCst);
        std::thread::scope(|scope| {
            let other = scope.spawn(|| handles.iter().rev().for_each(|handle| handle.wake()));
            handles.iter().for_each(|handle| handle.wake());
            other.join().unwrap();
        });
        for stream in &mut streams {
            while read_exactly(stream, 8) != round.to_be_bytes() {}
        }
    }
}

#[test]
fn wakes_of_a_worker_become_one_but_never_none() {
    let running = run(2, Limits::default());
    for worker in running.server.wakers().iter() {
        for _ in 0..1_000 {
            worker.wake();
        }
        let index = worker.worker();
        running.wait(|seen| matches!(seen, Seen::Woken(n) if n == index).then_some(()));
    }
    let more = running.seen.try_iter().filter(|seen| matches!(seen, Seen::Woken(_))).count();
    assert!(more < 2_000, "each wake was answered by itself");
}

#[test]
fn one_wake_answers_many_connections() {
    let running = run(1, Limits::default());
    let mut streams: Vec<_> = (0..300).map(|_| running.connect_as(b"w")).collect();
    let gone = running.connect_as(b"w");
    let panicking = running.connect_as(b"v");
    running.wait_counts("all wait", |c| c.bytes_in == 302);
    drop(gone);
    running.wait_counts("one has gone", |c| c.open == 301);
    running.server.wakers()[0].wake();
    for stream in &mut streams {
        assert_eq!(read_to_end(stream), b"done");
    }
    drop((streams, panicking));
    running.wait_counts("all closed", |c| c.open == 0);
    let counts = running.counts();
    assert_eq!(
        (counts.closed(CloseReason::Protocol), counts.closed(CloseReason::Panicked)),
        (300, 1)
    );
    let found: Vec<bool> = running
        .seen
        .try_iter()
        .filter_map(|seen| if let Seen::Visited(found) = seen { Some(found) } else { None })
        .collect();
    assert_eq!(found.len(), 302);
    assert_eq!(found.iter().filter(|found| !**found).count(), 1);
}

#[test]
fn a_handle_of_a_closed_connection_does_no_harm() {
    let running = run(1, Limits::default());
    drop(running.connect_as(b"e"));
    let handle = running.wait_opened();
    running.wait_counts("closed", |c| c.open == 0);
    let mut stream = running.connect_as(b"e");
    for _ in 0..100 {
        handle.wake();
        stream.write_all(b"x").unwrap();
        assert_eq!(read_exactly(&mut stream, 1), b"x");
    }
    assert_ne!(running.wait_opened().id(), handle.id());
}

#[test]
fn what_was_sent_before_a_close_arrives() {
    let running = run(1, Limits::default());
    // Bytes the server never reads must not turn the close into a reset.
    let mut stream = running.connect_as(b"c");
    let mut writer = stream.try_clone().unwrap();
    let writing = std::thread::spawn(move || {
        for _ in 0..200 {
            if writer.write_all(&[b'.'; 4_096]).is_err() {
                break;
            }
        }
    });
    assert_eq!(read_to_end(&mut stream), b"bye");
    writing.join().unwrap();
    assert_eq!(running.wait_closed(), CloseReason::Protocol);
    drop(stream);
    running.wait_counts("released", |c| c.open == 0);
}

#[test]
fn an_aborted_connection_gets_nothing() {
    let running = run(1, Limits::default());
    let mut stream = running.connect_as(b"a");
    let mut bytes = Vec::new();
    let _ = stream.read_to_end(&mut bytes);
    assert!(bytes.is_empty());
    running.wait_counts("released", |c| c.open == 0 && c.closed(CloseReason::Protocol) == 1);
}

#[test]
fn a_peer_that_ends_its_side_still_gets_its_answer() {
    let running = run(1, Limits { half_closed_timeout_ms: 300, ..Limits::default() });
    let mut stream = running.connect_as(b"h");
    stream.shutdown(Shutdown::Write).unwrap();
    assert_eq!(read_exactly(&mut stream, 13), b"after the end");
    // `more_to_send` is honoured after the end too.
    running.wait(|seen| matches!(seen, Seen::Ready(_)).then_some(()));
    assert_eq!(running.wait_closed(), CloseReason::HalfClosedTimeout);

    let mut stream = running.connect_as(b"e");
    stream.write_all(b"last words").unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    assert_eq!(read_to_end(&mut stream), b"last words");
    assert_eq!(running.wait_closed(), CloseReason::PeerEnded);
}

#[test]
fn an_end_that_comes_together_with_the_last_bytes_is_not_missed() {
    let running = run(1, Limits::default());
    let mut stream = running.connect_as(b"e!");
    assert_eq!(read_exactly(&mut stream, 1), b"!");
    // While the worker is held up by another, both arrive: one event tells of both.
    let _blocking = running.connect_as(b"b");
    running.wait(|seen| matches!(seen, Seen::Bytes(..)).then_some(()));
    stream.write_all(b"last words").unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    running.shared.promised.store(1, Ordering::SeqCst);
    assert_eq!(read_to_end(&mut stream), b"last words");
    assert_eq!(running.wait_closed(), CloseReason::PeerEnded);
}

#[test]
fn a_timer_is_not_early_and_hears_of_a_silent_peer() {
    // No other look at the clock falls into the test's time.
    let running = run(1, Limits { handshake_timeout_ms: 60_000, ..Limits::default() });
    let _stream = running.connect_as(b"m");
    let (silent, turns) = running.wait(|seen| match seen {
        Seen::Timer(silent, turns) => Some((silent, turns)),
        _ => None,
    });
    assert!(silent >= Duration::from_millis(249), "{silent:?}");
    // Timers are looked at after a turn's end; another must follow though nothing else happens.
    let until = Instant::now() + PATIENCE;
    while running.shared.turns.load(Ordering::SeqCst) == turns {
        assert!(Instant::now() < until, "the timer was not followed by a turn's end");
        std::thread::yield_now();
    }
}

#[test]
fn a_panic_ends_its_connection_alone() {
    let running = run(1, Limits::default());
    let mut other = running.connect_as(b"e");
    let mut stream = running.connect_as(b"x");
    let mut bytes = Vec::new();
    let _ = stream.read_to_end(&mut bytes);
    assert!(bytes.is_empty());
    assert_eq!(running.wait_closed(), CloseReason::Panicked);
    other.write_all(b"still here").unwrap();
    assert_eq!(read_exactly(&mut other, 10), b"still here");
    assert_eq!(running.counts().panics, 1);
}

#[test]
fn every_call_is_followed_by_a_turn_end() {
    let running = run(1, Limits::default());
    let mut stream = running.connect_as(b"e1");
    assert_eq!(read_exactly(&mut stream, 1), b"1");
    let turns = running.shared.turns.load(Ordering::SeqCst);
    assert!(turns > 0);
    drop(stream);
    running.wait_closed();
    let until = Instant::now() + PATIENCE;
    while running.shared.turns.load(Ordering::SeqCst) == turns {
        assert!(Instant::now() < until, "the close was not followed by a turn's end");
        std::thread::yield_now();
    }
}

#[test]
fn two_thousand_connections_come_and_go() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let hard = getrlimit(Resource::Nofile).maximum;
    setrlimit(Resource::Nofile, Rlimit { current: hard, maximum: hard }).unwrap();
    let running = run(2, Limits::default());
    for round in 1..=2_u64 {
        let mut streams: Vec<_> = (0..2_000).map(|_| running.connect_as(b"e?")).collect();
        for stream in &mut streams {
            assert_eq!(read_exactly(stream, 1), b"?");
        }
        assert_eq!(running.counts().open, 2_000);
        drop(streams);
        running.wait_counts("all closed", |c| c.open == 0);
        assert_eq!(running.counts().accepted, 2_000 * round);
    }
}
