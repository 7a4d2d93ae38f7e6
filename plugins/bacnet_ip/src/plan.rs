//! How the plugin is set up: settings, checked once and laid out for use.

use std::collections::BTreeMap;

use flux_plugin_sdk::json::JsonError;
use flux_plugin_sdk::{PluginError, Scale, settings};

use crate::datatype::{Datatype, hexadecimal};
use crate::names::PROPERTIES;
use crate::network::Station;
use crate::value::ObjectId;

/// Objects of one use.
pub(crate) const OBJECTS_MAX: usize = 1000;
/// Properties in one request: with eighteen bytes for each it stays within an APDU of 1476.
const PROPERTIES_PER_READ_MAX: u8 = 80;
/// Bytes of a name: what is put behind it has to fit the ABI's 255 as well.
const NAME_BYTES_MAX: usize = 200;
pub(crate) const PRESENT_VALUE: u32 = 85;

settings! {
    /// A property of an object, and what it is called here.
    #[derive(Debug, Clone)]
    pub struct ObjectSettings {
        /// Type and instance: `analog-input,1`. The type may be a number.
        object: String,
        /// The name of the value.
        name: String,
        /// Which property, by name or number.
        property: String = "present-value".to_owned(),
        /// Which element, of an array.
        index: Option<u32>,
        /// Multiplied with what is read.
        scale: f64 = 1.0,
        /// Added behind that.
        add: f64 = 0.0,
        /// Words for numbers: `{"1": "off", "2": "on"}`.
        r#enum: BTreeMap<String, String> = BTreeMap::new(),
        /// Names of bits, the first one first; each becomes a value. Empty: is left out.
        bits: Vec<String> = Vec::new(),
        /// The type to write, where it does not follow from the object.
        r#type: Option<Datatype>,
        /// The priority to write with, 1 to 16.
        priority: Option<u8>,
        /// What people read behind the number; it changes nothing.
        unit: Option<String>,
    }
}

settings! {
    /// What becomes of objects that are not named.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum Unmapped {
        /// They are called after type, instance and property: `analog_input_1`.
        Keep = "keep",
        /// They are left out.
        Drop = "drop",
    }
}

settings! {
    /// Whose the reports of devices are that are not named.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum OtherDevices {
        /// The source's own device's.
        Own = "own",
        /// Those of a device whose key is the instance.
        Instance = "instance",
        /// Nobody's: they are left out.
        Drop = "drop",
    }
}

settings! {
    /// A device behind a router.
    #[derive(Debug, Clone)]
    pub struct RouteSettings {
        /// The number of its network, 1 to 65534.
        network: u16,
        /// Its address there, hexadecimal: `0c` on MS/TP.
        address: String,
    }
}

settings! {
    /// What a device's objects are called, and how it is asked.
    #[derive(Debug)]
    pub struct Settings {
        /// The objects of interest.
        objects: Vec<ObjectSettings> = Vec::new(),
        /// What becomes of objects that are not named.
        unmapped: Unmapped = Unmapped::Keep,
        /// Keys of devices, by instance: whose notifications and I-Am are.
        devices: BTreeMap<String, String> = BTreeMap::new(),
        /// Whose the reports of devices are that are not named.
        other_devices: OtherDevices = OtherDevices::Own,
        /// Whether I-Am becomes a message.
        announcements: bool = true,
        /// Whether confirmed notifications are answered.
        acknowledge: bool = true,
        /// Where the device is, if it is behind a router.
        route: Option<RouteSettings>,
        /// Properties in one request, 1 to 80; 1: one request for each, by read-property.
        properties_per_read: u8 = 20,
        /// The number subscriptions are made under.
        process_id: u32 = 1,
        /// Whether subscriptions ask for confirmed notifications.
        confirmed: bool = false,
        /// How long subscriptions hold, s; 0: for ever.
        lifetime_s: u32 = 600,
        /// The priority to write with where nothing else is said, 1 to 16.
        priority: Option<u8>,
    }
}

/// A property of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Reference {
    pub(crate) object: ObjectId,
    pub(crate) property: u32,
    pub(crate) index: Option<u32>,
}

impl std::fmt::Display for Reference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.object, PROPERTIES.text(self.property))?;
        self.index.map_or(Ok(()), |index| write!(f, "[{index}]"))
    }
}

/// A named property.
#[derive(Debug)]
pub(crate) struct Point {
    pub(crate) at: Reference,
    pub(crate) name: String,
    pub(crate) scale: Scale,
    pub(crate) labels: BTreeMap<u64, String>,
    pub(crate) bits: Vec<String>,
    pub(crate) datatype: Option<Datatype>,
    pub(crate) priority: Option<u8>,
}

/// The settings, ready to be used.
#[derive(Debug)]
pub(crate) struct Plan {
    /// In the order of the settings.
    pub(crate) points: Vec<Point>,
    /// Where in `points` each property is.
    by_reference: BTreeMap<Reference, usize>,
    by_name: BTreeMap<String, usize>,
    pub(crate) unmapped: Unmapped,
    devices: BTreeMap<u32, String>,
    other_devices: OtherDevices,
    pub(crate) announcements: bool,
    pub(crate) acknowledge: bool,
    pub(crate) route: Option<Station>,
    pub(crate) properties_per_read: usize,
    pub(crate) priority: Option<u8>,
    pub(crate) process_id: u32,
    pub(crate) confirmed: bool,
    pub(crate) lifetime_s: u32,
}

impl Plan {
    /// The point of a property.
    pub(crate) fn point(&self, at: Reference) -> Option<&Point> {
        self.points.get(*self.by_reference.get(&at)?)
    }

    /// The point of a name.
    pub(crate) fn named(&self, name: &str) -> Option<&Point> {
        self.points.get(*self.by_name.get(name)?)
    }

    /// The key of the device of an instance; `None`: what it says is left out.
    pub(crate) fn device(&self, instance: u32) -> Option<String> {
        match (self.devices.get(&instance), self.other_devices) {
            (Some(key), _) => Some(key.clone()),
            (None, OtherDevices::Own) => Some(String::new()),
            (None, OtherDevices::Instance) => Some(instance.to_string()),
            (None, OtherDevices::Drop) => None,
        }
    }
}

/// Checks what belongs together.
///
/// # Errors
/// Code `settings.invalid`, with the JSON pointer of what is wrong.
pub(crate) fn compile(settings: Settings) -> Result<Plan, PluginError> {
    checked(settings).map_err(|error| PluginError::new("settings.invalid", error.to_string()))
}

fn checked(settings: Settings) -> Result<Plan, JsonError> {
    let Settings { objects, devices, route, priority, .. } = settings;
    check_priority(priority)?;
    if !(1..=PROPERTIES_PER_READ_MAX).contains(&settings.properties_per_read) {
        let text = format!("must be 1 to {PROPERTIES_PER_READ_MAX}");
        return Err(JsonError::new(text).within("properties_per_read"));
    }
    let mut plan = Plan {
        points: Vec::new(),
        by_reference: BTreeMap::new(),
        by_name: BTreeMap::new(),
        unmapped: settings.unmapped,
        devices: keys(devices).map_err(|error| error.within("devices"))?,
        other_devices: settings.other_devices,
        announcements: settings.announcements,
        acknowledge: settings.acknowledge,
        route: route.map(station).transpose().map_err(|error| error.within("route"))?,
        properties_per_read: settings.properties_per_read.into(),
        priority,
        process_id: settings.process_id,
        confirmed: settings.confirmed,
        lifetime_s: settings.lifetime_s,
    };
    if objects.len() > OBJECTS_MAX {
        return Err(JsonError::new(format!("must be at most {OBJECTS_MAX}")).within("objects"));
    }
    for (index, object) in objects.into_iter().enumerate() {
        let added = plan.add(object, priority);
        added.map_err(|error| error.within(index).within("objects"))?;
    }
    Ok(plan)
}

fn check_priority(priority: Option<u8>) -> Result<(), JsonError> {
    match priority {
        None | Some(1..=16) => Ok(()),
        Some(_) => Err(JsonError::new("must be 1 to 16").within("priority")),
    }
}

fn keys(devices: BTreeMap<String, String>) -> Result<BTreeMap<u32, String>, JsonError> {
    let read =
        |(instance, key): (String, String)| {
            let number = instance.parse().ok().filter(|number| *number <= ObjectId::INSTANCE_MAX);
            match number {
                Some(number) if !key.is_empty() && key.len() <= NAME_BYTES_MAX => Ok((number, key)),
                Some(_) => Err(JsonError::new(format!("must have 1 to {NAME_BYTES_MAX} bytes"))
                    .within(instance)),
                None => Err(JsonError::new("the name of this member must be a device's instance")
                    .within(instance)),
            }
        };
    devices.into_iter().map(read).collect()
}

fn station(route: RouteSettings) -> Result<Station, JsonError> {
    if !(1..=65_534).contains(&route.network) {
        return Err(JsonError::new("must be 1 to 65534").within("network"));
    }
    let address = hexadecimal(&route.address).map_err(|error| error.within("address"))?;
    if !(1..=18).contains(&address.len()) {
        return Err(JsonError::new("must have 1 to 18 bytes").within("address"));
    }
    Ok(Station { network: route.network, address })
}

/// A property of an object, as settings and commands write it.
///
/// # Errors
/// What is wrong, at `object` or `property`.
pub(crate) fn reference(
    object: &str,
    property: &str,
    index: Option<u32>,
) -> Result<Reference, JsonError> {
    let object = ObjectId::parse(object).ok_or_else(|| {
        JsonError::new("must be a type and an instance, such as analog-input,1").within("object")
    })?;
    let property = match property {
        "present-value" => Some(PRESENT_VALUE),
        other => PROPERTIES.number(other).filter(|number| *number <= 0x3f_ffff),
    };
    let property = property.ok_or_else(|| {
        JsonError::new("is no property that is known by name; its number will do")
            .within("property")
    })?;
    Ok(Reference { object, property, index })
}

impl Plan {
    fn add(&mut self, one: ObjectSettings, priority: Option<u8>) -> Result<(), JsonError> {
        let at = reference(&one.object, &one.property, one.index)?;
        if one.name.is_empty() || one.name.len() > NAME_BYTES_MAX {
            return Err(
                JsonError::new(format!("must have 1 to {NAME_BYTES_MAX} bytes")).within("name")
            );
        }
        if self.by_name.insert(one.name.clone(), self.points.len()).is_some() {
            return Err(JsonError::new("another object has this name already").within("name"));
        }
        if !(one.scale.is_finite() && one.scale != 0.0) {
            return Err(JsonError::new("must not be 0").within("scale"));
        }
        if let Some(long) = one.bits.iter().position(|bit| bit.len() + one.name.len() > 254) {
            return Err(JsonError::new("is too long").within(long).within("bits"));
        }
        check_priority(one.priority)?;
        if self.by_reference.insert(at, self.points.len()).is_some() {
            return Err(JsonError::new(format!("{at} is named already")).within("object"));
        }
        self.points.push(Point {
            at,
            name: one.name,
            scale: Scale::new(one.scale, one.add),
            labels: labels(one.r#enum).map_err(|error| error.within("enum"))?,
            bits: one.bits,
            datatype: one.r#type,
            priority: one.priority.or(priority),
        });
        Ok(())
    }
}

fn labels(words: BTreeMap<String, String>) -> Result<BTreeMap<u64, String>, JsonError> {
    let mut labels = BTreeMap::new();
    for (number, word) in words {
        let key = number.parse().map_err(|_| {
            JsonError::new("the name of this member must be a whole number").within(&number)
        })?;
        if labels.values().any(|known| *known == word) {
            return Err(JsonError::new("is the word for another number already").within(number));
        }
        labels.insert(key, word);
    }
    Ok(labels)
}
