//! Waking an event loop of another world through a file descriptor.
//!
//! Owns one eventfd (Linux) or one pipe (elsewhere). Must never block and never carry data: one
//! readable byte means "look", however much there is to see.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::io::Errno;

use crate::Notify;

/// A file descriptor that becomes readable when notified. Give it to [`crate::Doorbell`] as its
/// listener and to the event loop as a reader; when it is readable, [`WakeFd::clear`] it, answer the
/// bell, then look.
#[derive(Debug)]
pub struct WakeFd {
    read: OwnedFd,
    /// The other end, where it has one of its own.
    write: Option<OwnedFd>,
}

impl WakeFd {
    /// Opens one, non-blocking and closed on exec.
    ///
    /// # Errors
    /// When the system gives no more descriptors.
    #[cfg(target_os = "linux")]
    pub fn new() -> io::Result<Self> {
        use rustix::event::{EventfdFlags, eventfd};
        let read = eventfd(0, EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC)?;
        Ok(Self { read, write: None })
    }

    /// Opens one, non-blocking and closed on exec.
    ///
    /// # Errors
    /// When the system gives no more descriptors.
    #[cfg(not(target_os = "linux"))]
    pub fn new() -> io::Result<Self> {
        use rustix::io::{FdFlags, fcntl_setfd, ioctl_fionbio};
        let (read, write) = rustix::pipe::pipe()?;
        for end in [&read, &write] {
            ioctl_fionbio(end, true)?;
            fcntl_setfd(end, FdFlags::CLOEXEC)?;
        }
        Ok(Self { read, write: Some(write) })
    }

    /// Makes it unreadable until the next notification.
    pub fn clear(&self) {
        // an eventfd gives its whole count at once; a pipe holds a byte per notification, which the
        // bell makes few
        let mut bytes = [0; 64];
        loop {
            match rustix::io::read(&self.read, &mut bytes) {
                Ok(count) if count == bytes.len() => {}
                Err(Errno::INTR) => {}
                _ => return,
            }
        }
    }
}

impl AsFd for WakeFd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.read.as_fd()
    }
}

impl Notify for WakeFd {
    fn notify(&self) {
        let end = self.write.as_ref().unwrap_or(&self.read);
        // full (EAGAIN) means readable already, which is all it has to say; eight bytes in the
        // machine's order are what an eventfd counts by (eventfd(2))
        while rustix::io::write(end, &1u64.to_ne_bytes()) == Err(Errno::INTR) {}
    }
}
