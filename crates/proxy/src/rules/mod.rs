//! What a service does to its messages on their way: resolved from its policy when a snapshot is built, not per request.

pub(crate) mod rewrite;

use cutover_core::policy::{HeaderRules, Policy};

use self::rewrite::Rewrite;
use crate::client::client_subject::is_alike;
use crate::h1::line::is_value;
use crate::message::fields::Fields;
use crate::message::forwarded;
use crate::message::headers::HOP_BY_HOP;
use crate::message::name::{FieldName, Name, Names};
use crate::own::redirect::Redirects;

/// What no rule can change, because a message would end elsewhere, or mean something else, or the proxy would not know it again.
const FIXED: Names =
    Names::of(&[Name::ContentLength, Name::CutoverPin, Name::Trailer, Name::XRequestId]).and(HOP_BY_HOP);

/// What no rule can change in a request beside that: for whom it is, and what the proxy says about its way.
const FIXED_IN_REQUESTS: Names = Names::of(&[
    Name::Cookie,
    Name::CutoverState,
    Name::Expect,
    Name::Forwarded,
    Name::Host,
    Name::MaxForwards,
    Name::Proxy,
    Name::Via,
    Name::XForwardedFor,
    Name::XForwardedHost,
    Name::XForwardedPrefix,
    Name::XForwardedProto,
])
.and(FIXED);

/// The same in an answer.
const FIXED_IN_ANSWERS: Names = Names::of(&[Name::CutoverUpdate]).and(FIXED);

/// What rules about the app's answers say nothing about in ours: that one is stored by nobody, and is what it is.
const OURS: Names = Names::of(&[
    Name::CacheControl,
    Name::CdnCacheControl,
    Name::ContentType,
    Name::RetryAfter,
    Name::SurrogateControl,
]);

/// What is done to the messages of a service.
#[derive(Debug, Default)]
pub(crate) struct Rules {
    /// Done to the head of a request, after everything that the proxy itself does to it.
    pub(crate) request: Changes,
    /// Done to the head of an answer, before its pin is handed out: whether that may be depends on who may store the answer.
    pub(crate) response: Changes,
    pub(crate) rewrite: Option<Rewrite>,
    pub(crate) redirects: Redirects,
}

/// Header rules, in the order in which they are carried out.
#[derive(Debug, Default)]
pub(crate) struct Changes(Box<[Change]>);

#[derive(Debug)]
struct Change {
    name: FieldName,
    /// Which lines that are there go.
    replaces: Replaced,
    /// The value of the line that is added, if one is.
    value: Option<Box<[u8]>>,
}

/// Which lines a rule takes out before it adds one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Replaced {
    Nothing,
    /// Those of its name.
    Named,
    /// Those too that an app can't tell from them: `X_User` is no way around a rule about `X-User`.
    Alike,
}

impl Rules {
    /// The rules of a policy.
    pub(crate) fn new(policy: &Policy) -> Self {
        // An app that believes a field in disguise would believe what no client may say.
        let is_fixed = |name: &FieldName| {
            FIXED_IN_REQUESTS.contains(name.name) || forwarded::is_alias(name.text.as_bytes())
        };
        Self {
            request: Changes::new(&policy.request, Replaced::Alike, is_fixed),
            response: Changes::new(&policy.response, Replaced::Named, |name| {
                FIXED_IN_ANSWERS.contains(name.name)
            }),
            rewrite: policy.rewrite_prefix.as_deref().map(Rewrite::new),
            redirects: Redirects::new(&policy.redirects),
        }
    }
}

impl Changes {
    /// What `is_fixed`, or can't be written, is left out: a policy that was read by another release may have it.
    fn new(rules: &HeaderRules, replaced: Replaced, is_fixed: impl Fn(&FieldName) -> bool) -> Self {
        let change = |text: &str, replaces, value: Option<&String>| {
            let name = FieldName::new(text);
            let value = value.map(|value| value.as_bytes().into());
            let is_right = !text.is_empty() && !is_fixed(&name) && value.as_deref().is_none_or(is_value);
            is_right.then_some(Change { name, replaces, value })
        };
        let removed = rules.remove.iter().map(|name| change(name, replaced, None));
        let set = rules.set.iter().map(|(name, value)| change(name, replaced, Some(value)));
        let added = rules.add.iter().map(|(name, value)| change(name, Replaced::Nothing, Some(value)));
        Self(removed.chain(set).chain(added).flatten().collect())
    }

    /// Carries them out.
    pub(crate) fn apply(&self, fields: &mut Fields) {
        self.0.iter().for_each(|change| change.apply(fields));
    }

    /// Carries them out on an answer of the proxy's own.
    pub(crate) fn apply_to_ours(&self, fields: &mut Fields) {
        self.0
            .iter()
            .filter(|change| !OURS.contains(change.name.name))
            .for_each(|change| change.apply(fields));
    }
}

impl Change {
    fn apply(&self, fields: &mut Fields) {
        match self.replaces {
            Replaced::Nothing => {}
            Replaced::Named => fields.remove_configured(&self.name),
            Replaced::Alike => {
                fields.remove_configured(&self.name);
                fields.remove_where(|name, text| {
                    name == Name::Other && is_alike(self.name.text.as_bytes(), text)
                });
            }
        }
        if let Some(value) = &self.value {
            fields.append_configured(&self.name, value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect()
    }

    fn rules(remove: &[&str], set: &[(&str, &str)], add: &[(&str, &str)]) -> HeaderRules {
        HeaderRules {
            remove: remove.iter().map(ToString::to_string).collect(),
            set: pairs(set),
            add: pairs(add),
        }
    }

    fn of(request: HeaderRules, response: HeaderRules) -> Rules {
        Rules::new(&Policy { request, response, ..Policy::default() })
    }

    fn done(changes: &Changes, fields: &[(&str, &str)]) -> Fields {
        let mut fields: Fields = fields.iter().copied().collect();
        changes.apply(&mut fields);
        fields
    }

    #[test]
    fn lines_are_removed_then_set_then_added() {
        let rules = rules(
            &["x-a", "server"],
            &[("x-b", "1"), ("cache-control", "no-store")],
            &[("x-a", "2"), ("x-b", "3")],
        );
        let found = [
            ("X-A", "old"),
            ("x-a", "old"),
            ("X-B", "old"),
            ("Server", "app"),
            ("Cache-Control", "public"),
            ("X-C", "4"),
        ];
        let expected =
            [("x-c", "4"), ("x-b", "1"), ("cache-control", "no-store"), ("x-a", "2"), ("x-b", "3")];
        assert_eq!(done(&of(HeaderRules::default(), rules).response, &found), Fields::from_iter(expected));
    }

    #[test]
    fn framing_pins_and_what_is_said_about_the_way_stay() {
        let fixed = [
            "host",
            "content-length",
            "transfer-encoding",
            "connection",
            "te",
            "trailer",
            "cookie",
            "forwarded",
            "via",
            "x-forwarded-for",
            "x_forwarded_for",
            "x-forwarded-proto",
            "x-forwarded-prefix",
            "x-request-id",
            "upgrade",
        ];
        let every = fixed.map(|name| (name, "1"));
        let request = of(rules(&fixed, &every, &every), HeaderRules::default()).request;
        assert!(request.0.is_empty(), "{request:?}");
        let fixed = [
            "content-length",
            "transfer-encoding",
            "connection",
            "trailer",
            "upgrade",
            "cutover-pin",
            "cutover-update",
            "x-request-id",
        ];
        let every = fixed.map(|name| (name, "1"));
        let response = of(HeaderRules::default(), rules(&fixed, &every, &every)).response;
        assert!(response.0.is_empty(), "{response:?}");
    }

    #[test]
    fn a_value_that_would_begin_another_line_is_left_out() {
        let rules = rules(&[], &[("x-a", "1\r\nX-B: 2")], &[("", "1")]);
        assert!(of(rules, HeaderRules::default()).request.0.is_empty());
    }

    #[test]
    fn what_our_own_answers_say_of_themselves_stays() {
        let set = [
            ("strict-transport-security", "max-age=1"),
            ("cache-control", "public"),
            ("content-type", "x/y"),
        ];
        let rules = of(HeaderRules::default(), rules(&["retry-after"], &set, &[]));
        let mut fields = Fields::from_iter([
            ("cache-control", "no-store"),
            ("content-type", "text/html"),
            ("retry-after", "1"),
        ]);
        rules.response.apply_to_ours(&mut fields);
        let expected =
            [("cache-control", "no-store"), ("content-type", "text/html"), ("retry-after", "1"), set[0]];
        assert_eq!(fields, Fields::from_iter(expected));
    }
}
