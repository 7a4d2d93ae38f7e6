//! Settings as types: reading them, saying what is wrong with them, describing them.
//!
//! Owns the trait [`Setting`], the macro [`settings!`](crate::settings) that implements it, and the
//! cache of settings that were read.

use std::any::{Any, TypeId};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use crate::PluginError;
use crate::json::{Json, JsonError, parse};

/// Different settings of one plugin kept at a time; beyond it the oldest are read again when they
/// are needed.
pub const CACHED_MAX: usize = 64;

/// What can stand in settings. Mostly written by [`settings!`](crate::settings).
pub trait Setting: Sized {
    /// Reads it.
    ///
    /// # Errors
    /// What is wrong, and where.
    fn from_json(json: &Json) -> Result<Self, JsonError>;

    /// Writes it, as [`Setting::from_json`] reads it.
    fn to_json(&self) -> Json;

    /// Its JSON Schema.
    fn schema() -> Json;

    /// What an absent one is; `None`: it must be there.
    #[must_use]
    fn when_missing() -> Option<Self> {
        None
    }
}

/// Reads settings from their text.
///
/// # Errors
/// What is wrong, and where.
///
/// ```
/// use flux_plugin_sdk::setting;
///
/// assert_eq!(setting::read::<Vec<u8>>("[1, 2]").unwrap(), [1, 2]);
/// assert_eq!(setting::read::<Vec<u8>>("[1, 300]").unwrap_err().to_string(),
///     "/1: must be a whole number from 0 to 255");
/// ```
pub fn read<T: Setting>(text: &str) -> Result<T, JsonError> {
    T::from_json(&parse(text)?)
}

struct Cached {
    id: u64,
    /// What was made of the settings, or why it could not be.
    made: Result<Rc<dyn Any>, Refused>,
}

struct Refused {
    /// What was to be made.
    type_id: TypeId,
    error: PluginError,
}

thread_local! {
    /// Newest last. A sandbox has one thread; natively each test has its own.
    static CACHE: RefCell<Vec<Cached>> = const { RefCell::new(Vec::new()) };
}

/// What was made of the settings with this id, made now if it is not there.
#[inline]
pub(crate) fn cached<C: 'static>(
    id: u64,
    make: impl FnOnce() -> Result<C, PluginError>,
) -> Result<Rc<C>, PluginError> {
    match CACHE.with_borrow(|cache| find(cache, id)) {
        Some(made) => made,
        None => make_and_keep(id, make),
    }
}

/// On the path of every frame: a comparison and a count, where there is one kind of settings.
#[inline]
fn find<C: 'static>(cache: &[Cached], id: u64) -> Option<Result<Rc<C>, PluginError>> {
    cache.iter().rev().filter(|one| one.id == id).find_map(|one| match &one.made {
        Ok(made) => Rc::clone(made).downcast().ok().map(Ok),
        Err(refused) => (refused.type_id == TypeId::of::<C>()).then(|| Err(refused.error.clone())),
    })
}

#[cold]
fn make_and_keep<C: 'static>(
    id: u64,
    make: impl FnOnce() -> Result<C, PluginError>,
) -> Result<Rc<C>, PluginError> {
    let made = make().map(Rc::new);
    let kept = match &made {
        Ok(made) => Ok(Rc::clone(made) as Rc<dyn Any>),
        Err(error) => Err(Refused { type_id: TypeId::of::<C>(), error: error.clone() }),
    };
    CACHE.with_borrow_mut(|cache| {
        if cache.len() >= CACHED_MAX {
            cache.remove(0);
        }
        cache.push(Cached { id, made: kept });
    });
    made
}

fn must_be(what: &str, json: &Json) -> JsonError {
    JsonError::new(format!("must be {what}, not {}", json.kind()))
}

macro_rules! whole_numbers {
    ($($number:ty),+) => {$(
        impl Setting for $number {
            fn from_json(json: &Json) -> Result<Self, JsonError> {
                json.as_i64().and_then(|number| number.try_into().ok()).ok_or_else(|| {
                    let (min, max) = (Self::MIN, Self::MAX);
                    JsonError::new(format!("must be a whole number from {min} to {max}"))
                })
            }

            fn to_json(&self) -> Json {
                Json::Int((*self).into())
            }

            fn schema() -> Json {
                Json::object([
                    ("type", "integer".into()),
                    ("minimum", Self::MIN.to_json()),
                    ("maximum", Self::MAX.to_json()),
                ])
            }
        }
    )+};
}
whole_numbers!(i8, i16, i32, i64, u8, u16, u32);

macro_rules! simple {
    ($type:ty, $name:literal, $what:literal, $read:expr) => {
        impl Setting for $type {
            fn from_json(json: &Json) -> Result<Self, JsonError> {
                $read(json).ok_or_else(|| must_be($what, json))
            }

            fn to_json(&self) -> Json {
                self.clone().into()
            }

            fn schema() -> Json {
                Json::object([("type", $name.into())])
            }
        }
    };
}
simple!(f64, "number", "a number", Json::as_f64);
simple!(bool, "boolean", "true or false", Json::as_bool);
simple!(String, "string", "a string", |json: &Json| json.as_str().map(str::to_owned));

/// Anything at all, as it stands.
impl Setting for Json {
    fn from_json(json: &Json) -> Result<Self, JsonError> {
        Ok(json.clone())
    }

    fn to_json(&self) -> Json {
        self.clone()
    }

    fn schema() -> Json {
        Json::Object(Vec::new())
    }
}

/// May be left out, or `null`.
impl<T: Setting> Setting for Option<T> {
    fn from_json(json: &Json) -> Result<Self, JsonError> {
        if *json == Json::Null { Ok(None) } else { T::from_json(json).map(Some) }
    }

    fn to_json(&self) -> Json {
        self.as_ref().map_or(Json::Null, Setting::to_json)
    }

    fn schema() -> Json {
        T::schema()
    }

    fn when_missing() -> Option<Self> {
        Some(None)
    }
}

impl<T: Setting> Setting for Vec<T> {
    fn from_json(json: &Json) -> Result<Self, JsonError> {
        let items = json.items().ok_or_else(|| must_be("an array", json))?;
        let read = |(index, item)| T::from_json(item).map_err(|error| error.within(index));
        items.iter().enumerate().map(read).collect()
    }

    fn to_json(&self) -> Json {
        Json::List(self.iter().map(Setting::to_json).collect())
    }

    fn schema() -> Json {
        Json::object([("type", "array".into()), ("items", T::schema())])
    }
}

/// An object whose names are up to whoever writes it.
impl<T: Setting> Setting for BTreeMap<String, T> {
    fn from_json(json: &Json) -> Result<Self, JsonError> {
        let members = json.members().ok_or_else(|| must_be("an object", json))?;
        let read = |(name, value): &(String, Json)| match T::from_json(value) {
            Ok(value) => Ok((name.clone(), value)),
            Err(error) => Err(error.within(name)),
        };
        members.iter().map(read).collect()
    }

    fn to_json(&self) -> Json {
        Json::object(self.iter().map(|(name, value)| (name.as_str(), value.to_json())))
    }

    fn schema() -> Json {
        Json::object([("type", "object".into()), ("additionalProperties", T::schema())])
    }
}

/// The members of an object whose names are known; for [`settings!`](crate::settings).
#[doc(hidden)]
#[derive(Debug)]
pub struct Fields<'a> {
    json: &'a Json,
}

impl<'a> Fields<'a> {
    /// Refuses what is no object, and names that are not known.
    ///
    /// # Errors
    /// As said.
    pub fn of(json: &'a Json, known: &[&str]) -> Result<Self, JsonError> {
        let members = json.members().ok_or_else(|| must_be("an object", json))?;
        match members.iter().find(|(name, _)| !known.contains(&name.as_str())) {
            None => Ok(Self { json }),
            Some((name, _)) => {
                let known = known.join(", ");
                Err(JsonError::new(format!("is not known; there is {known}")).within(name))
            }
        }
    }

    /// One that must be there, unless its type says what an absent one is.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn field<T: Setting>(&self, name: &str) -> Result<T, JsonError> {
        let read = match self.json.get(name) {
            Some(json) => T::from_json(json),
            None => T::when_missing().ok_or_else(|| JsonError::new("is missing")),
        };
        read.map_err(|error| error.within(name))
    }

    /// One that may be left out.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn field_or<T: Setting>(
        &self,
        name: &str,
        otherwise: impl FnOnce() -> T,
    ) -> Result<T, JsonError> {
        match self.json.get(name) {
            Some(json) => T::from_json(json).map_err(|error| error.within(name)),
            None => Ok(otherwise()),
        }
    }
}

/// The schema of an object, member by member; for [`settings!`](crate::settings).
#[doc(hidden)]
#[derive(Debug)]
pub struct Properties {
    about: &'static str,
    properties: Vec<(String, Json)>,
    required: Vec<Json>,
}

impl Properties {
    /// Of an object about this.
    #[must_use]
    pub const fn new(about: &'static str) -> Self {
        Self { about, properties: Vec::new(), required: Vec::new() }
    }

    /// With a member that must be there, unless its type says what an absent one is.
    pub fn field<T: Setting>(&mut self, name: &str, about: &str) {
        if T::when_missing().is_none() {
            self.required.push(name.into());
        }
        self.add::<T>(name, about);
    }

    /// With a member that may be left out.
    pub fn field_or<T: Setting>(&mut self, name: &str, about: &str, otherwise: &T) {
        self.add::<T>(name, about).set("default", otherwise.to_json());
    }

    fn add<T: Setting>(&mut self, name: &str, about: &str) -> &mut Json {
        let mut schema = T::schema();
        if !about.is_empty() {
            schema.set("description", about.trim());
        }
        self.properties.push((name.to_owned(), schema));
        let last = self.properties.len() - 1;
        &mut self.properties[last].1
    }

    /// The schema.
    #[must_use]
    pub fn finish(self) -> Json {
        let mut schema = Json::object([
            ("type", "object".into()),
            ("properties", Json::Object(self.properties)),
            ("additionalProperties", false.into()),
        ]);
        if !self.about.is_empty() {
            schema.set("description", self.about.trim());
        }
        if !self.required.is_empty() {
            schema.set("required", Json::List(self.required));
        }
        schema
    }
}

/// The word that stands for a variant; for [`settings!`](crate::settings).
#[doc(hidden)]
pub fn one_of<T: Copy>(json: &Json, words: &[(&str, T)]) -> Result<T, JsonError> {
    let found = json.as_str().and_then(|word| words.iter().find(|(known, _)| *known == word));
    found.map(|(_, variant)| *variant).ok_or_else(|| {
        let known: Vec<_> = words.iter().map(|(word, _)| format!("{word:?}")).collect();
        JsonError::new(format!("must be one of {}", known.join(", ")))
    })
}

/// The name of a member, which is written `r#type` where it is a word of the language.
#[doc(hidden)]
#[must_use]
pub fn plain(name: &'static str) -> &'static str {
    name.strip_prefix("r#").unwrap_or(name)
}

/// Types of settings: structures that are JSON objects, and enumerations that are words.
///
/// Each field is read from the member of its name. One with `= value` may be left out, and so may
/// an `Option`; every other one must be there, and a name that is none of them is refused: it is
/// mostly a slip of the pen. The comments become the schema's descriptions.
///
/// ```
/// use flux_plugin_sdk::{Setting, setting, settings};
///
/// settings! {
///     /// Which of two words comes first.
///     #[derive(Debug, Clone, Copy, PartialEq)]
///     pub enum WordOrder {
///         /// The high word.
///         Big = "big",
///         /// The low word.
///         Little = "little",
///     }
/// }
///
/// settings! {
///     /// One register.
///     #[derive(Debug)]
///     pub struct Register {
///         /// The name of the value.
///         name: String,
///         /// Its number in the device.
///         address: u16,
///         /// Multiplied with what is read.
///         scale: f64 = 1.0,
///         /// Which word comes first.
///         order: WordOrder = WordOrder::Big,
///         /// What people read behind the number.
///         unit: Option<String>,
///     }
/// }
///
/// let register: Register =
///     setting::read(r#"{"name": "voltage", "address": 40, "order": "little"}"#).unwrap();
/// assert_eq!((register.scale, register.order), (1.0, WordOrder::Little));
///
/// let wrong = setting::read::<Register>(r#"{"name": "voltage", "addres": 40}"#).unwrap_err();
/// assert_eq!(wrong.to_string(),
///     "/addres: is not known; there is name, address, scale, order, unit");
/// assert_eq!(Register::schema().at("/properties/scale/default").unwrap().to_string(), "1");
/// ```
#[macro_export]
macro_rules! settings {
    (
        $(#[doc = $about:literal])*
        $(#[derive($($derive:path),* $(,)?)])?
        $vis:vis struct $name:ident {
            $(
                $(#[doc = $field_about:literal])*
                $field:ident : $type:ty $(= $otherwise:expr)?
            ),* $(,)?
        }
    ) => {
        $(#[doc = $about])*
        $(#[derive($($derive),*)])?
        $vis struct $name {
            $($(#[doc = $field_about])* $vis $field: $type,)*
        }

        impl $crate::Setting for $name {
            fn from_json(json: &$crate::Json) -> Result<Self, $crate::json::JsonError> {
                let fields = $crate::setting::Fields::of(
                    json,
                    &[$($crate::setting::plain(stringify!($field))),*],
                )?;
                Ok(Self {
                    $($field: $crate::__setting_field!(fields, $field $(, $otherwise)?),)*
                })
            }

            fn to_json(&self) -> $crate::Json {
                $crate::Json::object([$((
                    $crate::setting::plain(stringify!($field)),
                    $crate::Setting::to_json(&self.$field),
                )),*])
            }

            fn schema() -> $crate::Json {
                let mut properties = $crate::setting::Properties::new(concat!($($about),*));
                $($crate::__setting_property!(
                    properties, $field, $type, concat!($($field_about),*) $(, $otherwise)?
                );)*
                properties.finish()
            }
        }
    };
    (
        $(#[doc = $about:literal])*
        $(#[derive($($derive:path),* $(,)?)])?
        $vis:vis enum $name:ident {
            $(
                $(#[doc = $variant_about:literal])*
                $variant:ident = $word:literal
            ),+ $(,)?
        }
    ) => {
        $(#[doc = $about])*
        $(#[derive($($derive),*)])?
        $vis enum $name {
            $($(#[doc = $variant_about])* $variant,)+
        }

        impl $crate::Setting for $name {
            fn from_json(json: &$crate::Json) -> Result<Self, $crate::json::JsonError> {
                $crate::setting::one_of(json, &[$(($word, Self::$variant)),+])
            }

            fn to_json(&self) -> $crate::Json {
                match self {
                    $(Self::$variant => $word.into(),)+
                }
            }

            fn schema() -> $crate::Json {
                $crate::Json::object([("enum", vec![$($word),+].into())])
            }
        }
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __setting_field {
    ($fields:ident, $field:ident) => {
        $fields.field($crate::setting::plain(stringify!($field)))?
    };
    ($fields:ident, $field:ident, $otherwise:expr) => {
        $fields.field_or($crate::setting::plain(stringify!($field)), || $otherwise)?
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __setting_property {
    ($properties:ident, $field:ident, $type:ty, $about:expr) => {
        $properties.field::<$type>($crate::setting::plain(stringify!($field)), $about);
    };
    ($properties:ident, $field:ident, $type:ty, $about:expr, $otherwise:expr) => {
        let otherwise: $type = $otherwise;
        $properties.field_or::<$type>(
            $crate::setting::plain(stringify!($field)),
            $about,
            &otherwise,
        );
    };
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Context, testing::Call};

    settings! {
        /// One channel.
        #[derive(Debug, Clone, PartialEq)]
        struct Channel {
            /// Its name.
            r#type: String,
            gain: f64 = 1.0,
            limits: BTreeMap<String, i8>,
            note: Option<String>,
        }
    }

    settings! {
        struct Whole {
            channels: Vec<Channel>,
            strict: bool = true,
        }
    }

    #[test]
    fn what_is_wrong_is_said_with_its_place() {
        for (text, expected) in [
            ("[]", "must be an object, not an array"),
            ("{}", "/channels: is missing"),
            (r#"{"channels": {}}"#, "/channels: must be an array, not an object"),
            (r#"{"channels": [{}]}"#, "/channels/0/type: is missing"),
            (
                r#"{"channels": [{"type": "a", "limits": {"lo/w": 300}}]}"#,
                "/channels/0/limits/lo~1w: must be a whole number from -128 to 127",
            ),
            (
                r#"{"channels": [{"type": "a", "limits": {}, "gain": "2"}]}"#,
                "/channels/0/gain: must be a number, not a string",
            ),
            (
                r#"{"channels": [], "strickt": 1}"#,
                "/strickt: is not known; there is channels, strict",
            ),
            (r#"{"channels": [], "strict": null}"#, "/strict: must be true or false, not null"),
        ] {
            assert_eq!(read::<Whole>(text).err().map(|e| e.to_string()).as_deref(), Some(expected));
        }
    }

    #[test]
    fn settings_that_are_written_read_the_same() {
        let text = r#"{"type": "a", "limits": {"low": -3}, "note": "x"}"#;
        let channel: Channel = read(text).unwrap();
        assert_eq!(channel.gain, 1.0);
        assert_eq!(Channel::from_json(&channel.to_json()).unwrap(), channel);
    }

    #[test]
    fn the_schema_tells_what_must_be_there() {
        let schema = Whole::schema();
        assert_eq!(schema.at("/required").unwrap().to_string(), r#"["channels"]"#);
        let channel = schema.at("/properties/channels/items").unwrap();
        assert_eq!(channel.at("/required").unwrap().to_string(), r#"["type","limits"]"#);
        assert_eq!(channel.at("/properties/type/description").unwrap().as_str(), Some("Its name."));
        assert_eq!(channel.get("description").unwrap().as_str(), Some("One channel."));
    }

    fn forget_cached() {
        CACHE.with_borrow_mut(Vec::clear);
    }

    fn with_id<T>(id: u64, text: &str, read: impl FnOnce(&Context<'_>) -> T) -> T {
        Call::new().settings(text).settings_id(id).with_context(read)
    }

    #[test]
    fn settings_are_read_once_for_each_id() {
        forget_cached();
        let one = with_id(1, r#"{"type": "a", "limits": {}}"#, |ctx| ctx.settings::<Channel>());
        // The id says it is the same: the text is not looked at again.
        let same = with_id(1, "nonsense", |ctx| ctx.settings::<Channel>());
        assert!(Rc::ptr_eq(&one.unwrap(), &same.unwrap()));
        assert!(with_id(2, "nonsense", |ctx| ctx.settings::<Channel>()).is_err());
        assert!(with_id(2, "{}", |ctx| ctx.settings::<Channel>()).is_err());
    }

    #[test]
    fn what_is_kept_is_bounded() {
        forget_cached();
        for id in 0..1_000 {
            with_id(id, "[]", |ctx| ctx.settings::<Vec<u8>>().map(drop)).unwrap();
        }
        assert_eq!(CACHE.with_borrow(Vec::len), CACHED_MAX);
    }
}
