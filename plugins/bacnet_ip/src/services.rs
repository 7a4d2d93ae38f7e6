//! What devices answer and report: clauses 13, 15 and 16.

use flux_plugin_sdk::{Context, Output, PluginError, debug};

use crate::apdu::{self, Apdu, simple_ack};
use crate::link::{self, Cast, Link};
use crate::names::{
    ABORT_REASONS, ERROR_CLASSES, ERROR_CODES, REJECT_REASONS, SEGMENTATIONS, SERVICES,
};
use crate::network::{self, Destination, Station};
use crate::plan::{Plan, Reference, compile};
use crate::report::Report;
use crate::tags::{Class, Tags, small};
use crate::value::{Content, ObjectId, Value};

/// Confirmed services (clause 21, BACnetConfirmedServiceChoice).
pub(crate) mod confirmed {
    pub(crate) const COV_NOTIFICATION: u8 = 1;
    pub(crate) const SUBSCRIBE_COV: u8 = 5;
    pub(crate) const READ_PROPERTY: u8 = 12;
    pub(crate) const READ_PROPERTY_MULTIPLE: u8 = 14;
    pub(crate) const WRITE_PROPERTY: u8 = 15;
}

/// Unconfirmed services (clause 21, BACnetUnconfirmedServiceChoice).
pub(crate) mod unconfirmed {
    pub(crate) const I_AM: u8 = 0;
    pub(crate) const COV_NOTIFICATION: u8 = 2;
    pub(crate) const WHO_IS: u8 = 8;
}

/// The type of the object that stands for the device.
const DEVICE: u32 = 8;

/// Decodes one frame.
///
/// # Errors
/// `settings.invalid`, `bacnet.length`, `bacnet.malformed`, `bacnet.charset`, `bacnet.secure`,
/// `bacnet.bvlc`, `bacnet.segmented`, `not_mine`, `bacnet.error`, `bacnet.reject`,
/// `bacnet.abort`.
pub(crate) fn decode(
    ctx: &Context<'_>,
    raw: &[u8],
    out: &mut Output<'_>,
) -> Result<(), PluginError> {
    let plan = ctx.compiled(compile)?;
    let (npdu, at) = match link::read(raw)? {
        Link::Npdu(npdu, at) => (npdu, at),
        Link::Management(function) => {
            debug!("BVLC function 0x{function:02x} carries no values");
            return Ok(());
        }
    };
    let npdu = network::read(npdu, at)?;
    let Some(bytes) = npdu.apdu else {
        debug!("a message between routers carries no values");
        return Ok(());
    };
    let apdu = apdu::read(bytes, npdu.at)?;
    if let Some(request) = ctx.request() {
        check_answer(&apdu, request)?;
    }
    match apdu {
        Apdu::UnconfirmedRequest { service, body } => announcement(service, body, &plan, out),
        Apdu::ConfirmedRequest { invoke_id, service, body } => {
            request(invoke_id, service, body, &plan, npdu.source.as_ref(), out)
        }
        Apdu::ComplexAck { service, body, .. } => answer(service, body, &plan, out),
        Apdu::SimpleAck { service, .. } => {
            debug!("{} is done", SERVICES.text(service.into()));
            Ok(())
        }
        Apdu::Segment { .. } => Err(PluginError::new(
            "bacnet.segmented",
            "segments cannot be put together; ask for fewer properties at a time \
            (`properties_per_read`), or for one element of an array",
        )),
        Apdu::Error { service, body, .. } => Err(error(service, body)?),
        Apdu::Reject { reason, .. } => {
            let text = format!("the request was rejected: {}", REJECT_REASONS.text(reason.into()));
            Err(PluginError::new("bacnet.reject", text))
        }
        Apdu::Abort { reason, .. } => {
            let text = format!("the request was aborted: {}", ABORT_REASONS.text(reason.into()));
            Err(PluginError::new("bacnet.abort", text))
        }
    }
}

/// An answer bears the number of its request, and names the same service (5.4). Whatever else comes
/// while an answer is waited for, such as a notification, is not it.
///
/// # Errors
/// `not_mine`.
fn check_answer(answer: &Apdu<'_>, request: &[u8]) -> Result<(), PluginError> {
    let Some((asked, service)) = asked(request) else { return Ok(()) };
    let not_mine = |text: String| Err(PluginError::new("not_mine", text));
    match (answer.answers(), answer.service()) {
        (None, _) => not_mine(format!("answers nothing, and request {asked} was asked")),
        (Some(got), _) if got != asked => {
            not_mine(format!("answers request {got}, and {asked} was asked"))
        }
        (_, Some(other)) if other != service => {
            let (other, service) = (SERVICES.text(other.into()), SERVICES.text(service.into()));
            not_mine(format!("answers {other}, and {service} was asked"))
        }
        _ => Ok(()),
    }
}

/// Number and service of a request; `None` for bytes that are no confirmed request.
fn asked(request: &[u8]) -> Option<(u8, u8)> {
    let Ok(Link::Npdu(npdu, at)) = link::read(request) else { return None };
    let npdu = network::read(npdu, at).ok()?;
    match apdu::read(npdu.apdu?, npdu.at).ok()? {
        Apdu::ConfirmedRequest { invoke_id, service, .. } => Some((invoke_id, service)),
        _ => None,
    }
}

fn announcement(
    service: u8,
    body: Tags<'_>,
    plan: &Plan,
    out: &mut Output<'_>,
) -> Result<(), PluginError> {
    match service {
        unconfirmed::I_AM => i_am(body, plan, out),
        unconfirmed::COV_NOTIFICATION => notification(body, plan, out),
        other => {
            debug!("unconfirmed service {other} carries no values that are read");
            Ok(())
        }
    }
}

/// 16.10.3. Its values say what is worth knowing before the device is asked anything.
fn i_am(mut body: Tags<'_>, plan: &Plan, out: &mut Output<'_>) -> Result<(), PluginError> {
    let at = body.at();
    let wrong = || crate::malformed(at, "I-Am has a device, a size, a segmentation and a vendor");
    let mut next = || Value::read(&body.next()?);
    let parts = (next()?, next()?, next()?, next()?);
    let (
        Value::Object(device),
        Value::Unsigned(size),
        Value::Enumerated(segmentation),
        Value::Unsigned(vendor),
    ) = parts
    else {
        return Err(wrong());
    };
    if device.kind() != DEVICE {
        return Err(wrong());
    }
    let size = i64::try_from(size).map_err(|_| wrong())?;
    let vendor = i64::try_from(vendor).map_err(|_| wrong())?;
    let segmentation = SEGMENTATIONS.text(u32::try_from(segmentation).map_err(|_| wrong())?);
    let Some(key) = plan.device(device.instance()).filter(|_| plan.announcements) else {
        return Ok(());
    };
    out.message(&key)
        .value("device_instance", device.instance())
        .value("max_apdu_length", size)
        .value("segmentation", &*segmentation)
        .value("vendor_id", vendor);
    Ok(())
}

/// 13.6.1 and 13.7.1.
fn notification(mut body: Tags<'_>, plan: &Plan, out: &mut Output<'_>) -> Result<(), PluginError> {
    body.context(0)?; // who subscribed
    let at = body.at();
    let device = ObjectId::read(body.context(1)?, at)?;
    let at = body.at();
    let object = ObjectId::read(body.context(2)?, at)?;
    body.context(3)?; // how long the subscription still holds
    body.pass(Class::Opening, 4)?;
    let Some(key) = plan.device(device.instance()) else { return Ok(()) };
    let mut report = Report::new(plan, &key, out);
    while !body.passes(Class::Closing, 4)? {
        let (property, index) = property(&mut body, 0)?;
        let content = Content::read(&mut body, 2)?;
        body.optional_context(3)?; // the priority it was written with
        report.property(Reference { object, property, index }, &content)?;
    }
    report.finish()
}

/// A property's number, and which element of it.
fn property(body: &mut Tags<'_>, first: u8) -> Result<(u32, Option<u32>), PluginError> {
    let at = body.at();
    let property = small(body.context(first)?, at)?;
    let at = body.at();
    let index = body.optional_context(first + 1)?.map(|index| small(index, at)).transpose()?;
    Ok((property, index))
}

fn request(
    invoke_id: u8,
    service: u8,
    body: Tags<'_>,
    plan: &Plan,
    source: Option<&Station>,
    out: &mut Output<'_>,
) -> Result<(), PluginError> {
    if service != confirmed::COV_NOTIFICATION {
        debug!("we are asked for {}, which we do not serve", SERVICES.text(service.into()));
        return Ok(());
    }
    notification(body, plan, out)?;
    if plan.acknowledge {
        // The device repeats the notification until this comes back (13.6.2).
        let destination = source.map_or(Destination::Local, Destination::Remote);
        let npdu = network::write(destination, false, &simple_ack(invoke_id, service));
        out.frame(&link::frame(Cast::One, &npdu));
    }
    Ok(())
}

fn answer(
    service: u8,
    body: Tags<'_>,
    plan: &Plan,
    out: &mut Output<'_>,
) -> Result<(), PluginError> {
    match service {
        confirmed::READ_PROPERTY => one_property(body, plan, out),
        confirmed::READ_PROPERTY_MULTIPLE => many_properties(body, plan, out),
        other => {
            debug!("the answer to {} carries no values that are read", SERVICES.text(other.into()));
            Ok(())
        }
    }
}

/// 15.5.1.2.
fn one_property(mut body: Tags<'_>, plan: &Plan, out: &mut Output<'_>) -> Result<(), PluginError> {
    let at = body.at();
    let object = ObjectId::read(body.context(0)?, at)?;
    let (property, index) = property(&mut body, 1)?;
    let content = Content::read(&mut body, 3)?;
    let mut report = Report::new(plan, "", out);
    report.property(Reference { object, property, index }, &content)?;
    report.finish()
}

/// 15.7.1.2: for each object a list of results, each a value or an error.
fn many_properties(
    mut body: Tags<'_>,
    plan: &Plan,
    out: &mut Output<'_>,
) -> Result<(), PluginError> {
    let mut report = Report::new(plan, "", out);
    while !body.is_empty() {
        let at = body.at();
        let object = ObjectId::read(body.context(0)?, at)?;
        body.pass(Class::Opening, 1)?;
        while !body.passes(Class::Closing, 1)? {
            let (property, index) = property(&mut body, 2)?;
            let at = Reference { object, property, index };
            if body.passes(Class::Opening, 5)? {
                let why = class_and_code(&mut body)?;
                body.pass(Class::Closing, 5)?;
                report.problem(PluginError::new("bacnet.error", format!("{at}: {why}")));
            } else {
                report.property(at, &Content::read(&mut body, 4)?)?;
            }
        }
    }
    report.finish()
}

/// 20.1.7: a class and a code, which some services put into a parameter of their own.
fn error(service: u8, mut body: Tags<'_>) -> Result<PluginError, PluginError> {
    body.passes(Class::Opening, 0)?;
    let why = class_and_code(&mut body)?;
    let text = format!("{} failed: {why}", SERVICES.text(service.into()));
    Ok(PluginError::new("bacnet.error", text))
}

/// Clause 21, Error: `unknown-object (object)`.
fn class_and_code(body: &mut Tags<'_>) -> Result<String, PluginError> {
    let at = body.at();
    let mut next = || {
        match Value::read(&body.next()?)? {
            Value::Enumerated(number) => u32::try_from(number).ok(),
            _ => None,
        }
        .ok_or_else(|| crate::malformed(at, "an error has a class and a code"))
    };
    let (class, code) = (next()?, next()?);
    Ok(format!("{} ({})", ERROR_CODES.text(code), ERROR_CLASSES.text(class)))
}
