//! Conditions: `acl` lines, and what `if` and `unless` say with them.

use super::super::pattern::trimmed;
use super::super::tree::Directive;
use super::proxy::Proxy;

/// Requests that a condition lets through.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Match {
    /// Hosts; empty = any.
    pub(super) hosts: Vec<String>,
    /// Path prefixes; empty = any.
    pub(super) paths: Vec<String>,
    /// Whether only those that came without TLS are meant.
    pub(super) is_plain: bool,
    /// What of it means something else here.
    pub(super) change: Option<&'static str>,
}

/// What one test asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Test {
    Hosts(Vec<String>),
    Paths(Vec<String>, Option<&'static str>),
    Tls,
}

impl Match {
    /// Every request.
    pub(super) const fn any() -> Self {
        Self { hosts: Vec::new(), paths: Vec::new(), is_plain: false, change: None }
    }
}

/// The condition behind word `at` of `line`; every request where it has none.
///
/// # Errors
/// Why it can't be said by hosts and paths.
pub(super) fn condition(proxy: &Proxy<'_>, line: &Directive, at: usize) -> Result<Vec<Match>, String> {
    let words = line.args.get(at..).unwrap_or_default();
    let Some(begin) = words.iter().position(|word| word == "if" || word == "unless") else {
        return Ok(vec![Match::any()]);
    };
    let is_unless = words[begin] == "unless";
    let mut matches = Vec::new();
    for group in words[begin + 1..].split(|word| word == "or" || word == "||") {
        matches.push(group_match(proxy, group, is_unless)?);
    }
    if is_unless && matches.len() > 1 {
        return Err("a service has no exceptions; name the hosts and paths that are meant".to_owned());
    }
    Ok(matches)
}

/// What all tests of a group let through together.
fn group_match(proxy: &Proxy<'_>, group: &[String], is_unless: bool) -> Result<Match, String> {
    let mut found = Match::any();
    let mut words = group.iter();
    while let Some(word) = words.next() {
        let (is_not, name) = match word.strip_prefix('!') {
            // The mark may stand alone.
            Some("") => (true, words.next().map(String::as_str).unwrap_or_default()),
            Some(name) => (true, name),
            None => (false, word.as_str()),
        };
        let test = if name == "{" {
            let inside: Vec<_> = words.by_ref().take_while(|word| *word != "}").cloned().collect();
            test(&inside)
        } else {
            named_test(proxy, name)
        };
        match (test?, is_not != is_unless) {
            (Test::Tls, true) => found.is_plain = true,
            (Test::Hosts(hosts), false) if found.hosts.is_empty() => found.hosts = hosts,
            (Test::Paths(paths, change), false) if found.paths.is_empty() => {
                (found.paths, found.change) = (paths, change);
            }
            _ => {
                return Err(
                    "only one test of the host and one of the path, without exceptions, make a service"
                        .to_owned(),
                );
            }
        }
    }
    Ok(found)
}

/// All `acl` lines of this name: each adds to what the others let through.
fn named_test(proxy: &Proxy<'_>, name: &str) -> Result<Test, String> {
    let mut found: Option<Test> = None;
    for line in proxy.lines().filter(|line| line.is("acl") && line.arg(0) == name) {
        let next = test(line.args.get(1..).unwrap_or_default())?;
        proxy.ledger.see(line);
        found = Some(match (found, next) {
            (None, next) => next,
            (Some(Test::Hosts(a)), Test::Hosts(b)) => Test::Hosts([a, b].concat()),
            (Some(Test::Paths(a, change)), Test::Paths(b, other)) => {
                Test::Paths([a, b].concat(), change.or(other))
            }
            _ => return Err(format!("acl {name:?} asks for different things")),
        });
    }
    found.ok_or_else(|| format!("there is no acl {name:?}"))
}

/// `hdr(host) -i a b`, `path_beg /x`, `ssl_fc`.
fn test(words: &[String]) -> Result<Test, String> {
    let Some((fetch, rest)) = words.split_first() else { return Err("it asks for nothing".to_owned()) };
    let (fetch, converters) =
        fetch.split_once(',').map_or((fetch.as_str(), ""), |(fetch, converters)| (fetch, converters));
    if !matches!(converters, "" | "lower" | "field(1,:)" | "host_only") {
        return Err(format!("services are chosen by host and path prefix, not by {fetch},{converters}"));
    }
    let (mut method, mut values) = ("", Vec::new());
    let mut rest = rest.iter();
    while let Some(word) = rest.next() {
        match word.as_str() {
            "-i" | "--" | "-n" => {}
            "-m" => method = rest.next().map(String::as_str).unwrap_or_default(),
            "-f" => return Err("values in files are not read; name them".to_owned()),
            value => values.push(value.to_owned()),
        }
    }
    let host = |kind: &str| {
        ["hdr", "req.hdr", "req.fhdr", "hdr_beg", "hdr_end", "hdr_dom"].iter().any(|name| {
            let plain = fetch.eq_ignore_ascii_case(&format!("{name}(host)"));
            plain
                && if name.starts_with("hdr_") {
                    *name == format!("hdr_{kind}")
                } else {
                    kind == method || (kind == "str" && method.is_empty())
                }
        })
    };
    let whole = "what is under this path goes there, too";
    let paths =
        |values: Vec<String>, change| Test::Paths(values.iter().map(|path| trimmed(path)).collect(), change);
    let is_cut = |path: &String| path.ends_with('/');
    if host("str") {
        let without_port = |host: &String| host.split(':').next().unwrap_or_default().to_owned();
        return Ok(Test::Hosts(values.iter().map(without_port).collect()));
    }
    if host("end") && values.iter().all(|value| value.starts_with('.')) {
        return Ok(Test::Hosts(values.iter().map(|value| format!("*{value}")).collect()));
    }
    match (fetch, method) {
        ("path_beg" | "path_dir" | "url_beg", _) | ("path", "beg") => {
            let change = "a prefix is one of whole segments: /api is for /api and /api/x, not for /apix";
            let is_whole = fetch == "path_dir" || values.iter().all(is_cut);
            Ok(paths(values, (!is_whole).then_some(change)))
        }
        ("path", "" | "str") => Ok(paths(values, Some(whole))),
        ("ssl_fc", _) => Ok(Test::Tls),
        _ => Err(format!("services are chosen by host and path prefix, not by {fetch}")),
    }
}
