//! What is answered before a version or a backend is looked at: maintenance, and redirects.

use cutover_core::snapshot::Maintenance;

use crate::error::Error;
use crate::own::redirect::Asked;
use crate::own::respond::{self, Own};
use crate::serve::decide::Routed;
use crate::serve::exchange::Exchange;

/// The answer to a request that needs no backend for it, if it is one.
///
/// # Errors
/// The service turns its clients away, or is rewritten to a prefix that the path leads out of.
pub(crate) fn answer(exchange: &Exchange<'_>, routed: &Routed) -> Result<Option<Box<Own>>, Error> {
    let service = routed.service();
    if let Some(Maintenance { until }) = service.set.maintenance {
        return Err(Error::Maintenance { until });
    }
    let scratch = &*exchange.scratch;
    if let Some(rewrite) = &service.rules.rewrite {
        rewrite.check(scratch.asked.path().get(routed.found.prefix_len..).unwrap_or_default())?;
    }
    if service.rules.redirects.is_empty() {
        return Ok(None);
    }
    let asked = Asked {
        is_secure: exchange.origin.is_secure,
        authority: &scratch.authority,
        path: scratch.asked.path(),
        query: scratch.asked.query(),
    };
    let found = service.rules.redirects.find(&asked);
    Ok(found.map(|(status, location)| Box::new(respond::redirect(status, &location, &scratch.asked.fields))))
}
