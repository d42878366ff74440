//! What the end-to-end tests are played with, as far as it is of use here.

#[path = "../../e2e/support/http/mod.rs"]
pub(crate) mod http;
#[path = "../../e2e/support/port.rs"]
pub(crate) mod port;
#[path = "../../e2e/support/wait.rs"]
pub(crate) mod wait;
