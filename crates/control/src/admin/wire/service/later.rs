//! Keys of a service that are documented and whose features come later.

use crate::document::Later;

/// Keys of a service that this version refuses by name, with paths from the service down.
pub const LATER: &[Later] = &[];
