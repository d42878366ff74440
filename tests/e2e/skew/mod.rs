//! Skew between a page and the servers: real applications in a real browser, and what clients can ask for by name.

mod explicit;
mod next;
mod site;
mod snippet;
mod sveltekit;
mod told;
