//! Names of backends: kept resolved by the TTL of their records, for both planes, and connected to.
//!
//! A name is looked up in the background, by one task of the control plane's runtime. Who connects reads what is known, without a lock
//! and without waiting; only the first connection to a name that nobody has asked for yet waits for the look-up. While name servers
//! are in trouble, the last answer stays in use.

mod belief;
mod connect;
mod dns;
mod error;
mod keeper;
mod name;
mod place;
mod system;

pub use self::dns::Dns;
pub use self::error::{ConnectError, LookUpError};
pub use self::keeper::Keeper;
pub use self::name::{Name, Names};
pub use self::place::{Place, Socket};
