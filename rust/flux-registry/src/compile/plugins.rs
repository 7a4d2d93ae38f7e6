//! Uses of plugins. Whether a plugin is installed is not asked here: it may come later, and a
//! configuration must not stop working because a file has gone.

use super::{Candidate, Place};
use crate::document::PluginUse;

const ID_BYTES_MAX: usize = 64;
/// What a plugin may be granted.
const GRANTS: [&str; 5] = ["command", "publish", "raise_alarm", "clear_alarm", "webhook"];

impl Candidate<'_> {
    /// Whether the plugins of a chain could be there.
    pub(super) fn plugin_chain(&mut self, place: Place, chain: &[PluginUse]) -> bool {
        if chain.len() > self.limits.plugin_chain_max {
            let most = self.limits.plugin_chain_max;
            let message = format!("{} plugins are more than {most}", chain.len());
            self.wrong(place.at("/plugin_chain"), "config.too_many", message);
            return false;
        }
        let hold = |(index, used): (usize, &PluginUse)| {
            self.plugin(place, &format!("/plugin_chain/{index}"), used)
        };
        chain.iter().enumerate().map(hold).fold(true, |all, holds| all & holds)
    }

    /// Whether a plugin of this id, with settings of this size, could be there.
    pub(super) fn plugin(&mut self, place: Place, field: &str, used: &PluginUse) -> bool {
        let fits = self.json_size(
            || place.at(format_args!("{field}/settings")),
            &serde_json::Value::Object(used.settings.clone()),
        );
        let named = is_plugin_id(&used.plugin);
        if !named {
            let message = format!("`{}` is no id of a plugin", used.plugin);
            let hint = "1 to 64 of a-z, 0-9, `_` and `-`: the name of its file without `.wasm`";
            let pointer = place.at(format_args!("{field}/plugin"));
            self.wrong_hint(pointer, "plugin.id", message, hint);
        }
        let mut known = true;
        for (index, grant) in used.grants.iter().enumerate() {
            if !GRANTS.contains(&grant.as_str()) {
                let message = format!("`{grant}` cannot be granted to a plugin");
                let pointer = place.at(format_args!("{field}/grants/{index}"));
                self.wrong_hint(pointer, "plugin.grant", message, "it is one of command, publish, raise_alarm, clear_alarm and webhook");
                known = false;
            }
        }
        fits & named & known
    }
}

fn is_plugin_id(id: &str) -> bool {
    let fits = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-');
    (1..=ID_BYTES_MAX).contains(&id.len()) && id.bytes().all(fits)
}
