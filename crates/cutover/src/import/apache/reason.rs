//! What is said about directives of Apache that nothing else here asks for.

use super::super::note::{ACCOUNT, Kind};
use super::super::tree::Directive;

/// What there is to say about a directive that nothing above asked for.
pub(super) fn why(directive: &Directive) -> (Kind, &'static str) {
    if directive.is("location")
        && directive
            .inner()
            .iter()
            .any(|inner| inner.is("sethandler") && inner.keyword(0) == "balancer-manager")
    {
        return (
            Kind::Lost,
            "there is no balancer-manager: `cutover status` shows what it showed, `cutover permit` and `cutover roll` do what scripts did with it",
        );
    }
    if directive.is_one_of("user group") {
        return ACCOUNT;
    }
    if directive.is_one_of(OWN_WAY) {
        return (Kind::Moot, "cutover has its own way of this");
    }
    match directive.name.as_str() {
        "ifdefine" | "ifmodule" | "ifversion" | "iffile" => (Kind::Moot, "its condition does not hold"),
        "include" | "includeoptional" => {
            (Kind::Lost, "a file that it names can't be read; import again where it is")
        }
        "proxypassmatch" | "locationmatch" => (
            Kind::Lost,
            "regular expressions choose no service; write a service with the path prefixes that are meant",
        ),
        "sethandler" => (Kind::Lost, "there are no handlers; requests go to services"),
        "customlog" | "errorlog" | "logformat" | "transferlog" => (
            Kind::Lost,
            "the access log of all services is one, see [access_log]; errors are logged to standard error",
        ),
        "directory" | "files" | "filesmatch" | "directorymatch" | "alias" | "scriptalias" | "aliasmatch" => (
            Kind::Lost,
            "cutover serves no files; let the app serve them, or a server of files that is a service of its own",
        ),
        "require" | "order" | "allow" | "deny" | "requireany" | "requireall" | "authtype" | "authname"
        | "authuserfile" | "satisfy" => {
            (Kind::Lost, "cutover does not decide who may see what; let the app do it")
        }
        "sslciphersuite"
        | "sslhonorcipherorder"
        | "sslsessiontickets"
        | "sslcompression"
        | "sslusestapling"
        | "sslopensslconfcmd" => (Kind::Moot, "TLS is that of rustls: what is safe today, and nothing else"),
        "proxy" => (Kind::Lost, "no ProxyPass sends anything there"),
        "balancermember" | "proxyset" => (Kind::Lost, "no ProxyPass uses this group"),
        "location" => (Kind::Lost, "nothing in it is proxied, and all in it is left out"),
        "setenv" | "setenvif" | "browsermatch" | "setenvifnocase" => {
            (Kind::Lost, "there are no variables of a request; let the app look at its headers")
        }
        _ => (
            Kind::Lost,
            "cutover has nothing like it, or nothing that is proxied asks for it; leave it to the app, or see config/reference.toml",
        ),
    }
}

/// What cutover has its own way of.
const OWN_WAY: &str = "
    loadmodule pidfile mutex defaultruntimedir serveradmin serversignature servertokens
    keepalive maxkeepaliverequests keepalivetimeout hostnamelookups usecanonicalname accessfilename
    loglevel typesconfig addtype mimemagicfile directoryindex namevirtualhost startservers
    minsparethreads maxsparethreads threadsperchild threadlimit maxrequestworkers maxconnectionsperchild
    serverlimit traceenable proxyrequests proxyvia proxystatus listenbacklog sslsessioncache
    sslsessioncachetimeout sslrandomseed sslpassphrasedialog sslstrictsnivhostcheck protocols
    balancerpersist balancergrowth balancerinherit";
