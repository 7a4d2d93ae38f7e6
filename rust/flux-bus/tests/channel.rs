//! Channels and doorbells under real threads.
#![cfg(not(loom))]
#![allow(clippy::unwrap_used)] // tests: `clippy.toml` exempts test functions only, not what they call

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use flux_bus::{Closed, Doorbell, Notify, PushError, channel};

/// Long enough that only a lost wake-up reaches it.
const LONG: Duration = Duration::from_secs(60);
const SHORT: Duration = Duration::from_millis(5);

#[test]
fn a_bell_rung_before_the_wait_is_not_lost_and_counts_once() {
    let bell = Doorbell::new();
    assert!(!bell.wait(SHORT));
    bell.ring();
    bell.ring();
    assert!(bell.is_rung());
    assert!(bell.wait(LONG));
    assert!(!bell.wait(Duration::ZERO));
    assert!(!bell.answer());
}

#[test]
fn a_listener_is_called_once_until_the_bell_is_answered() {
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&calls);
    let bell = Doorbell::with_listener(Arc::new(move || {
        counted.fetch_add(1, Ordering::Relaxed);
    }));
    for _ in 0..100 {
        bell.ring();
    }
    assert_eq!(calls.load(Ordering::Relaxed), 1);
    assert!(bell.answer());
    bell.ring();
    assert_eq!(calls.load(Ordering::Relaxed), 2);
}

#[test]
fn one_thread_waits_for_several_channels_at_one_bell() {
    const EACH: u64 = 5_000;
    let bell = Doorbell::new();
    let mut receivers = Vec::new();
    let senders: Vec<_> = (0..3)
        .map(|_| {
            let (sender, receiver) = channel::<u64>(16, bell.clone()).unwrap();
            receivers.push(receiver);
            thread::spawn(move || {
                for item in 0..EACH {
                    sender.send(item, LONG).unwrap();
                }
            })
        })
        .collect();
    let mut got = vec![Vec::new(); 3];
    let mut open = [true; 3];
    while open.contains(&true) {
        assert!(bell.wait(LONG), "a ring of the bell was lost");
        for (at, receiver) in receivers.iter_mut().enumerate() {
            loop {
                match receiver.try_recv_batch(&mut got[at], 8) {
                    Ok(0) => break,
                    Ok(_) => {}
                    Err(Closed) => {
                        open[at] = false;
                        break;
                    }
                }
            }
        }
    }
    senders.into_iter().for_each(|sender| sender.join().unwrap());
    for items in got {
        assert!(items.into_iter().eq(0..EACH));
    }
}

#[test]
fn waiting_producers_and_a_parking_consumer_move_every_message() {
    const EACH: u64 = 10_000;
    for capacity in [1, 7] {
        let (sender, mut receiver) = channel(capacity, Doorbell::new()).unwrap();
        let producers: Vec<_> = (0..3u64)
            .map(|producer| {
                let sender = sender.clone();
                thread::spawn(move || {
                    for first in (0..EACH).step_by(10) {
                        let mut batch: VecDeque<_> =
                            (first..first + 10).map(|number| (producer, number)).collect();
                        sender.send_batch(&mut batch, LONG).unwrap();
                        assert!(batch.is_empty(), "a wake-up was lost");
                    }
                })
            })
            .collect();
        drop(sender);
        let mut got = Vec::new();
        while let Ok(count) = receiver.recv_batch(&mut got, 4, LONG) {
            assert!(count > 0, "a wake-up was lost");
        }
        producers.into_iter().for_each(|producer| producer.join().unwrap());
        let mut next = [0; 3];
        for (producer, number) in got {
            assert_eq!(number, next[producer as usize]);
            next[producer as usize] += 1;
        }
        assert_eq!(next, [EACH; 3]);
    }
}

#[test]
fn a_full_channel_hands_back_after_the_time_and_what_fits_goes_in() {
    let (sender, mut receiver) = channel(2, Doorbell::new()).unwrap();
    let mut batch = vec![1, 2, 3];
    assert_eq!(sender.send_batch(&mut batch, SHORT), Ok(()));
    assert_eq!(batch, [3]);
    assert_eq!(sender.send(4, SHORT), Err(PushError::Full(4)));
    assert_eq!(sender.try_send(5), Err(PushError::Full(5)));
    let mut got = Vec::new();
    assert_eq!(receiver.recv_batch(&mut got, 9, SHORT), Ok(2));
    assert_eq!(receiver.recv_batch(&mut got, 9, SHORT), Ok(0));
    assert_eq!(got, [1, 2]);
}

#[test]
fn a_closed_channel_gives_what_it_holds_then_says_so() {
    let (sender, mut receiver) = channel(4, Doorbell::new()).unwrap();
    sender.try_send_batch(&mut vec![1, 2]).unwrap();
    drop(sender);
    let mut got = Vec::new();
    assert_eq!(receiver.recv_batch(&mut got, 1, None), Ok(1));
    assert_eq!(receiver.recv_batch(&mut got, 1, None), Ok(1));
    assert_eq!(receiver.recv_batch(&mut got, 1, None), Err(Closed));
    assert_eq!(got, [1, 2]);

    let (sender, receiver) = channel(4, Doorbell::new()).unwrap();
    let held = Arc::new(());
    sender.try_send(Arc::clone(&held)).unwrap();
    drop(receiver);
    assert_eq!(Arc::strong_count(&held), 1, "what nobody will receive is dropped at once");
    assert!(sender.is_closed());
    assert!(matches!(sender.send(held, None), Err(PushError::Closed(_))));
}

#[test]
fn a_paused_source_is_told_of_room_once_per_registration() {
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&calls);
    let listener: Arc<dyn Notify> = Arc::new(move || {
        counted.fetch_add(1, Ordering::Relaxed);
    });
    let (sender, mut receiver) = channel(1, Doorbell::new()).unwrap();
    let mut got = Vec::new();
    sender.try_send(1).unwrap();
    for _ in 0..3 {
        sender.on_space(&listener);
    }
    assert_eq!(calls.load(Ordering::Relaxed), 0);
    receiver.try_recv_batch(&mut got, 1).unwrap();
    assert_eq!(calls.load(Ordering::Relaxed), 1);
    sender.try_send(2).unwrap();
    receiver.try_recv_batch(&mut got, 1).unwrap();
    assert_eq!(calls.load(Ordering::Relaxed), 1);
    sender.on_space(&listener);
    drop(receiver);
    assert_eq!(calls.load(Ordering::Relaxed), 2, "closing releases those who wait for room");
}

#[cfg(unix)]
#[test]
fn an_event_loop_wakes_once_per_batch() {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};

    let fd = Arc::new(flux_bus::WakeFd::new().unwrap());
    let readable = || {
        let mut fds = [PollFd::new(&*fd, PollFlags::IN)];
        poll(&mut fds, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })).unwrap() == 1
    };
    let bell = Doorbell::with_listener(Arc::clone(&fd) as Arc<dyn Notify>);
    let (sender, mut receiver) = channel(100, bell.clone()).unwrap();
    assert!(!readable());
    for lap in 0..3 {
        (0..50).for_each(|item| sender.try_send(item).unwrap());
        assert!(readable(), "lap {lap}");
        fd.clear();
        assert!(!readable());
        assert!(bell.answer());
        assert_eq!(receiver.try_recv_batch(&mut Vec::new(), 100), Ok(50));
    }
}
