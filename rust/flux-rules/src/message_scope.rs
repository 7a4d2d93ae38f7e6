//! One message as scripts see it, made once and read by many rules.
//!
//! Owns the scope with `env` and `msg` as constants. A rule that only reads runs in it directly;
//! one that may change either gets copies, so nothing leaks from one rule into the next.

use std::collections::BTreeSet;
use std::sync::Arc;

use rhai::{AST, Dynamic, EvalAltResult, ImmutableString, Map, Scope};

use crate::frame::{self, Globals};
use crate::language::{GIVEN, Language};
use crate::{Environment, Input, Limits, dynamic};

/// The scope of the message at hand.
pub(crate) struct MessageScope {
    scope: Scope<'static>,
    /// Names in `msg.values`, in the order given, so that a message with the same names as the
    /// one before is written over it: most messages of one device are alike.
    names: Vec<Arc<str>>,
    device_id: ImmutableString,
    product: ImmutableString,
    topic: ImmutableString,
    /// `msg` and `env` again, for functions of scripts, where the scope does not reach. Made when
    /// first asked for.
    shared: Option<(Dynamic, Dynamic)>,
}

impl MessageScope {
    pub(crate) fn new(env: &Environment) -> Self {
        let mut scope = Scope::new();
        scope.push_constant_dynamic("env", env.to_dynamic()).push_constant("msg", Map::new());
        Self {
            scope,
            names: Vec::new(),
            device_id: ImmutableString::new(),
            product: ImmutableString::new(),
            topic: ImmutableString::new(),
            shared: None,
        }
    }

    /// Puts a message in place of the one before.
    pub(crate) fn set(&mut self, input: &Input<'_>, with_payload: bool, limits: &Limits) {
        self.shared = None;
        let mut message: Map = self.scope.remove("msg").unwrap_or_default();
        let optional = |before: &mut ImmutableString, text: Option<&str>| match text {
            Some(text) => dynamic::text_again(before, text).into(),
            None => Dynamic::UNIT,
        };
        put(&mut message, "device_id", optional(&mut self.device_id, input.device_id));
        put(&mut message, "product", optional(&mut self.product, input.product));
        put(&mut message, "topic", optional(&mut self.topic, Some(input.topic)));
        put(&mut message, "ts", dynamic::ms(input.ts_ns).into());
        match input.payload {
            Some(payload) if with_payload => {
                put(&mut message, "payload", dynamic::from_payload(payload, limits));
            }
            _ => {
                message.remove("payload");
            }
        }
        self.set_values(&mut message, input, limits);
        self.scope.push_constant("msg", message);
    }

    fn set_values(&mut self, message: &mut Map, input: &Input<'_>, limits: &Limits) {
        let alike = self.names.len() == input.values.len()
            && self.names.iter().zip(input.values).all(|(before, (now, _))| before == now);
        if let (true, Some(mut values)) =
            (alike, message.get_mut("values").and_then(|values| values.write_lock::<Map>()))
        {
            for (name, value) in input.values {
                put(&mut values, name, dynamic::from_value(value, limits));
            }
            return;
        }
        self.names.clear();
        self.names.extend(input.values.iter().map(|(name, _)| Arc::clone(name)));
        let values: Map = input
            .values
            .iter()
            .map(|(name, value)| ((&**name).into(), dynamic::from_value(value, limits)))
            .collect();
        put(message, "values", values.into());
    }

    /// Runs a script that only reads.
    pub(crate) fn run(
        &mut self,
        language: &Language,
        ast: &AST,
    ) -> Result<Dynamic, Box<EvalAltResult>> {
        let result = language.run(&mut self.scope, ast);
        self.scope.rewind(GIVEN);
        result
    }

    /// A scope of its own for a script that may change what it is given.
    pub(crate) fn copies(&self) -> Scope<'static> {
        let mut copies = Scope::new();
        for name in ["env", "msg"] {
            let value = self.scope.get(name).map(Dynamic::flatten_clone); // a clone is no constant
            copies.push_dynamic(name, value.unwrap_or_default());
        }
        copies
    }

    /// What functions of a script see.
    pub(crate) fn globals(&mut self, functions: Option<Arc<[Box<str>]>>) -> Globals {
        let scope = &self.scope;
        let (message, env) = self.shared.get_or_insert_with(|| {
            let shared = |name| {
                scope.get(name).map(Dynamic::flatten_clone).unwrap_or_default().into_shared()
            };
            (shared("msg"), shared("env"))
        });
        Globals { message: message.clone(), env: env.clone(), functions }
    }

    /// Whether the message lacks one of these values.
    pub(crate) fn lacks_any(&self, names: &BTreeSet<Box<str>>) -> bool {
        match self.scope.get("msg") {
            Some(message) => names.iter().any(|name| {
                frame::message_value(message, name).is_none_or(|value| value.is_unit())
            }),
            None => false,
        }
    }
}

fn put(map: &mut Map, name: &str, value: Dynamic) {
    match map.get_mut(name) {
        Some(slot) => *slot = value,
        None => {
            map.insert(name.into(), value);
        }
    }
}
