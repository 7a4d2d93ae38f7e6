//! How bytes travel. Owns the one place where another carrier than TCP would be added.

use std::io::{self, Read, Write};
use std::net::Shutdown;

use mio::event::Source;
use mio::net::TcpStream;
use mio::{Interest, Registry, Token};

/// What a connection travels on.
#[derive(Debug)]
pub(crate) enum Transport {
    /// Plain TCP.
    Tcp(TcpStream),
}

/// What a read brought.
pub(crate) struct Brought {
    /// Bytes; 0 is the peer's end.
    pub(crate) len: usize,
    /// Whether there may be more without a new event.
    pub(crate) more: bool,
}

impl Transport {
    pub(crate) fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => {
                stream.register(registry, token, Interest::READABLE | Interest::WRITABLE)
            }
        }
    }

    pub(crate) fn read(&mut self, into: &mut [u8]) -> io::Result<Brought> {
        match self {
            // A short read has emptied the socket: what comes later makes a new event.
            Self::Tcp(stream) => {
                let len = stream.read(into)?;
                Ok(Brought { len, more: len == into.len() })
            }
        }
    }

    pub(crate) fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.write(bytes),
        }
    }

    /// Whether a connection we asked for is there; an error if it will not be.
    pub(crate) fn is_connected(&self) -> io::Result<bool> {
        match self {
            Self::Tcp(stream) => {
                if let Some(error) = stream.take_error()? {
                    return Err(error);
                }
                match stream.peer_addr() {
                    Ok(_) => {
                        // what is asked and answered in small packets must not wait for more
                        stream.set_nodelay(true)?;
                        Ok(true)
                    }
                    Err(error) if error.kind() == io::ErrorKind::NotConnected => Ok(false),
                    Err(error) => Err(error),
                }
            }
        }
    }

    /// Ends our side in order.
    pub(crate) fn end(&mut self) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => stream.shutdown(Shutdown::Write),
        }
    }
}
