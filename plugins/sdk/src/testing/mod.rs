//! Trying a plugin without a sandbox: what `cargo test` uses.
//!
//! A [`Call`] is made the way the host makes it: context and input are written as bytes, the
//! handler writes its output as bytes, and an [`Outcome`] is what the host would read. Only the
//! sandbox's limits are missing, which `fluxhybrid plugin test` adds. [`check_vectors`] tries what
//! was recorded.
//!
//! There is no such module in a WebAssembly build.

mod expected;
mod hex;
mod vectors;

use std::cell::RefCell;
use std::hash::{DefaultHasher, Hash, Hasher};

use flux_plugin_abi::{self as abi, Level, MessageReader, MessageWriter, Section, Sections};

use crate::guest::{self, Function};
use crate::{Context, Effect, Json, Message, Output, PluginError, PluginHandler, Value};

pub use vectors::check_vectors;

thread_local! {
    static LOGS: RefCell<Vec<(Level, String)>> = const { RefCell::new(Vec::new()) };
}

pub(crate) fn log_line(level: Level, text: &str) {
    eprintln!("{:>5}: {text}", level.as_str());
    LOGS.with_borrow_mut(|logs| logs.push((level, text.to_owned())));
}

/// One call: where its input came from, how the plugin is set up, what it left behind earlier.
///
/// ```
/// # use flux_plugin_sdk::{Context, Output, PluginError, PluginHandler, StandardMessage};
/// # struct Length;
/// # impl PluginHandler for Length {
/// #     fn on_decode(raw: &[u8]) -> StandardMessage { flux_plugin_sdk::standard_message::<Self>(raw) }
/// #     fn decode(_: &Context<'_>, raw: &[u8], out: &mut Output<'_>) -> Result<(), PluginError> {
/// #         out.message("").value("length", raw.len() as f64);
/// #         Ok(())
/// #     }
/// # }
/// use flux_plugin_sdk::testing::Call;
///
/// let outcome = Call::new().topic("plant/1").decode::<Length>(b"abc");
/// assert_eq!(outcome.messages[0].number("length"), Some(3.0));
/// assert_eq!(outcome.error, None);
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Call {
    source: String,
    topic: String,
    device: String,
    received_ns: i64,
    settings_id: Option<u64>,
    settings: String,
    request: Option<Vec<u8>>,
    state: Vec<u8>,
    subject: String,
}

impl Call {
    /// With nothing told.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// From this source, one opaque word.
    #[must_use]
    pub fn source(mut self, source: &str) -> Self {
        source.clone_into(&mut self.source);
        self
    }

    /// By this topic or port.
    #[must_use]
    pub fn topic(mut self, topic: &str) -> Self {
        topic.clone_into(&mut self.topic);
        self
    }

    /// From a source whose own device has this key.
    #[must_use]
    pub fn device(mut self, device: &str) -> Self {
        device.clone_into(&mut self.device);
        self
    }

    /// Received then, nanoseconds since 1970.
    #[must_use]
    pub const fn received_ns(mut self, ns: i64) -> Self {
        self.received_ns = ns;
        self
    }

    /// With these settings, JSON text.
    #[must_use]
    pub fn settings(mut self, json: &str) -> Self {
        json.clone_into(&mut self.settings);
        self
    }

    /// Under this id; left out, it is made of the settings' text.
    #[must_use]
    pub const fn settings_id(mut self, id: u64) -> Self {
        self.settings_id = Some(id);
        self
    }

    /// In answer to this request.
    #[must_use]
    pub fn request(mut self, request: &[u8]) -> Self {
        self.request = Some(request.to_vec());
        self
    }

    /// With this state left by an earlier call.
    #[must_use]
    pub fn state(mut self, state: &[u8]) -> Self {
        self.state = state.to_vec();
        self
    }

    /// With JSON text that belongs to the function, such as a firing.
    #[must_use]
    pub fn subject(mut self, json: &str) -> Self {
        json.clone_into(&mut self.subject);
        self
    }

    /// Calls `decode`.
    #[must_use]
    pub fn decode<H: PluginHandler>(&self, raw: &[u8]) -> Outcome {
        self.run(guest::decode::<H>, raw).outcome
    }

    /// Calls `decode_batch`; gives an outcome for each input.
    ///
    /// # Panics
    /// When the batch as a whole fails.
    #[must_use]
    pub fn decode_batch<H: PluginHandler>(&self, inputs: &[&[u8]]) -> Vec<Outcome> {
        let mut batch = Vec::new();
        let written = abi::write_batch(inputs.iter().copied(), &mut batch);
        assert!(written.is_ok(), "the inputs do not fit a batch");
        let mut read = self.run(guest::decode_batch::<H>, &batch);
        assert_eq!(read.outcome.error, None, "the batch failed");
        read.items.resize_with(inputs.len(), Outcome::default);
        read.items
    }

    /// Calls `encode` with a command and its parameters, JSON text.
    #[must_use]
    pub fn encode<H: PluginHandler>(&self, command: &str, params: &str) -> Outcome {
        let input = format!("{{\"command\":{},\"params\":{params}}}", Json::from(command));
        self.run(guest::encode::<H>, input.as_bytes()).outcome
    }

    /// Calls `on_msg`.
    #[must_use]
    pub fn on_msg<H: PluginHandler>(&self, message: &Message) -> Outcome {
        self.run(guest::on_msg::<H>, &body(message)).outcome
    }

    /// Calls `on_action` with a message; the firing is [`Call::subject`].
    #[must_use]
    pub fn on_action<H: PluginHandler>(&self, message: &Message) -> Outcome {
        self.run(guest::on_action::<H>, &body(message)).outcome
    }

    /// What a function that takes a context makes of this one.
    ///
    /// # Panics
    /// When something in it is too long for the ABI.
    pub fn with_context<T>(&self, read: impl FnOnce(&Context<'_>) -> T) -> T {
        let bytes = self.context();
        match Context::read(&bytes) {
            Ok(context) => read(&context),
            Err(error) => panic!("the context cannot be read: {error}"),
        }
    }

    fn context(&self) -> Vec<u8> {
        let id = self.settings_id.unwrap_or_else(|| {
            let mut hasher = DefaultHasher::new();
            self.settings.hash(&mut hasher);
            hasher.finish()
        });
        let context = abi::Context {
            settings: abi::Settings { id, json: self.settings.as_str().into() },
            source: self.source.as_str().into(),
            topic: self.topic.as_str().into(),
            device: self.device.as_str().into(),
            received_ns: self.received_ns,
            request: self.request.as_deref(),
            state: &self.state,
            subject: self.subject.as_str().into(),
        };
        let mut bytes = Vec::new();
        assert!(context.write(&mut bytes).is_ok(), "the context is too long");
        bytes
    }

    fn run(&self, function: Function, input: &[u8]) -> Read {
        written_by(|out| guest::run(function, &self.context(), input, out))
    }
}

fn body(message: &Message) -> Vec<u8> {
    let mut bytes = Vec::new();
    let written =
        MessageWriter::body(&mut bytes, &message.device, message.time_ns).and_then(|mut writer| {
            for (name, value) in &message.tags {
                writer.tag(name, value)?;
            }
            for (name, value) in &message.values {
                writer.value(name, value)?;
            }
            Ok(())
        });
    assert!(written.is_ok(), "the message does not fit the ABI");
    bytes
}

/// What came of a call, as the host reads it.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Outcome {
    /// Messages, in order. Values that are not finite are gone, as the host drops them.
    pub messages: Vec<Message>,
    /// Frames to send, in order.
    pub frames: Vec<Vec<u8>>,
    /// The source's new state; `None`: as it was.
    pub state: Option<Vec<u8>>,
    /// What the host is asked to do.
    pub effects: Vec<Effect>,
    /// Why the call failed; the first reason where there are several.
    pub error: Option<PluginError>,
    /// Lines of log. Those of a batch are at the batch's own outcome.
    pub logs: Vec<(Level, String)>,
}

impl Outcome {
    /// The code of its error; empty where there is none.
    #[must_use]
    pub fn error_code(&self) -> &str {
        self.error.as_ref().map_or("", |error| &error.code)
    }

    /// How many lines it logged at this level.
    #[must_use]
    pub fn logged(&self, level: Level) -> usize {
        self.logs.iter().filter(|(of, _)| *of == level).count()
    }
}

/// What a function writes to an output.
///
/// # Panics
/// When the host could not read it.
///
/// ```
/// use flux_plugin_sdk::testing::written;
///
/// let outcome = written(|out| out.frame(b"\x01\x02"));
/// assert_eq!(outcome.frames, [b"\x01\x02"]);
/// ```
#[must_use]
pub fn written(write: impl FnOnce(&mut Output<'_>)) -> Outcome {
    written_by(|out| {
        write(out);
        out.report_refused();
    })
    .outcome
}

struct Read {
    outcome: Outcome,
    items: Vec<Outcome>,
}

fn written_by(write: impl FnOnce(&mut Output<'_>)) -> Read {
    LOGS.take();
    let mut bytes = abi::Buffer::new();
    write(&mut Output::new(&mut bytes));
    match read(bytes.as_bytes()) {
        Ok(mut read) => {
            read.outcome.logs = LOGS.take();
            read
        }
        Err(error) => panic!("the host cannot read the output: {error}"),
    }
}

fn read(bytes: &[u8]) -> Result<Read, PluginError> {
    let mut read = Read { outcome: Outcome::default(), items: Vec::new() };
    let mut sections = Sections::read(bytes)?;
    while let Some(section) = sections.next_section()? {
        if let Section::Item(index) = section {
            if index as usize != read.items.len() {
                let text = format!("item {index} follows {} others", read.items.len());
                return Err(PluginError::new("sdk.output", text));
            }
            read.items.push(Outcome::default());
            continue;
        }
        add(read.items.last_mut().unwrap_or(&mut read.outcome), section)?;
    }
    Ok(read)
}

fn add(outcome: &mut Outcome, section: Section<'_>) -> Result<(), PluginError> {
    match section {
        Section::Message(reader) => outcome.messages.push(message(reader)?),
        Section::State(state) => outcome.state = Some(state.to_vec()),
        Section::Frame(bytes) => outcome.frames.push(bytes.to_vec()),
        Section::Effect { kind, json } => {
            outcome.effects.push(Effect { kind, fields: json.as_str()?.parse()? });
        }
        Section::Error { code, text } => {
            let code = code.as_str()?.to_owned();
            outcome.error.get_or_insert(PluginError::new(code, text.as_str()?.to_owned()));
        }
        Section::Item(_) => {}
    }
    Ok(())
}

fn message(reader: MessageReader<'_>) -> Result<Message, PluginError> {
    let mut message = Message::read(reader)?;
    message.values.retain(|(_, value)| !matches!(value, Value::F64(number) if !number.is_finite()));
    Ok(message)
}
