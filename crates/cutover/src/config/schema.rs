//! The JSON schema of the configuration file, for editors.

use cutover_control::document::Schema;
use serde_json::{Value, json};

use super::raw::RawConfig;

/// The schema of `[config]`, as in `config/cutover.schema.json`.
#[must_use]
pub fn schema() -> Value {
    let mut schema = Schema::of::<RawConfig>().as_json().clone();
    // In the admin API the name stands in the path; in the file it must be there.
    schema["$defs"]["ServiceSpec"]["required"] = json!(["name"]);
    schema["title"] = json!("cutover.toml");
    schema
}
