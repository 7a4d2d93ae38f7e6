//! Numbers of transactions (Messaging on TCP/IP V1.0b, 3.1.3).

use std::cell::Cell;

use flux_plugin_sdk::Context;
use flux_plugin_sdk::json::JsonError;

use crate::transport::Transport;

thread_local! {
    /// Counts on for as long as the instance lives.
    static NEXT: Cell<u16> = const { Cell::new(0) };
}

/// The number of the first of some requests.
///
/// It has to differ from those of requests still under way, which another instance may have
/// numbered: the time of the call is mixed in where it is told.
pub(super) fn first<T: Transport>(
    ctx: &Context<'_>,
    named: Option<u16>,
    requests: usize,
) -> Result<u16, JsonError> {
    match named {
        Some(_) if !T::HAS_TRANSACTIONS => {
            Err(JsonError::new("belongs to Modbus TCP").within("transaction"))
        }
        Some(number) => Ok(number),
        None => {
            let used = u16::try_from(requests).unwrap_or(u16::MAX);
            let counted = NEXT.get();
            NEXT.set(counted.wrapping_add(used));
            Ok(counted.wrapping_add(mixed(ctx.received_ns())))
        }
    }
}

/// Sixteen bits that change with every nanosecond; 0 of 0.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // a hash
const fn mixed(ns: i64) -> u16 {
    // The golden ratio's fraction: near times come to lie far apart.
    ((ns as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 48) as u16
}

#[cfg(test)]
mod tests {
    use flux_plugin_sdk::testing::Call;

    use super::*;
    use crate::{Rtu, Tcp};

    fn at(ns: i64, requests: usize) -> u16 {
        Call::new().received_ns(ns).with_context(|ctx| first::<Tcp>(ctx, None, requests)).unwrap()
    }

    #[test]
    fn numbers_are_not_used_twice_in_a_row() {
        let start = at(0, 3);
        assert_eq!(at(0, 1), start.wrapping_add(3));
        assert_eq!(at(0, 1), start.wrapping_add(4));
    }

    #[test]
    fn instances_that_count_alike_differ_by_the_time() {
        let mut numbers: Vec<u16> = (0..100).map(|ms| at(ms * 1_000_000, 0)).collect();
        numbers.sort_unstable();
        numbers.dedup();
        assert!(numbers.len() > 98, "{}", numbers.len());
    }

    #[test]
    fn a_serial_frame_has_no_number() {
        Call::new().with_context(|ctx| {
            assert_eq!(first::<Tcp>(ctx, Some(7), 1), Ok(7));
            assert!(first::<Rtu>(ctx, Some(7), 1).is_err());
        });
    }
}
