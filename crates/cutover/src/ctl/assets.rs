//! `cutover assets`: what is kept beyond the servers that had it.

use http::Method;
use serde::Deserialize;
use serde_json::Value;

use super::Output;
use super::args::Assets as Args;
use super::client::{CALL_TIMEOUT, Client, encode, path};
use super::error::Error;
use super::table::{or_dash, table, time};

#[derive(Debug, Deserialize)]
struct Assets {
    vault: Option<Vault>,
    assets: Vec<Asset>,
    next: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Vault {
    size: String,
    bytes: u64,
    entries: u64,
}

#[derive(Debug, Deserialize)]
struct Asset {
    path: String,
    coding: String,
    size: u64,
    r#type: String,
    version: String,
    stored_at: String,
    last_used: String,
}

/// Lists them, or drops some.
pub(super) async fn assets(args: Args) -> Result<Output, Error> {
    let client = Client::new(&args.remote);
    let base = path(&["services", &args.service, "assets"]);
    match (args.drop, args.drop_all) {
        (None, false) => list(&client, &base, args.limit, args.after.as_deref()).await,
        (Some(target), _) => {
            let path = format!("{base}?path={}", encode(&target));
            let answer = client.call(Method::DELETE, &path, None, CALL_TIMEOUT).await?;
            Ok(Output::new(answer.body, format!("{}: nothing is kept of {target}\n", args.service)))
        }
        (None, true) => {
            let answer = client.call(Method::DELETE, &base, None, CALL_TIMEOUT).await?;
            Ok(Output::new(answer.body, format!("{}: no asset is kept\n", args.service)))
        }
    }
}

async fn list(client: &Client, base: &str, limit: u32, after: Option<&str>) -> Result<Output, Error> {
    let after = after.map(|after| format!("&after={}", encode(after))).unwrap_or_default();
    let (document, view): (Value, Assets) = client.read(&format!("{base}?limit={limit}{after}")).await?;
    Ok(Output::new(document, show(&view)))
}

fn show(assets: &Assets) -> String {
    let Some(vault) = &assets.vault else { return "no vault\n".to_owned() };
    let held = format!("{} assets, {} bytes of {}\n", vault.entries, vault.bytes, vault.size);
    if assets.assets.is_empty() {
        return held;
    }
    let rows = assets.assets.iter().map(|asset| {
        vec![
            asset.path.clone(),
            asset.size.to_string(),
            or_dash(Some(&asset.r#type)),
            asset.coding.clone(),
            asset.version.clone(),
            time(&asset.stored_at),
            time(&asset.last_used),
        ]
    });
    let head = ["PATH", "SIZE", "TYPE", "CODING", "VERSION", "STORED", "LAST USED"];
    let more = assets.next.as_ref().map(|next| format!("more: --after {next}\n")).unwrap_or_default();
    format!("{}{more}{held}", table(&head, rows))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(document: Value) -> String {
        show(&serde_json::from_value(document).unwrap())
    }

    #[test]
    fn assets_are_a_table_with_what_the_vault_holds_behind() {
        let asset = serde_json::json!({
            "path": "/a.js", "coding": "br", "size": 4, "type": "", "version": "v1",
            "stored_at": "2026-11-22T23:07:08.042Z", "last_used": "2026-11-22T23:07:08.042Z",
        });
        let vault = serde_json::json!({"size": "1MiB", "bytes": 4096, "entries": 2, "is_complete": true});
        let text = shown(serde_json::json!({"vault": vault, "assets": [asset], "next": "/a.js"}));
        let lines: Vec<_> = text.lines().collect();
        assert!(lines[0].starts_with("PATH") && lines[1].starts_with("/a.js"), "{text}");
        assert_eq!(lines[2..], ["more: --after /a.js", "2 assets, 4096 bytes of 1MiB"]);
        assert_eq!(shown(serde_json::json!({"vault": null, "assets": [], "next": null})), "no vault\n");
    }
}
