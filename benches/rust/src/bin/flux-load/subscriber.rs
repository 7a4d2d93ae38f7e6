//! One subscriber: what it has had.

use crate::identity::numbered;
use crate::options::{Expect, Plan};
use crate::payload::Stamp;
use crate::tracker::{Arrival, Tracker};

/// One subscriber.
#[derive(Debug)]
pub(crate) struct Subscriber {
    pub(crate) n: u32,
    pub(crate) filter: String,
    pub(crate) tracker: Tracker,
}

/// What one message was to a subscriber.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Delivery {
    /// As it should be, or not, sent at that time.
    Ours(Arrival, u64),
    /// The rule should have held it back.
    Unexpected,
    /// Not of this run.
    Foreign,
}

impl Subscriber {
    pub(crate) fn new(plan: &Plan, n: u32) -> Self {
        let filter = numbered(&plan.filter, n);
        Self { n, filter, tracker: Tracker::new(plan.publishers) }
    }

    /// Takes a payload in.
    pub(crate) fn received(&mut self, plan: &Plan, payload: &[u8]) -> Delivery {
        let Some(stamp) = plan.template.read(payload) else { return Delivery::Foreign };
        let Stamp { source, seq, sent_ns } = stamp;
        match self.tracker.arrived(stamp) {
            Arrival::Foreign => Delivery::Foreign,
            _ if plan.expect == Expect::Passing && !plan.template.passes(source, seq) => {
                Delivery::Unexpected
            }
            arrival => Delivery::Ours(arrival, sent_ns),
        }
    }

    /// Source and number of each message that has not come, of those that should have; `sent` is
    /// by publisher.
    pub(crate) fn missing(&self, plan: &Plan, sent: &[u64]) -> impl Iterator<Item = (u32, u64)> {
        let wanted = |source: u32| !plan.pairs() || source == self.n;
        (0u32..).zip(sent).filter(move |(source, _)| wanted(*source)).flat_map(
            move |(source, sent)| {
                let due =
                    move |seq| plan.expect == Expect::All || plan.template.passes(source, seq);
                self.tracker.missing(source, *sent, due).map(move |seq| (source, seq))
            },
        )
    }
}
