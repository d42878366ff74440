//! The headers by which backends are told who a client is by its certificate. No client can send them, over whatever listener it comes:
//! an app believes them.

use std::sync::Arc;

use crate::config::ListenerConfig;
use crate::message::fields::Fields;
use crate::message::name::{Name, Names};

/// The names that listeners use for them.
#[derive(Debug)]
pub(crate) struct SubjectFields {
    /// Those that mean something else to the proxy, too.
    known: Names,
    texts: Vec<Box<str>>,
}

impl SubjectFields {
    /// Those of all listeners; `None` when there are none.
    pub(crate) fn of(listeners: &[ListenerConfig]) -> Option<Arc<Self>> {
        let names = listeners.iter().map(|listener| listener.client_subject_header.as_str());
        let mut texts: Vec<Box<str>> = names.filter(|name| !name.is_empty()).map(Box::from).collect();
        texts.sort_unstable();
        texts.dedup();
        let names = texts.iter().map(|text| Name::of(text.as_bytes())).filter(|name| *name != Name::Other);
        let known = names.fold(Names::default(), |known, name| known.and(Names::of(&[name])));
        (!texts.is_empty()).then(|| Arc::new(Self { known, texts }))
    }

    /// Takes them out of what a client sent, also in the disguise in which apps that see fields as environment variables (CGI, WSGI,
    /// Rack, PHP) can't tell them apart.
    pub(crate) fn remove_from(&self, fields: &mut Fields) {
        fields.remove_all(self.known);
        fields.remove_unknown_where(|name| {
            self.texts.iter().any(|reserved| is_alike(reserved.as_bytes(), name))
        });
    }
}

/// Whether the two are the same name, or the same environment variable.
pub(crate) fn is_alike(one: &[u8], other: &[u8]) -> bool {
    let plain = |byte: &u8| if *byte == b'_' { b'-' } else { byte.to_ascii_lowercase() };
    one.len() == other.len() && one.iter().map(plain).eq(other.iter().map(plain))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_names_of_all_listeners_are_taken_out_in_every_disguise() {
        let listener = |name: &str| ListenerConfig {
            client_subject_header: name.to_owned(),
            ..ListenerConfig::default()
        };
        let reserved = ["X-Client", "", "X-Subject-DN", "X-Real-IP"].map(listener);
        let reserved = SubjectFields::of(&reserved);
        let mut fields: Fields = [
            ("x-client", "CN=admin"),
            ("X_CLIENT", "CN=admin"),
            ("x-subject_dn", "CN=admin"),
            ("x-real-ip", "CN=admin"),
            ("x_real-ip", "CN=admin"),
            ("x-clients", "kept"),
        ]
        .into_iter()
        .collect();
        reserved.unwrap().remove_from(&mut fields);
        assert_eq!(fields, [("x-clients", "kept")].into_iter().collect());
    }

    #[test]
    fn without_any_there_is_nothing_to_look_for() {
        assert!(SubjectFields::of(&[ListenerConfig::default()]).is_none());
    }
}
