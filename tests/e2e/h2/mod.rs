//! HTTP/2 and TLS as other people's clients speak them, while versions are switched behind them.

mod browser;
mod clients;
pub(crate) mod edge;
mod websocket;
