//! What people and programs are told.

use flux_plugin_sdk::Description;

use crate::encode::{
    DiagnosticsParams, IdentifyParams, MaskWriteParams, RawParams, ReadFifoParams, ReadFileParams,
    ReadParams, ReadWriteParams, UnitParams, WriteFileParams, WriteParams,
};
use crate::settings::Settings;
use crate::transport::Transport;

/// Settings and commands of a plugin, and the framing its frames want.
#[must_use]
pub fn describe<T: Transport>(framing: &str) -> Description {
    let decodes = format!(
        "frames of {}: replies by the request they answer, and frames nobody asked for by the \
         settings' `unsolicited`. {framing}",
        T::NAME
    );
    Description::default()
        .decoding(&decodes)
        .settings::<Settings>()
        .command_with::<ReadParams>("read", "reads values by name or group, all, or places")
        .command_with::<WriteParams>("write", "writes a value by its name, or coils and registers")
        .command_with::<MaskWriteParams>("mask_write", "writes some bits of a register")
        .command_with::<ReadWriteParams>("read_write", "writes registers, then reads others")
        .command_with::<ReadFileParams>("read_file", "reads records of files")
        .command_with::<WriteFileParams>("write_file", "writes records of files")
        .command_with::<ReadFifoParams>("read_fifo", "reads a queue of registers")
        .command_with::<IdentifyParams>("identify", "asks who made the unit, and which it is")
        .command_with::<DiagnosticsParams>("diagnostics", "tests the line, reads its counters")
        .command_with::<UnitParams>("exception_status", "reads eight bits of the unit's choice")
        .command_with::<UnitParams>("event_counter", "reads how many requests were carried out")
        .command_with::<UnitParams>("event_log", "reads what happened on the line")
        .command_with::<UnitParams>("server_id", "asks what the unit calls itself")
        .command_with::<RawParams>("raw", "sends a request as it is")
}

#[cfg(test)]
mod tests {
    use flux_plugin_sdk::testing::Call;
    use flux_plugin_sdk::{Command, Json, Output};

    use super::*;
    use crate::{Rtu, Tcp, encode};

    #[test]
    fn every_command_that_is_described_is_known() {
        let described = describe::<Rtu>("");
        assert_eq!(described.commands.len(), 14);
        for command in &described.commands {
            let (name, params) = (command.name.as_str(), &Json::Null);
            let mut bytes = flux_plugin_abi::Buffer::new();
            let error = Call::new().with_context(|ctx| {
                encode::<Rtu>(ctx, &Command { name, params }, &mut Output::new(&mut bytes)).err()
            });
            let code = error.map(|error| error.code.into_owned()).unwrap_or_default();
            assert!(["", "command.params"].contains(&code.as_str()), "{name}: {code}");
        }
    }

    #[test]
    fn the_settings_of_a_register_are_described() {
        let json = describe::<Tcp>("").to_json();
        let register = json.at("/settings/properties/registers/items").unwrap();
        assert_eq!(register.at("/required").unwrap().to_string(), r#"["name","address"]"#);
        let types = register.at("/properties/type/enum").and_then(Json::items).unwrap();
        assert_eq!(types.len(), 14);
        assert!(register.at("/properties/scale/description").is_some());
        assert_eq!(json.at("/settings/properties/registers_max/default"), Some(&Json::Int(125)));
    }
}
