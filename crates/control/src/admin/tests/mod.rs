//! The admin API as its callers see it: whole requests through the router, over a running control plane.

mod access;
mod assets;
mod dashboard;
mod errors;
mod garbage;
mod hooks;
mod life;
mod migrations;
mod previews;
mod repeated;
mod rolls;
mod stage;
mod waiting;
