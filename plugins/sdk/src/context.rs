//! What a call is told beside its input.

use std::rc::Rc;

use flux_plugin_abi as abi;

use crate::{PluginError, Setting, setting};

/// What a call is told beside its input: where it came from, how this use of the plugin is set up,
/// what was asked, and what earlier calls left behind.
///
/// Reading it costs nothing until it is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Context<'a> {
    inner: abi::Context<'a>,
}

impl<'a> Context<'a> {
    /// Reads what the host wrote.
    ///
    /// # Errors
    /// Bytes that do not follow the ABI.
    #[doc(hidden)]
    pub fn read(bytes: &'a [u8]) -> Result<Self, PluginError> {
        Ok(Self { inner: abi::Context::read(bytes)? })
    }

    pub(crate) const fn with_state(&self, state: &'a [u8]) -> Self {
        let mut inner = self.inner;
        inner.state = state;
        Self { inner }
    }

    /// Who sent the input: one opaque word. State is kept for each.
    #[must_use]
    pub fn source(&self) -> &'a str {
        self.inner.source.as_str().unwrap_or_default()
    }

    /// The topic, or the port, it came by.
    ///
    /// ```
    /// # use flux_plugin_sdk::Context;
    /// /// Sparkplug puts what kind of message it is into the topic.
    /// fn is_birth(ctx: &Context<'_>) -> bool {
    ///     ctx.topic().split('/').nth(2) == Some("NBIRTH")
    /// }
    /// ```
    #[must_use]
    pub fn topic(&self) -> &'a str {
        self.inner.topic.as_str().unwrap_or_default()
    }

    /// The key of the source's own device; empty where it has none.
    #[must_use]
    pub fn device(&self) -> &'a str {
        self.inner.device.as_str().unwrap_or_default()
    }

    /// When the input reached the host, nanoseconds since 1970. A sandbox has no other clock.
    #[must_use]
    pub const fn received_ns(&self) -> i64 {
        self.inner.received_ns
    }

    /// The request this input answers, of polled protocols; `None` where nothing was asked.
    #[must_use]
    pub const fn request(&self) -> Option<&'a [u8]> {
        self.inner.request
    }

    /// The source's state, as an earlier call left it with
    /// [`Output::set_state`](crate::Output::set_state); empty at first. Guest memory may be thrown
    /// away at any time: nothing else lasts.
    #[must_use]
    pub const fn state(&self) -> &'a [u8] {
        self.inner.state
    }

    /// JSON that belongs to the function: the firing, in `on_action`.
    #[must_use]
    pub fn subject(&self) -> &'a str {
        self.inner.subject.as_str().unwrap_or_default()
    }

    /// The settings as they are written, a JSON object; empty where there are none.
    #[must_use]
    pub fn settings_text(&self) -> &'a str {
        self.inner.settings.json.as_str().unwrap_or_default()
    }

    /// The settings, read once and kept for as long as they are the same. No settings read as `{}`.
    ///
    /// # Errors
    /// Code `settings.invalid`, and what is wrong with its place:
    /// `/registers/3/scale: must be a number, not a string`. Kept as well, so that bad settings
    /// cost no more than good ones.
    ///
    /// ```
    /// use flux_plugin_sdk::{Context, PluginError, settings};
    ///
    /// settings! {
    ///     /// How the meter is set up.
    ///     pub struct Settings {
    ///         /// Pulses for one kilowatt hour.
    ///         pulses: f64 = 1000.0,
    ///     }
    /// }
    ///
    /// fn energy(ctx: &Context<'_>, pulses: u32) -> Result<f64, PluginError> {
    ///     Ok(f64::from(pulses) / ctx.settings::<Settings>()?.pulses)
    /// }
    /// ```
    pub fn settings<T: Setting + 'static>(&self) -> Result<Rc<T>, PluginError> {
        self.compiled(Ok::<T, PluginError>)
    }

    /// What `compile` makes of the settings, made once and kept for as long as they are the same:
    /// the place to check what belongs together, and to lay out tables.
    ///
    /// It is kept by the type it makes: make each type in one way only.
    ///
    /// # Errors
    /// As [`Context::settings`], and what `compile` finds wrong.
    ///
    /// ```
    /// use flux_plugin_sdk::{Context, PluginError, settings};
    ///
    /// settings! {
    ///     /// Names of the channels, in order.
    ///     pub struct Settings {
    ///         /// One for each channel.
    ///         channels: Vec<String>,
    ///     }
    /// }
    ///
    /// struct Channels(Vec<String>);
    ///
    /// fn compile(settings: Settings) -> Result<Channels, PluginError> {
    ///     if settings.channels.is_empty() {
    ///         return Err(PluginError::new("logger.settings", "/channels: names at least one"));
    ///     }
    ///     Ok(Channels(settings.channels))
    /// }
    ///
    /// fn first_channel(ctx: &Context<'_>) -> Result<String, PluginError> {
    ///     Ok(ctx.compiled(compile)?.0[0].clone())
    /// }
    /// ```
    pub fn compiled<T: Setting, C: 'static>(
        &self,
        compile: impl FnOnce(T) -> Result<C, PluginError>,
    ) -> Result<Rc<C>, PluginError> {
        setting::cached(self.inner.settings.id, || {
            let text = self.inner.settings.json.as_str()?;
            let settings = setting::read(if text.is_empty() { "{}" } else { text });
            compile(settings.map_err(|error| invalid(&error.to_string()))?)
        })
    }
}

/// The error of settings that are wrong.
fn invalid(what: &str) -> PluginError {
    PluginError::new("settings.invalid", what.to_owned())
}
