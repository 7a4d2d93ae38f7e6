//! Numbers of transactions (Messaging on TCP/IP V1.0b, 3.1.3).

use std::cell::Cell;

use flux_plugin_sdk::Context;
use flux_plugin_sdk::json::JsonError;

use crate::transport::Transport;

thread_local! {
    /// Counts on for as long as the instance lives.
    static NEXT: Cell<u16> = const { Cell::new(0) };
}

/// Numbers requests.
#[derive(Debug, Clone, Copy)]
pub(super) enum Numbers {
    /// Frames have none.
    None,
    /// From this one on, as the command says.
    From(u16),
    /// As the plugin likes; the time of the call, mixed.
    Own(u16),
}

impl Numbers {
    /// How the requests of a command are numbered.
    pub(super) fn of<T: Transport>(
        ctx: &Context<'_>,
        named: Option<u16>,
    ) -> Result<Self, JsonError> {
        match (named, T::HAS_TRANSACTIONS) {
            (Some(number), true) => Ok(Self::From(number)),
            (None, true) => Ok(Self::Own(mixed(&ctx.received_ns().to_le_bytes()))),
            (None, false) => Ok(Self::None),
            (Some(_), false) => Err(JsonError::new("belongs to Modbus TCP").within("transaction")),
        }
    }

    /// The number of a request.
    ///
    /// It has to differ from those of requests still under way, which another instance may have
    /// numbered: instances count alike. So the time goes into it, where the host tells it, and the
    /// request itself: of two that are the same, either's answer will do.
    pub(super) fn next(&mut self, unit: u8, pdu: &[u8]) -> u16 {
        match self {
            Self::None => 0,
            Self::From(number) => {
                let this = *number;
                *number = number.wrapping_add(1);
                this
            }
            Self::Own(time) => {
                let counted = NEXT.get();
                NEXT.set(counted.wrapping_add(1));
                let request = mixed(pdu).wrapping_add(u16::from(unit));
                counted.wrapping_add(*time).wrapping_add(request)
            }
        }
    }
}

/// Sixteen bits that any change of a byte changes: FNV-1a, folded.
fn mixed(bytes: &[u8]) -> u16 {
    let hash = bytes
        .iter()
        .fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193));
    #[allow(clippy::cast_possible_truncation)] // folded
    let folded = (hash ^ hash >> 16) as u16;
    folded
}

#[cfg(test)]
mod tests {
    use flux_plugin_sdk::testing::Call;

    use super::*;
    use crate::{Rtu, Tcp};

    const READ: [u8; 5] = [3, 0, 0, 0, 4];

    fn at(ns: i64) -> Numbers {
        Call::new().received_ns(ns).with_context(|ctx| Numbers::of::<Tcp>(ctx, None)).unwrap()
    }

    #[test]
    fn the_same_request_has_another_number_each_time() {
        let mut numbers = at(0);
        let first = numbers.next(1, &READ);
        assert_eq!(numbers.next(1, &READ), first.wrapping_add(1));
        assert_eq!(at(0).next(1, &READ), first.wrapping_add(2));
    }

    #[test]
    fn instances_that_count_alike_number_different_requests_differently() {
        let mut numbers: Vec<u16> = (0..200)
            .map(|place| {
                NEXT.set(0);
                at(0).next(1, &[3, 0, place, 0, 4])
            })
            .collect();
        numbers.sort_unstable();
        numbers.dedup();
        assert!(numbers.len() > 195, "{}", numbers.len());
    }

    #[test]
    fn instances_that_count_alike_differ_by_the_time() {
        let mut numbers: Vec<u16> = (0..200)
            .map(|ms| {
                NEXT.set(0);
                at(ms * 1_000_000).next(1, &READ)
            })
            .collect();
        numbers.sort_unstable();
        numbers.dedup();
        assert!(numbers.len() > 195, "{}", numbers.len());
    }

    #[test]
    fn a_command_may_say_the_first_number() {
        let numbers = Call::new().with_context(|ctx| Numbers::of::<Tcp>(ctx, Some(65_535)));
        let mut numbers = numbers.unwrap();
        assert_eq!((numbers.next(1, &READ), numbers.next(1, &READ)), (65_535, 0));
    }

    #[test]
    fn a_serial_frame_has_no_number() {
        Call::new().with_context(|ctx| {
            assert_eq!(Numbers::of::<Rtu>(ctx, None).unwrap().next(1, &READ), 0);
            assert!(Numbers::of::<Rtu>(ctx, Some(7)).is_err());
        });
    }
}
