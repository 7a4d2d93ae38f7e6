//! Bounded lock-free rings, and publish/subscribe taps with named overflow policies.
//!
//! Owns how messages go from thread to thread: [`Ring`] holds them, [`Doorbell`] wakes who waits for
//! them, [`channel`] is both for many producers and one consumer, [`Bus`] carries them by topic
//! filter to subscribers. Must never know what it carries, touch a disk or a socket, or hold more
//! than it was given room for.
//!
//! A consumer with several sources shares one bell among them:
//!
//! ```
//! use flux_bus::{Doorbell, channel};
//! let bell = Doorbell::new();
//! let (work, mut work_in) = channel::<u32>(1024, bell.clone())?;
//! let (orders, mut orders_in) = channel::<&str>(16, bell.clone())?;
//! work.try_send_batch(&mut vec![1, 2, 3])?;
//! orders.try_send("stop")?;
//!
//! let (mut items, mut commands) = (Vec::new(), Vec::new());
//! assert!(bell.wait(None)); // both rings of the bell are one answer: look everywhere
//! work_in.try_recv_batch(&mut items, 256)?;
//! orders_in.try_recv_batch(&mut commands, 16)?;
//! assert_eq!((items, commands), (vec![1, 2, 3], vec!["stop"]));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#![deny(unsafe_code)]

mod bus;
mod channel;
mod doorbell;
mod error;
#[allow(unsafe_code)]
// slots are filled and emptied in place: the price of a move is the price of a hop
pub mod ring;
mod space;
mod sync;
#[cfg(unix)]
mod wake_fd;

pub use bus::{
    BLOCK_TIMEOUT_DEFAULT, Bus, BusLimits, BusStats, Dropped, Event, Overflow, Tap, TapControl,
    TapOptions, TapStats,
};
pub use channel::{Receiver, Sender, channel};
pub use doorbell::{Doorbell, Notify};
pub use error::BusError;
pub use ring::{Batch, Closed, Evicting, PushError, RING_CAPACITY_MAX, Ring};
#[cfg(unix)]
pub use wake_fd::WakeFd;
