//! The command that restarts a backend, as it is written once for all of them.

use std::borrow::Cow;

/// A command with places for what differs between backends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Template(String);

/// What differs: a backend, and where it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    /// The name of the backend.
    pub(super) id: String,
    /// Host name or address, IPv6 without brackets; the path of a Unix socket.
    pub(super) host: String,
    /// Its port; a Unix socket has none.
    pub(super) port: Option<String>,
}

/// A backend without a port, and a command that wants one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("backend {0} listens on a Unix socket, so that {{port}} in the command has no value")]
pub(super) struct NoPort(String);

impl Template {
    /// A template of this text. Braces around anything but the four names mean what they mean to the shell.
    #[must_use]
    pub(super) fn new(text: &str) -> Self {
        Self(text.to_owned())
    }

    /// The command for one backend.
    ///
    /// # Errors
    /// The command wants a port that the backend doesn't have.
    pub(super) fn command(&self, place: &Place, batch: u32) -> Result<String, NoPort> {
        let batch = batch.to_string();
        let no_port = || NoPort(place.id.clone());
        let mut command = String::with_capacity(self.0.len());
        let mut rest = self.0.as_str();
        while let Some(at) = rest.find('{') {
            command.push_str(&rest[..at]);
            rest = &rest[at..];
            let name = rest.find('}').map_or("", |end| &rest[..=end]);
            let value = match name {
                "{host}" => &place.host,
                "{port}" => place.port.as_ref().ok_or_else(no_port)?,
                "{id}" => &place.id,
                "{batch}" => &batch,
                _ => {
                    command.push('{');
                    rest = &rest[1..];
                    continue;
                }
            };
            command.push_str(&word(value));
            rest = &rest[name.len()..];
        }
        command.push_str(rest);
        Ok(command)
    }
}

impl Place {
    /// The backend `id` at `address`: `host:port`, `[v6]:port` or `unix:/path`.
    #[must_use]
    pub(super) fn new(id: &str, address: &str) -> Self {
        let (host, port) = match address.strip_prefix("unix:") {
            Some(path) => (path, None),
            None => {
                address.rsplit_once(':').map_or((address, None), |(host, port)| (host, Some(port.to_owned())))
            }
        };
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        Self { id: id.to_owned(), host, port }
    }
}

/// The text as one word of a POSIX shell. What needs no quotes gets none, so that it may also stand inside the command's own.
fn word(text: &str) -> Cow<'_, str> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-:@+,/%".contains(&byte);
    if !text.is_empty() && text.bytes().all(is_plain) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(format!("'{}'", text.replace('\'', r"'\''")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn command(template: &str, id: &str, address: &str) -> String {
        Template::new(template).command(&Place::new(id, address), 2).unwrap()
    }

    #[test]
    fn what_differs_is_filled_in() {
        assert_eq!(
            command("ssh {host} 'restart {id} on {port}' # {batch}", "a", "10.0.0.1:3000"),
            "ssh 10.0.0.1 'restart a on 3000' # 2"
        );
        assert_eq!(command("{host} {port}", "a", "[::1]:80"), "::1 80");
        assert_eq!(command("ls {host}", "a", "unix:/run/app.sock"), "ls /run/app.sock");
    }

    #[test]
    fn other_braces_are_the_shells() {
        let text = "echo ${HOME} {a,b} {} { {hosts} | awk '{print $1}' {";
        assert_eq!(command(text, "a", "b:1"), text);
        assert_eq!(command("{{id}}", "a", "b:1"), "{a}");
    }

    #[test]
    fn a_value_is_one_word_whatever_is_in_it() {
        assert_eq!(command("x {id}", "[a]~", "b:1"), "x '[a]~'");
        assert_eq!(command("x {host}", "a", "unix:/tmp/it's; rm"), r"x '/tmp/it'\''s; rm'");
    }

    #[test]
    fn the_shell_takes_a_value_as_it_is() {
        let path = "unix:/tmp/$(id) `id` \"it's\" \\ *";
        let output = std::process::Command::new("sh")
            .args(["-c", &command("printf %s {host}", "a", path)])
            .output()
            .unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stdout), path.trim_start_matches("unix:"));
    }

    #[test]
    fn a_port_that_is_not_there_is_refused() {
        let place = Place::new("a", "unix:/run/app.sock");
        assert_eq!(Template::new("{port}").command(&place, 1), Err(NoPort("a".to_owned())));
    }
}
