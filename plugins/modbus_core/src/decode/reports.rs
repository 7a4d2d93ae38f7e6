//! What units say about themselves: identification, status, counters.

use flux_plugin_sdk::{Output, PluginError};

use super::{Answer, echoed, mismatch, wrong_length};
use crate::function::{MEI_DEVICE_IDENTIFICATION, code as function};

/// 6.21: names of the objects every unit has, and of those it may have.
const OBJECTS: [&str; 7] = [
    "vendor_name",
    "product_code",
    "revision",
    "vendor_url",
    "product_name",
    "model_name",
    "user_application_name",
];

/// 6.9, 6.10: the status of a unit that still works on an earlier command.
const BUSY: [u8; 2] = [0xff, 0xff];

impl Answer<'_> {
    /// 6.7, 6.9, 6.10, 6.13.
    pub(super) fn report(&self, pdu: &[u8], out: &mut Output<'_>) -> Result<(), PluginError> {
        match *pdu {
            [function::READ_EXCEPTION_STATUS, status] => {
                out.message(self.device).value("exception_status", status);
            }
            [function::GET_COMM_EVENT_COUNTER, s1, s0, c1, c0] => {
                out.message(self.device)
                    .value("busy", [s1, s0] == BUSY)
                    .value("event_count", u16::from_be_bytes([c1, c0]));
            }
            [function::GET_COMM_EVENT_LOG, bytes, s1, s0, e1, e0, m1, m0, ref events @ ..]
                if usize::from(bytes) == events.len() + 6 =>
            {
                out.message(self.device)
                    .value("busy", [s1, s0] == BUSY)
                    .value("event_count", u16::from_be_bytes([e1, e0]))
                    .value("message_count", u16::from_be_bytes([m1, m0]))
                    .value("events", events);
            }
            // How much of it is the id, and where the run indicator stands, is the maker's choice.
            [function::REPORT_SERVER_ID, bytes, ref id @ ..] if usize::from(bytes) == id.len() => {
                out.message(self.device).value("server_id", id);
            }
            _ => return Err(wrong_length(pdu)),
        }
        Ok(())
    }

    /// 6.8: counters become values; orders are only confirmed.
    pub(super) fn diagnostics(
        &self,
        asked: u16,
        request: &[u8],
        reply: &[u8],
        out: &mut Output<'_>,
    ) -> Result<(), PluginError> {
        let Some(name) = diagnostic_name(asked) else { return echoed(request, reply) };
        let &[_, f1, f0, v1, v0] = reply else { return Err(wrong_length(reply)) };
        if u16::from_be_bytes([f1, f0]) != asked {
            return Err(mismatch("it is another sub-function"));
        }
        out.message(self.device).value(name, u16::from_be_bytes([v1, v0]));
        Ok(())
    }

    /// 6.21: each object a value. Where more objects follow, `next_object` says with which to ask.
    pub(super) fn identification(
        &self,
        asked: u8,
        pdu: &[u8],
        out: &mut Output<'_>,
    ) -> Result<(), PluginError> {
        let [_, MEI_DEVICE_IDENTIFICATION, code, conformity, more, next, count, objects @ ..] = pdu
        else {
            return Err(wrong_length(pdu));
        };
        if *code != asked {
            return Err(mismatch("it is another way of identification"));
        }
        let objects = split(objects, *count).ok_or_else(|| wrong_length(pdu))?;
        let mut message = out.message(self.device);
        message.value("conformity_level", *conformity);
        for (number, bytes) in objects {
            let name = match OBJECTS.get(usize::from(number)) {
                Some(name) => (*name).to_owned(),
                None => format!("object_{number}"),
            };
            match std::str::from_utf8(bytes) {
                Ok(text) => message.value(&name, text.trim_end_matches('\0')),
                Err(_) => message.value(&name, bytes),
            };
        }
        if *more == 0xff {
            message.value("next_object", *next);
        }
        Ok(())
    }
}

/// Objects: number, length, bytes; exactly so many.
fn split(mut rest: &[u8], count: u8) -> Option<Vec<(u8, &[u8])>> {
    let mut objects = Vec::new();
    for _ in 0..count {
        let [number, len, behind @ ..] = rest else { return None };
        let (bytes, behind) = behind.split_at_checked(usize::from(*len))?;
        objects.push((*number, bytes));
        rest = behind;
    }
    rest.is_empty().then_some(objects)
}

/// 6.8.1: what a sub-function brings; `None` where it sends back what it was sent.
fn diagnostic_name(function: u16) -> Option<&'static str> {
    Some(match function {
        0x02 => "diagnostic_register",
        0x0b => "bus_message_count",
        0x0c => "bus_communication_error_count",
        0x0d => "bus_exception_error_count",
        0x0e => "server_message_count",
        0x0f => "server_no_response_count",
        0x10 => "server_nak_count",
        0x11 => "server_busy_count",
        0x12 => "bus_character_overrun_count",
        _ => return None,
    })
}
