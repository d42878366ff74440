//! What is said of everything in a scope: headers, timeouts, limits, pages, TLS towards backends.

use cutover_control::admin::wire::service::UpstreamProtocol;

use super::super::draft::{Edit, FIXED_WAY, Service, is_fixed_way, is_told_anyway};
use super::super::files::Files;
use super::super::note::{Ledger, Note};
use super::super::tree::Directive;
use super::super::value::{Unit, duration, is_on, size};

/// Carries settings over, from the outermost scope to the innermost.
pub(super) struct Settings<'a> {
    /// What was understood.
    pub(super) ledger: &'a Ledger,
    files: &'a Files,
    document_root: String,
    keeps_host: bool,
    verifies: bool,
    has_proxy_timeout: bool,
}

impl<'a> Settings<'a> {
    /// For one service.
    pub(super) fn new(files: &'a Files, ledger: &'a Ledger) -> Self {
        Self {
            ledger,
            files,
            document_root: String::new(),
            keeps_host: false,
            verifies: false,
            has_proxy_timeout: false,
        }
    }

    /// Does what the directives of a scope say, as far as they are about what is proxied.
    pub(super) fn apply_all(&mut self, service: &mut Service, scope: &[Directive]) {
        scope.iter().for_each(|directive| self.apply(service, directive));
    }

    /// Does what one directive says, if it is about what is proxied.
    pub(super) fn apply(&mut self, service: &mut Service, directive: &Directive) {
        let value = directive.arg(0);
        match directive.name.as_str() {
            "requestheader" => request_header(service, directive),
            "header" => answer_header(service, directive),
            "proxypreservehost" => self.keeps_host = is_on(value),
            "proxytimeout" => {
                self.has_proxy_timeout = true;
                response_timeout(service, directive);
            }
            "timeout" if !self.has_proxy_timeout => response_timeout(service, directive),
            "limitrequestbody" => match size(value) {
                Some(size) => service.spec.limits.body = size,
                None => service.lost(directive, format!("{value:?} is no size; see limits.body")),
            },
            "documentroot" => {
                value.clone_into(&mut self.document_root);
                let why = "cutover serves no files; let the app serve them, or a server of files that is a service of its own";
                service.lost(directive, why);
            }
            "errordocument" => self.error_page(service, directive),
            "sslproxyengine" | "timeout" => {}
            "sslproxyverify" => self.verifies = directive.keyword(0) == "require",
            "sslproxycacertificatefile" => service.spec.upstream.tls.ca = self.files.absolute(value),
            "sslproxymachinecertificatefile" => {
                let file = self.files.absolute(value);
                service.spec.upstream.tls.cert.clone_from(&file);
                service.spec.upstream.tls.key = file;
            }
            "sslproxycheckpeername" | "sslproxycheckpeercn" | "sslproxycheckpeerexpire" if !is_on(value) => {
                service.lost(directive, "who is verified at all is verified whole; see upstream.tls.server_name for other names");
            }
            "proxypassreverse" => service.notes.push(Note::moot(
                directive,
                "apps are told the client's own host (and X-Forwarded-Prefix), so that their redirects are right as they are",
            )),
            "proxypassreversecookiedomain" | "proxypassreversecookiepath" => {
                service.lost(directive, "cookies go on byte for byte; let the app set the domain and the path that clients see");
            }
            "setoutputfilter" | "addoutputfilterbytype" if directive.has("deflate") || directive.has("brotli_compress") => {
                service.spec.compression.enabled = true;
            }
            _ => return,
        }
        self.ledger.see(directive);
    }

    /// What holds unless something else was said.
    pub(super) fn finish(self, service: &mut Service) {
        let from = service.from.clone();
        if !self.keeps_host && !service.spec.backends.is_empty() {
            service.changed(
                &from,
                "apps are told the host that the client asked for, as with ProxyPreserveHost On",
            );
        }
        let protocol = service.spec.upstream.protocol;
        let is_tls = matches!(protocol, UpstreamProtocol::Https | UpstreamProtocol::HttpsH2);
        let tls = &mut service.spec.upstream.tls;
        if !is_tls {
            *tls = Default::default();
        } else if !self.verifies {
            tls.ca.clear();
            tls.insecure_skip_verify = true;
            service.changed(&from, "backends are believed whatever certificate they show, as without SSLProxyVerify require; set upstream.tls.ca instead");
        }
    }

    fn error_page(&self, service: &mut Service, directive: &Directive) {
        let (status, page) = (directive.arg(0), directive.arg(1));
        if !page.starts_with('/') || self.document_root.is_empty() {
            let why = "pages are HTML files on this host; name one in error_pages";
            return service.lost(directive, why);
        }
        let path = self.files.absolute(&format!("{}{page}", self.document_root.trim_end_matches('/')));
        service.spec.error_pages.insert(status.to_owned(), path);
    }
}

fn response_timeout(service: &mut Service, directive: &Directive) {
    match duration(directive.arg(0), Unit::Seconds).filter(|span| span != "0s") {
        Some(span) => service.spec.upstream.response_timeout = span,
        None => service
            .lost(directive, format!("{:?} is no timeout; see upstream.response_timeout", directive.arg(0))),
    }
}

fn request_header(service: &mut Service, directive: &Directive) {
    let (name, value) = (directive.arg(1).trim_end_matches(':'), directive.arg(2));
    if directive.args.len() == 3 && is_fixed_way(name, value, '%') {
        return service.lost(directive, FIXED_WAY);
    }
    if is_told_anyway(name) && directive.keyword(0) != "unset" {
        return;
    }
    let mut rules = std::mem::take(&mut service.spec.request);
    let edited = edit(directive, 0).and_then(|edit| edit.apply(&mut rules, name, value));
    service.spec.request = rules;
    if let Err(why) = edited {
        service.lost(directive, why);
    }
}

fn answer_header(service: &mut Service, directive: &Directive) {
    let skipped = usize::from(matches!(directive.keyword(0).as_str(), "always" | "onsuccess"));
    let (name, value) = (directive.arg(skipped + 1).trim_end_matches(':'), directive.arg(skipped + 2));
    if value.contains("%{BALANCER_WORKER_ROUTE}e") {
        let why = "cutover's own cookie ties sessions to servers, where affinity = \"backend\"";
        return service.notes.push(Note::moot(directive, why));
    }
    let mut rules = std::mem::take(&mut service.spec.response);
    let edited = edit(directive, skipped).and_then(|edit| edit.apply(&mut rules, name, value));
    service.spec.response = rules;
    if let Err(why) = edited {
        service.lost(directive, why);
    }
}

/// What is done to a field, if it is done always and to a fixed value. `at` is the place of the verb.
fn edit(directive: &Directive, at: usize) -> Result<Edit, String> {
    let verb = directive.keyword(at);
    let edit = match verb.as_str() {
        "set" => Edit::Set,
        "add" | "append" | "merge" => Edit::Add,
        "unset" => Edit::Remove,
        _ => return Err(format!("rules set, add and remove headers; {verb:?} is for the app")),
    };
    let behind = if edit == Edit::Remove { 2 } else { 3 };
    if directive.args.len() > at + behind && !directive.keyword(at + behind).eq("early") {
        return Err("rules have no conditions; let the app do it".to_owned());
    }
    if directive.args.len() < at + behind {
        return Err("it has no value".to_owned());
    }
    if edit != Edit::Remove && directive.arg(at + 2).contains('%') {
        return Err("a rule has a fixed value; what changes with each request is for the app".to_owned());
    }
    Ok(edit)
}
