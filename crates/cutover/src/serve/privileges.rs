//! The rights of root, if this process has them and the configuration names a user: they open the ports, and are given up before anything else is
//! done, and before there is a second thread.
//!
//! Everything else is done by the user, certificates included: what it can't read at the start would be missing at the next renewal or upgrade.

use std::io;
use std::net::SocketAddr;

use cutover_proxy::BindError;

use super::settings::{self, ResolveError};
use crate::account::{Account, AccountError};
use crate::args;
use crate::config::{self, Config};
use crate::supervisor;
use crate::upgrade::{Inherited, Predecessor};

/// Why the rights of root can't be given up.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PrivilegesError {
    #[error(transparent)]
    Account(#[from] AccountError),
    #[error(transparent)]
    Resolve(#[from] ResolveError),
    #[error(transparent)]
    Bind(#[from] BindError),
    #[error("can't listen on {address}")]
    Admin { address: SocketAddr, source: io::Error },
    #[error("can't use the sockets of the supervisor")]
    Activation(#[source] io::Error),
}

/// Becomes the user that the configuration names, if it names one. Answers the sockets that root has opened; `None` = nobody has.
///
/// # Errors
/// This process can't become it, or a port can't be opened.
pub(super) fn give_up(args: &args::Serve) -> Result<Option<Inherited>, PrivilegesError> {
    // What is wrong with it is told by whoever reads it to serve.
    let Some(Ok(config)) = args.config.as_deref().map(config::load) else { return Ok(None) };
    let Some(user) = &config.node.user else { return Ok(None) };
    let account = Account::find(user, config.node.group.as_deref())?;
    let mut opened = None;
    if account.is_to_become()? {
        account.own(&config.node.state_dir)?;
        // The process that is replaced has all of its ports, and hands them over later.
        if !Predecessor::is_there() {
            opened = Some(open(&config)?);
        }
        account.enter()?;
    }
    account.confine()?;
    tracing::info!(user, "this process is an ordinary user's");
    Ok(opened)
}

/// Opens every port that nobody has opened for this process.
fn open(config: &Config) -> Result<Inherited, PrivilegesError> {
    let mut inherited = supervisor::sockets(config).map_err(PrivilegesError::Activation)?;
    let (clients, admin) = settings::addresses(config)?;
    inherited.clients.open(&clients, settings::workers(config))?;
    for address in admin {
        inherited.admin.open(address).map_err(|source| PrivilegesError::Admin { address, source })?;
    }
    Ok(inherited)
}
