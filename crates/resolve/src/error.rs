//! Why a name has no address, and why a place can't be connected to.

use std::error::Error;
use std::io;
use std::sync::Arc;

/// Why a name has no address.
#[derive(Debug, Clone, thiserror::Error)]
pub enum LookUpError {
    /// Name servers say that there is no such name, or that it has no address.
    #[error("the name has no address")]
    NoAddress,
    /// Name servers can't be reached or can't tell.
    #[error("the name can't be looked up")]
    Failed(#[source] Arc<dyn Error + Send + Sync>),
    /// The [`Keeper`](crate::Keeper) does not run any more.
    #[error("names are not looked up any more")]
    Ended,
}

/// Why there is no connection to a place.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// Its name has no address.
    #[error("the name can't be resolved")]
    Resolve(#[source] LookUpError),
    /// None of its addresses took the connection. This is what the last one did.
    #[error("no address takes the connection")]
    Connect(#[source] io::Error),
}
