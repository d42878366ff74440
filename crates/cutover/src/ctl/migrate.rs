//! Commands about what the database is for old code: contract migrations and schemas.

use http::Method;
use serde_json::{Value, json};

use super::args::{Contract, Schema};
use super::change::object;
use super::client::{CALL_TIMEOUT, Client, path};
use super::error::{Error, Exit};
use super::{Output, show, view};

/// Records a contract migration, or asks whether it may run now.
pub(super) async fn contract(args: Contract) -> Result<Output, Error> {
    let (client, service) = (Client::new(&args.remote), &args.service);
    let body = object([
        ("note", args.note.map(Value::from)),
        ("schema", args.schema.map(Value::from)),
        ("force", args.force.then_some(json!(true))),
        ("dry_run", args.dry_run.then_some(json!(true))),
    ]);
    let path = path(&["services", service, "contract"]);
    let answer = client.call(Method::POST, &path, Some(&body), CALL_TIMEOUT).await?.body;
    if args.dry_run {
        let view: view::ContractDryRun = client.view(&answer)?;
        let exit = if view.allowed { Exit::Done } else { Exit::Failed };
        return Ok(Output { text: show::contract_dry_run(service, &view), document: answer, exit });
    }
    let view: view::Contracted = client.view(&answer)?;
    Ok(Output::new(answer, show::contracted(service, &view)))
}

/// Says at which schema the database is, forgets it, or shows it.
pub(super) async fn schema(args: Schema) -> Result<Output, Error> {
    let (client, service) = (Client::new(&args.remote), &args.service);
    let path_of = |last: &[&str]| path(&[&["services", service.as_str()], last].concat());
    let answer = match args.schema {
        Some(schema) => {
            let body = object([
                ("schema", Some(json!(schema))),
                ("note", args.note.map(Value::from)),
                ("force", args.force.then_some(json!(true))),
            ]);
            client.call(Method::PUT, &path_of(&["schema"]), Some(&body), CALL_TIMEOUT).await?.body
        }
        None if args.forget => {
            client.call(Method::DELETE, &path_of(&["schema"]), None, CALL_TIMEOUT).await?.body
        }
        None => {
            let (document, _) = client.read::<view::Service>(&path_of(&[])).await?;
            json!({ "schema": document["schema"] })
        }
    };
    let text = match client.view::<view::SchemaAnswer>(&answer)?.schema {
        Some(schema) => format!("{service}: the database is at schema {schema}\n"),
        None => format!("{service}: nobody says at which schema the database is\n"),
    };
    Ok(Output::new(answer, text))
}
