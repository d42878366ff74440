//! A fresh token for the admin API, and its line for the configuration.

use std::fmt::Write;
use std::io;

use sha2::{Digest, Sha256};

use crate::args::{Token, TokenRole};

/// Random bytes of a token: as much as its hash can tell apart.
const TOKEN_BYTES: usize = 32;

/// A token and what the configuration says of it.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Made {
    token: String,
    sha256: String,
    line: String,
}

/// Makes a token from the system's randomness.
///
/// # Errors
/// The arguments contradict each other, or the system has no randomness.
pub(crate) fn make(args: &Token) -> io::Result<Made> {
    let mut bytes = [0; TOKEN_BYTES];
    getrandom::fill(&mut bytes).map_err(io::Error::other)?;
    made_of(&bytes, args)
}

fn made_of(bytes: &[u8; TOKEN_BYTES], args: &Token) -> io::Result<Made> {
    let is_for_services = args.role == TokenRole::Register;
    if is_for_services == args.services.is_empty() {
        let message = if is_for_services {
            "a register token is for named services: add --service"
        } else {
            "--service is only for --role register"
        };
        return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
    }
    let token = hex(bytes);
    let sha256 = hex(&Sha256::digest(token.as_bytes()));
    // A JSON string, or a list of them, is one in TOML too.
    let name = serde_json::json!(args.name);
    let role = args.role.as_str();
    let services = match is_for_services {
        true => format!(", services = {}", serde_json::json!(args.services)),
        false => String::new(),
    };
    let line = format!("{{ name = {name}, sha256 = \"{sha256}\", role = \"{role}\"{services} }}");
    Ok(Made { token, sha256, line })
}

impl Made {
    /// What is printed: the token is shown this once and kept nowhere.
    #[must_use]
    pub(crate) fn text(&self, json: bool) -> String {
        let Self { token, sha256, line } = self;
        if json {
            return format!(
                "{:#}\n",
                serde_json::json!({ "token": token, "sha256": sha256, "config": line })
            );
        }
        format!("token   {token}\nsha256  {sha256}\n\nAdd this to [admin] tokens = [ … ]:\n\n  {line},\n")
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config;

    fn args(role: TokenRole, services: &[&str]) -> Token {
        Token {
            name: "ci \"1\"".to_owned(),
            role,
            services: services.iter().map(ToString::to_string).collect(),
        }
    }

    #[test]
    fn the_line_is_right_in_a_configuration_and_hashes_the_token() {
        let made = made_of(&[7; TOKEN_BYTES], &args(TokenRole::Register, &["web"])).unwrap();
        let text = format!("[node]\nstate_dir = \"/s\"\n[admin]\ntokens = [{}]", made.line);
        let config = config::parse("c.toml", &text, &|_| None).unwrap_or_else(|report| panic!("{report}"));
        let token = &config.admin.tokens[0];
        assert_eq!((token.name.as_str(), token.role), ("ci \"1\"", config::Role::Register));
        assert_eq!(token.sha256[..], Sha256::digest(made.token.as_bytes())[..]);
    }

    #[test]
    fn two_tokens_are_never_the_same() {
        let make = || make(&args(TokenRole::Admin, &[])).unwrap().token;
        assert_ne!(make(), make());
    }

    #[test]
    fn services_are_for_register_tokens_and_these_need_some() {
        assert!(make(&args(TokenRole::Register, &[])).is_err());
        assert!(make(&args(TokenRole::Operate, &["web"])).is_err());
    }
}
