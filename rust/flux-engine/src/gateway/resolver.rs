//! Names into addresses, on a thread of its own: a worker must not wait for a name server.

use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Weak};
use std::thread::JoinHandle;

use parking_lot::Mutex;

use super::outgoing::TargetKey;
use super::{GatewayShared, Order};

/// Questions that wait; more are asked again later.
const QUESTIONS_MAX: usize = 1024;

/// A name to look up, and who wants to know.
struct Question {
    gateway: Weak<GatewayShared>,
    worker: usize,
    target: TargetKey,
}

/// The thread `gateway-names`, started when the first name is asked for.
#[derive(Default)]
pub(super) struct Resolver {
    thread: Mutex<Option<(SyncSender<Question>, JoinHandle<()>)>>,
}

impl Resolver {
    /// Asks; the answer comes as [`Order::Resolved`]. False if it cannot be asked now.
    pub(super) fn ask(
        &self,
        gateway: &Arc<GatewayShared>,
        worker: usize,
        target: &TargetKey,
    ) -> bool {
        let mut thread = self.thread.lock();
        if thread.is_none() {
            let (sender, questions) = sync_channel::<Question>(QUESTIONS_MAX);
            let run = move || questions.iter().for_each(answer);
            let spawned = std::thread::Builder::new().name("gateway-names".to_owned()).spawn(run);
            let Ok(handle) = spawned else { return false };
            *thread = Some((sender, handle));
        }
        let question =
            Question { gateway: Arc::downgrade(gateway), worker, target: target.clone() };
        thread.as_ref().is_some_and(|(sender, _)| sender.try_send(question).is_ok())
    }

    /// Asks no more. A name server that does not answer is not waited for: its thread ends by
    /// itself.
    pub(super) fn stop(&self) {
        drop(self.thread.lock().take());
    }
}

fn answer(question: Question) {
    let Question { gateway, worker, target } = question;
    let found = flux_net::resolve(&target.host, target.port).ok();
    let address = found.and_then(|addresses| addresses.first().copied());
    if let Some(gateway) = gateway.upgrade() {
        gateway.tell(worker, Order::Resolved(target, address));
    }
}
