//! Commands for devices that speak JSON themselves: what products without a protocol plugin use.
//!
//! A command goes out as it is, `{"id", "command", "params"}`, with the framing's delimiter behind
//! it. The answer is a JSON object with the same `id`, and as MQTT devices answer: `ok` (true when
//! left out), `result`, `error`. A poll has no `id`: any object without one answers it.

use std::sync::Arc;

use bytes::Bytes;
use flux_types::{DeviceId, TenantId};
use serde_json::Value;

use crate::framing::FramingKind;
use crate::ports::{CodecError, Directory, Frame, LineCodec, Reply};

/// The codec of devices that speak JSON.
pub struct JsonCodec {
    directory: Arc<dyn Directory>,
}

impl JsonCodec {
    /// A codec that looks products up there.
    #[must_use]
    pub fn new(directory: Arc<dyn Directory>) -> Self {
        Self { directory }
    }

    fn ending(&self, device: DeviceId) -> Result<Vec<u8>, CodecError> {
        let unknown = || CodecError::new("unknown_device", "the device is not known any more");
        let device = self.directory.device(device).ok_or_else(unknown)?;
        let product = self.directory.product_of(device.product).ok_or_else(unknown)?;
        match product.link.framing.as_deref().map(|framing| &framing.kind) {
            Some(FramingKind::Delimiter { delimiter, .. }) => Ok(delimiter.as_bytes().to_vec()),
            Some(FramingKind::Idle { .. }) => Ok(Vec::new()),
            None => Ok(b"\n".to_vec()),
            Some(_) => Err(CodecError::new(
                "no_codec",
                "only a protocol plugin can write commands for a product with this framing",
            )),
        }
    }
}

impl LineCodec for JsonCodec {
    fn encode(
        &self,
        _tenant: TenantId,
        device: DeviceId,
        command: &Value,
    ) -> Result<Vec<Frame>, CodecError> {
        let mut bytes = command.to_string().into_bytes();
        bytes.extend(self.ending(device)?);
        Ok(vec![Bytes::from(bytes)])
    }

    fn check_reply(&self, _device: DeviceId, request: &[u8], frame: &[u8]) -> Reply {
        // the delimiter behind the request is none of its JSON
        let mut requests = serde_json::Deserializer::from_slice(request).into_iter::<Value>();
        let Some(Ok(request)) = requests.next() else { return Reply::NotMine };
        let Ok(Value::Object(reply)) = serde_json::from_slice(frame) else { return Reply::NotMine };
        match (request.get("id"), reply.get("id")) {
            (None, None) => Reply::Ok(Value::Object(reply)),
            (Some(asked), Some(answered)) if asked == answered => {
                if reply.get("ok").and_then(Value::as_bool).unwrap_or(true) {
                    return Reply::Ok(reply.get("result").cloned().unwrap_or_default());
                }
                let error = reply.get("error").or(reply.get("result")).cloned().unwrap_or_default();
                let text = error.as_str().map_or_else(|| error.to_string(), str::to_owned);
                Reply::Failed("refused".to_owned(), text)
            }
            _ => Reply::NotMine,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::identify::tests::Site;

    fn codec(framing: Value) -> (JsonCodec, DeviceId) {
        let site = Site::new(json!({"framing": framing}));
        let device = site.device("dtu-1").id;
        (JsonCodec::new(Arc::new(site)), device)
    }

    #[test]
    fn a_command_ends_as_the_framing_says_and_its_answer_has_its_id() {
        let (codec, device) = codec(json!({"type": "delimiter", "delimiter": "\r\n"}));
        let command = json!({"id": "7", "command": "close", "params": {}});
        let frames = codec.encode(TenantId::DEFAULT, device, &command).unwrap();
        assert!(frames[0].ends_with(b"}\r\n"));
        let check = |frame: &str| codec.check_reply(device, &frames[0], frame.as_bytes());
        assert_eq!(check(r#"{"id": "7", "result": 5}"#), Reply::Ok(json!(5)));
        let failed = Reply::Failed("refused".to_owned(), "stuck".to_owned());
        assert_eq!(check(r#"{"id": "7", "ok": false, "error": "stuck"}"#), failed);
        for other in [r#"{"id": "8"}"#, r#"{"t": 1}"#, "[]", "", "{"] {
            assert_eq!(check(other), Reply::NotMine, "{other}");
        }
    }

    #[test]
    fn binary_framings_are_left_to_plugins() {
        let (codec, device) = codec(json!({"type": "fixed", "length": 4}));
        let error = codec.encode(TenantId::DEFAULT, device, &json!({})).unwrap_err();
        assert_eq!(error.code, "no_codec");
    }
}
