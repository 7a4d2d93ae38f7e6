//! What a plugin says about itself.

use crate::Json;

/// What people and programs are told about a plugin.
///
/// ```
/// use flux_plugin_sdk::{Description, settings};
///
/// settings! {
///     /// How the meter is set up.
///     pub struct Settings {
///         /// Pulses for one kilowatt hour.
///         pulses: f64 = 1000.0,
///     }
/// }
///
/// let description = Description::default()
///     .decoding("pulse counts of S0 meters, two bytes each")
///     .settings::<Settings>()
///     .command("reset", "sets the counter to zero");
/// # assert!(description.to_json().to_string().contains(r#""default":1000"#));
/// ```
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Description {
    /// Empty: the crate's name.
    pub name: String,
    /// Empty: the crate's version.
    pub version: String,
    /// One line about it. Empty: the crate's description.
    pub about: String,
    /// What bytes it decodes.
    pub decodes: String,
    /// JSON Schema of its settings; `null`: it has none.
    pub settings: Json,
    /// What it encodes.
    pub commands: Vec<CommandDescription>,
}

/// A command a plugin encodes.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct CommandDescription {
    /// Its name.
    pub name: String,
    /// What it does.
    pub about: String,
    /// JSON Schema of its parameters; `null`: not said.
    pub params: Json,
}

impl Description {
    /// With a line about what bytes it decodes.
    #[must_use]
    pub fn decoding(mut self, what: &str) -> Self {
        what.clone_into(&mut self.decodes);
        self
    }

    /// With the schema of its settings.
    #[must_use]
    pub fn settings<T: crate::Setting>(mut self) -> Self {
        self.settings = T::schema();
        self
    }

    /// With one command more.
    #[must_use]
    pub fn command(mut self, name: &str, about: &str) -> Self {
        let (name, about) = (name.to_owned(), about.to_owned());
        self.commands.push(CommandDescription { name, about, params: Json::Null });
        self
    }

    /// With one command more, whose parameters are of this type.
    #[must_use]
    pub fn command_with<T: crate::Setting>(mut self, name: &str, about: &str) -> Self {
        let (name, about) = (name.to_owned(), about.to_owned());
        self.commands.push(CommandDescription { name, about, params: T::schema() });
        self
    }

    /// With name, version and a line about it, where they are empty.
    #[must_use]
    #[doc(hidden)]
    pub fn or(mut self, name: &str, version: &str, about: &str) -> Self {
        let given =
            [(&mut self.name, name), (&mut self.version, version), (&mut self.about, about)];
        for (field, otherwise) in given {
            if field.is_empty() {
                otherwise.clone_into(field);
            }
        }
        self
    }

    /// As `describe` returns it.
    #[must_use]
    pub fn to_json(&self) -> Json {
        let commands = self.commands.iter().map(|command| {
            Json::object([
                ("name", command.name.as_str().into()),
                ("about", command.about.as_str().into()),
                ("params", command.params.clone()),
            ])
        });
        Json::object([
            ("name", self.name.as_str().into()),
            ("version", self.version.as_str().into()),
            ("about", self.about.as_str().into()),
            ("decodes", self.decodes.as_str().into()),
            ("settings", self.settings.clone()),
            ("commands", Json::List(commands.collect())),
        ])
    }
}
