//! HTTP/1.1 as devices speak it to us: requests out of bytes, answers in their order.
//!
//! Owns what RFC 9110 (semantics) and RFC 9112 (messages) say about one connection. Pure: bytes and
//! time come in as arguments, who may send what is asked through [`Gate`]. Must never answer a
//! request before its caller says how, nor two in another order than they came.

mod chunked;
mod connection;
mod date;
mod head;
mod limits;
mod response;
mod route;
#[cfg(test)]
mod tests;

pub use connection::{HttpConnection, HttpFlow, Received};
pub use date::HttpDate;
pub use head::{BodyLength, Credentials, Head};
pub use limits::HttpLimits;
pub use response::{Answer, Refusal, Told};
pub use route::{Content, Precision};

/// Decides, from a request's head alone, whether its body is wanted.
pub trait Gate {
    /// What is known of a sender that was let in.
    type Ticket;

    /// Lets a sender in, or says why not.
    ///
    /// # Errors
    /// What it is answered.
    fn admit(&mut self, credentials: &Credentials<'_>) -> Result<Self::Ticket, Refusal>;
}
