//! One order: from the account to a certificate.

use std::sync::Arc;
use std::time::Duration;

use cutover_tls::challenge::{ChallengeError, SelfSigned, Tokens};
use cutover_tls::server::ServerTls;
use instant_acme::{
    Account, AuthorizationStatus, ChallengeType, Identifier, KeyAuthorization, NewAccount, NewOrder, Order,
    OrderStatus, RetryPolicy,
};

use super::client::Client;
use super::error::OrderError;
use super::files::Files;
use crate::config::{Acme, AcmeChallenge};

/// How the authority is asked how far it is: sooner at first, then every few seconds.
const POLLS: RetryPolicy = RetryPolicy::new()
    .initial_delay(Duration::from_millis(250))
    .backoff(1.5)
    .timeout(Duration::from_secs(120));

/// A certificate of the authority.
#[derive(Debug)]
pub(super) struct Issued {
    pub(super) chain_pem: String,
    pub(super) key_pem: String,
}

/// The account at the authority: the one that is kept, or a new one, which is kept from now on.
///
/// # Errors
/// [`OrderError`].
pub(super) async fn account(acme: &Acme, files: &Files, client: &Client) -> Result<Account, OrderError> {
    let builder = Account::builder_with_http(Box::new(client.clone()));
    if let Some(credentials) = files.account()? {
        let credentials = serde_json::from_slice(&credentials).map_err(instant_acme::Error::Json)?;
        return Ok(builder.from_credentials(credentials).await?);
    }
    let contact = acme.email.as_ref().map(|email| format!("mailto:{email}"));
    let new = NewAccount {
        contact: &contact.iter().map(String::as_str).collect::<Vec<_>>(),
        terms_of_service_agreed: true,
        only_return_existing: false,
    };
    let (account, credentials) = builder.create(&new, acme.directory.clone(), None).await?;
    files.keep_account(&serde_json::to_vec(&credentials).map_err(instant_acme::Error::Json)?)?;
    tracing::info!(directory = acme.directory, account = account.id(), "an account was made");
    Ok(account)
}

/// Gets a certificate for all domains of `acme`.
///
/// # Errors
/// [`OrderError`].
pub(super) async fn order(
    account: &Account,
    acme: &Acme,
    shown_by: &[Arc<ServerTls>],
    tokens: &Tokens,
) -> Result<Issued, OrderError> {
    let names: Vec<_> = acme.domains.iter().map(|domain| Identifier::Dns(domain.clone())).collect();
    let mut order = account.new_order(&NewOrder::new(&names)).await?;
    let mut answers = Answers { shown_by, tokens, open: Vec::new() };
    let mut authorizations = order.authorizations();
    while let Some(authorization) = authorizations.next().await {
        let mut authorization = authorization?;
        // What was proven for an earlier order may still hold.
        if authorization.status == AuthorizationStatus::Valid {
            continue;
        }
        let name = authorization.identifier().to_string();
        let kind = match acme.challenge {
            AcmeChallenge::TlsAlpn01 => ChallengeType::TlsAlpn01,
            AcmeChallenge::Http01 => ChallengeType::Http01,
        };
        let mut challenge =
            authorization.challenge(kind).ok_or_else(|| OrderError::NoChallenge(name.clone()))?;
        let token = challenge.token.clone();
        answers.give(acme.challenge, name, token, &challenge.key_authorization())?;
        challenge.set_ready().await?;
    }
    match order.poll_ready(&POLLS).await {
        Ok(OrderStatus::Ready | OrderStatus::Valid) => {}
        Ok(OrderStatus::Pending | OrderStatus::Processing | OrderStatus::Invalid) => {
            return Err(OrderError::NotConvinced(complaint(&mut order).await));
        }
        Err(error) => return Err(error.into()),
    }
    drop(answers);
    let key_pem = order.finalize().await?;
    let chain_pem = order.poll_certificate(&POLLS).await?;
    Ok(Issued { chain_pem, key_pem })
}

/// What the authority says about the names that it is not convinced of.
async fn complaint(order: &mut Order) -> String {
    let mut said = Vec::new();
    let mut authorizations = order.authorizations();
    while let Some(Ok(mut authorization)) = authorizations.next().await {
        let name = authorization.identifier().to_string();
        let Ok(state) = authorization.refresh().await else { continue };
        for problem in state.challenges.iter().filter_map(|challenge| challenge.error.as_ref()) {
            said.push(format!("{name}: {problem}"));
        }
    }
    said.join("; ")
}

/// Answers to challenges, for as long as this lives.
struct Answers<'a> {
    shown_by: &'a [Arc<ServerTls>],
    tokens: &'a Tokens,
    /// Names and tokens.
    open: Vec<(String, String)>,
}

impl Answers<'_> {
    fn give(
        &mut self,
        kind: AcmeChallenge,
        name: String,
        token: String,
        authorization: &KeyAuthorization,
    ) -> Result<(), OrderError> {
        match kind {
            AcmeChallenge::Http01 => self.tokens.set(&token, authorization.as_str())?,
            AcmeChallenge::TlsAlpn01 => {
                let digest = authorization.digest();
                // SHA-256 has 32 bytes.
                let digest = digest.as_ref().try_into().map_err(|_| ChallengeError::TooMany)?;
                let made = SelfSigned::for_challenge(&name, digest)?;
                for tls in self.shown_by {
                    tls.managed().set_challenge(&name, made.chain_pem.as_bytes(), made.key_pem.as_bytes())?;
                }
            }
        }
        self.open.push((name, token));
        Ok(())
    }
}

impl Drop for Answers<'_> {
    fn drop(&mut self) {
        for (name, token) in &self.open {
            self.tokens.clear(token);
            self.shown_by.iter().for_each(|tls| tls.managed().clear_challenge(name));
        }
    }
}
