//! Canaries: a version gets a share of the sessions, more of them, or gives them back; and how they are shown.

use http::Method;
use serde_json::{Value, json};

use super::args::Canary;
use super::change::object;
use super::client::{CALL_TIMEOUT, Client, path};
use super::error::Error;
use super::share::percent;
use super::table::time;
use super::{Output, view};

/// Begins, changes or ends a canary, or shows it.
pub(super) async fn carry_out(args: Canary) -> Result<Output, Error> {
    let (client, service) = (Client::new(&args.remote), &args.service);
    let at = ["services", service.as_str()];
    let is_change = args.to.is_some() || args.share.is_some() || args.pause || args.resume || args.abort;
    let to = match &args.to {
        Some(to) => to.clone(),
        None => {
            let (document, found) = client.read::<view::Service>(&path(&at)).await?;
            if !is_change {
                let document = json!({ "canary": document["canary"], "epoch": document["epoch"] });
                return Ok(Output::new(document, shown(&found)));
            }
            meant(&args, &found)?
        }
    };
    let body = object([
        ("to", Some(json!(to))),
        ("share", args.abort.then_some(0.0).or(args.share).map(Value::from)),
        ("paused", (args.pause || args.resume).then_some(json!(args.pause))),
        ("if_epoch", args.if_epoch.map(Value::from)),
        ("reason", args.reason.map(Value::from)),
    ]);
    let path = path(&[&at[..], &["canary"]].concat());
    let answer = client.call(Method::POST, &path, Some(&body), CALL_TIMEOUT).await?.body;
    let view: view::CanaryChanged = client.view(&answer)?;
    let said = match &view.canary {
        Some(canary) => format!("{service}: {}\n", in_words(canary)),
        None => {
            format!("{service}: {to} is no canary any more; its sessions go back in epoch {}\n", view.epoch)
        }
    };
    Ok(Output::new(answer, said))
}

/// A line for each service that has a canary.
pub(super) fn lines(services: &[view::Service]) -> String {
    let running = services.iter().filter_map(|service| Some((&service.name, service.canary.as_ref()?)));
    running.map(|(name, canary)| format!("{name}: {}\n", in_words(canary))).collect()
}

fn shown(service: &view::Service) -> String {
    match &service.canary {
        Some(canary) => format!("{}: {}\n", service.name, in_words(canary)),
        None => format!("{}: no version is a canary\n", service.name),
    }
}

/// The version that a change is about when it names none.
fn meant(args: &Canary, service: &view::Service) -> Result<String, Error> {
    if let Some(canary) = &service.canary {
        return Ok(canary.version.clone());
    }
    let name = &service.name;
    if args.abort || args.pause || args.resume {
        return Err(Error::State(format!("{name} has no canary")));
    }
    let staged = service.versions.iter().filter(|version| version.role == "staged");
    let staged: Vec<&str> = staged.map(|version| version.version.as_str()).collect();
    match staged.as_slice() {
        [] => Err(Error::State(format!("no version of {name} is staged; say with --to which one is meant"))),
        [only] => Ok((*only).to_owned()),
        several => {
            let all = several.join(", ");
            Err(Error::State(format!("several versions of {name} are staged, {all}: say one with --to")))
        }
    }
}

/// How far a canary is.
fn in_words(canary: &view::Canary) -> String {
    let view::Canary { version, share, step, steps, next_at, paused, complete, starved, failed } = canary;
    let mut text = format!("{version} is the canary with {} of new sessions", percent(*share));
    text += &match (step, next_at) {
        (None, _) => ", until somebody changes it".to_owned(),
        (Some(step), _) if *paused => format!(", step {step} of {steps}, paused"),
        (Some(_), _) if *complete => format!(", through all of its {steps} steps"),
        (Some(step), Some(next_at)) => format!(", step {step} of {steps} until {}", time(next_at)),
        (Some(step), None) => format!(", step {step} of {steps}"),
    };
    if *starved {
        text += "; none of its backends is usable, so that the active version serves them";
    }
    if *failed {
        text += "; it was judged bad, and stays until somebody decides";
    }
    text
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;
    use serde_json::Value;

    use super::*;

    #[derive(Debug, clap::Parser)]
    struct Line {
        #[command(flatten)]
        canary: Canary,
    }

    fn args(line: &str) -> Result<Canary, clap::Error> {
        let words = ["canary", "web"].into_iter().chain(line.split_ascii_whitespace());
        Line::try_parse_from(words).map(|line| line.canary)
    }

    fn service(canary: &Value, roles: &[(&str, &str)]) -> view::Service {
        let role = |(version, role): &(&str, &str)| json!({ "version": version, "role": role });
        let versions: Vec<Value> = roles.iter().map(role).collect();
        let service =
            json!({ "name": "web", "active": "v1", "epoch": 1, "canary": canary, "versions": versions });
        serde_json::from_value(service).unwrap()
    }

    #[test]
    fn what_contradicts_itself_or_changes_nothing_is_wrong_usage() {
        for right in ["", "--share 10%", "--to v2", "--to v2 --pause --reason lunch", "--abort --if-epoch 1"]
        {
            assert!(args(right).is_ok(), "{right}");
        }
        let wrong = "--share 10|--share 0.1 --pause|--pause --resume|--abort --resume|--abort --share 0.1|--reason why|--if-epoch 1";
        for wrong in wrong.split('|') {
            assert!(args(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn who_names_no_version_means_the_canary_or_the_only_staged_one() {
        let v2 = json!({ "version": "v2", "share": 0.1 });
        let meant = |line: &str, canary: &Value, roles: &[(&str, &str)]| {
            meant(&args(line).unwrap(), &service(canary, roles)).map_err(|error| error.to_string())
        };
        let (none, staged) = (Value::Null, [("v1", "active"), ("v2", "staged")]);

        assert_eq!(meant("--share 10%", &none, &staged), Ok("v2".to_owned()));
        assert_eq!(meant("--abort", &v2, &[("v2", "canary"), ("v3", "staged")]), Ok("v2".to_owned()));
        assert_eq!(meant("--abort", &none, &staged), Err("web has no canary".to_owned()));
        let nobody = "no version of web is staged; say with --to which one is meant";
        assert_eq!(meant("--share 10%", &none, &staged[..1]), Err(nobody.to_owned()));
        let several = "several versions of web are staged, v2, v3: say one with --to";
        assert_eq!(meant("--share 1", &none, &[("v2", "staged"), ("v3", "staged")]), Err(several.to_owned()));
    }

    #[test]
    fn a_canary_is_shown_with_its_share_and_how_it_goes_on() {
        let next = "2026-01-01T00:05:00Z";
        for (canary, expected) in [
            (json!({ "share": 0.1, "steps": 2 }), "10 % of new sessions, until somebody changes it"),
            (
                json!({ "share": 0.05, "step": 1, "steps": 2, "next_at": next }),
                "5 % of new sessions, step 1 of 2 until 2026-01-01 00:05:00",
            ),
            (
                json!({ "share": 0.05, "step": 1, "steps": 2, "paused": true }),
                "5 % of new sessions, step 1 of 2, paused",
            ),
            (
                json!({ "share": 0.5, "step": 2, "steps": 2, "complete": true }),
                "50 % of new sessions, through all of its 2 steps",
            ),
            (
                json!({ "share": 0.5, "starved": true }),
                "50 % of new sessions, until somebody changes it; none of its backends is usable, so that the active version serves them",
            ),
            (
                json!({ "share": 0.05, "step": 1, "steps": 2, "paused": true, "failed": true }),
                "5 % of new sessions, step 1 of 2, paused; it was judged bad, and stays until somebody decides",
            ),
        ] {
            let mut canary = canary;
            canary["version"] = "v2".into();
            let shown = lines(&[service(&canary, &[])]);
            assert_eq!(shown, format!("web: v2 is the canary with {expected}\n"));
        }
        assert_eq!(lines(&[service(&Value::Null, &[])]), "");
    }
}
