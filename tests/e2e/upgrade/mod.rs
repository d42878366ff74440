//! The proxy replaces itself by another process, and nobody notices.

mod broken;
mod kept;
mod load;
mod scene;
