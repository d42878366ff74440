//! What a hook is told: the id of the call, and its body.

use cutover_core::hook::Turn;
use cutover_core::id::ServiceName;
use cutover_core::policy::HookUrl;
use serde_json::json;

use crate::admin::wire::time;
use crate::reply::Digest;

/// One call, the same however often it is made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Message {
    /// By which the receiver knows a repetition.
    pub(super) id: String,
    /// Its JSON text.
    pub(super) body: String,
}

impl Message {
    /// The message that tells of `turn`. `number` tells turns apart that look the same.
    pub(super) fn new(node: &str, service: &ServiceName, number: u64, turn: &Turn, url: &HookUrl) -> Self {
        let (number, epoch, at) = (number.to_string(), turn.epoch.to_string(), turn.at.0.to_string());
        let url = url.to_string();
        let parts = [service.as_str(), &number, turn.on.as_str(), turn.version.as_str(), &epoch, &at, &url];
        let digest = Digest::of(&parts.map(str::as_bytes)).to_string();
        let id = format!("hook_{}", digest.get(..32).unwrap_or(&digest));
        let body = json!({
            "event": turn.on.as_str(),
            "service": service.as_str(),
            "version": turn.version.as_str(),
            "from": turn.from.as_ref().map(ToString::to_string),
            "epoch": turn.epoch.0,
            "at": time::write(turn.at),
            "node": node,
            "id": id,
        });
        Self { body: body.to_string(), id }
    }
}
