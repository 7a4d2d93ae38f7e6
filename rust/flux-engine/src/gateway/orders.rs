//! What a worker is told from outside: commands, moves of devices, another configuration.

use flux_gateway::Directory;
use flux_net::{Verdict, WorkerIo};
use flux_types::DeviceId;

use super::Order;
use super::lines::Carrier;
use super::worker::{Connection, GatewayWorker};

impl GatewayWorker {
    /// Carries out what came from outside.
    pub(super) fn take_orders(&mut self, io: &mut WorkerIo<'_, Connection>) {
        let Some(seat) = self.shared.seats.get(self.index) else { return };
        let orders = std::mem::take(&mut *seat.inbox.lock());
        let mut configured = false;
        for order in orders {
            match order {
                Order::Command { line, device, command } => self.command(line, device, command),
                Order::Evict(line) => self.evict(line, io),
                Order::Part { line, device } => self.part(line, device),
                Order::Configure => configured = true,
                Order::Resolved(key, address) => self.connect(&key, address, io),
            }
        }
        if configured {
            self.take_configuration(io);
        }
    }

    fn evict(&mut self, line: u64, io: &mut WorkerIo<'_, Connection>) {
        match self.lines.get(&line).map(|open| open.carrier) {
            Some(Carrier::Stream(id)) => {
                io.visit(id, |_, _| Verdict::Close);
            }
            Some(Carrier::Datagrams(socket, peer)) => {
                self.forget_source((socket, peer), line);
            }
            None => {}
        }
    }

    fn part(&mut self, line: u64, device: DeviceId) {
        let Some(open) = self.lines.get(&line) else { return };
        let others = open.members.iter().map(|member| member.device.clone());
        let others = others.filter(|other| other.id != device).collect();
        self.set_members(line, others);
    }

    /// Whoever is no longer known has to go; whoever is new on a line is on it.
    pub(super) fn take_configuration(&mut self, io: &mut WorkerIo<'_, Connection>) {
        let mut ids: Vec<u64> = self.lines.keys().copied().collect();
        ids.sort_unstable();
        for id in ids {
            let Some(open) = self.lines.get(&id) else { continue };
            let directory = &self.shared.directory;
            let others = match &open.own {
                Some(own) => {
                    if directory.device(own.id).as_ref() != Some(own) {
                        self.evict(id, io);
                        continue;
                    }
                    let name = directory.line_of(own.id);
                    name.map(|name| directory.on_line(open.tenant, &name)).unwrap_or_default()
                }
                // those of our own connections come with their target
                None => {
                    let known = open.members.iter();
                    known.filter_map(|member| directory.device(member.device.id)).collect()
                }
            };
            self.set_members(id, others);
        }
        self.take_targets(io);
    }
}
