//! `docs/api.md`: every call of the admin API and every shape that it takes or answers, from the OpenAPI document.

use std::fmt::Write as _;

use serde_json::Value;

use crate::fresh::{self, cell};
use crate::page::root;

#[test]
fn the_page_has_every_call_and_every_shape() {
    let path = root().join("crates/control/tests/golden/openapi.json");
    let document: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let mut page = format!("# Admin API\n\n{}\n\n", document["info"]["description"].as_str().unwrap());
    page.push_str(
        "Each call needs a role (`read`, `register`, `operate`, `admin`; each may do what those before it may), by a bearer token or a client certificate, \
         unless the API is open. A running cutover answers its description at `/openapi.json`. This page is made of it by a test (`tests/docs`).\n",
    );
    for tag in document["tags"].as_array().unwrap() {
        let (name, about) = (tag["name"].as_str().unwrap(), tag["description"].as_str().unwrap());
        write!(page, "\n## {}\n\n{about}.\n", capital(name)).unwrap();
        for (path, item) in document["paths"].as_object().unwrap() {
            for (method, operation) in item.as_object().unwrap() {
                if operation["tags"][0] == name {
                    page.push_str(&call(method, path, operation));
                }
            }
        }
    }
    page.push_str("\n## Shapes\n\nFields with a question mark may be missing.\n");
    for (name, shape) in document["components"]["schemas"].as_object().unwrap() {
        page.push_str(&describe(name, shape));
    }
    fresh::hold("api.md", &page);
}

fn call(method: &str, path: &str, operation: &Value) -> String {
    let mut text = format!("\n### `{} {path}`\n\n{}\n\n", method.to_uppercase(), line(&operation["summary"]));
    if let Some(role) = operation["security"][0]["token"][0].as_str() {
        writeln!(text, "- Role: `{role}`").unwrap();
    }
    let parameters = operation["parameters"].as_array().into_iter().flatten();
    for parameter in parameters.filter(|parameter| parameter["in"] != "path") {
        let (name, place) = (parameter["name"].as_str().unwrap(), parameter["in"].as_str().unwrap());
        writeln!(text, "- {} `{name}`: {}", capital(place), line(&parameter["description"])).unwrap();
    }
    if let Some(body) = operation["requestBody"]["content"]["application/json"]["schema"].as_object() {
        writeln!(text, "- Body: {}", kind(&Value::Object(body.clone()))).unwrap();
    }
    for (status, answer) in operation["responses"].as_object().unwrap() {
        // What all calls have in common is said once.
        if status == "default" || answer["$ref"].is_string() {
            continue;
        }
        let content = answer["content"].as_object().into_iter().flatten();
        let shapes: Vec<String> =
            content.map(|(_, content)| kind(&content["schema"])).filter(|kind| !kind.is_empty()).collect();
        let shape = if shapes.is_empty() { String::new() } else { format!(" {}.", shapes.join(", ")) };
        writeln!(text, "- {status}:{shape} {}", line(&answer["description"])).unwrap();
    }
    text
}

fn describe(name: &str, shape: &Value) -> String {
    let mut text = format!("\n### {name}\n\n");
    if shape["description"].is_string() {
        write!(text, "{}\n\n", line(&shape["description"])).unwrap();
    }
    let Some(fields) = shape["properties"].as_object() else {
        writeln!(text, "{}", kind(shape)).unwrap();
        return text;
    };
    text.push_str("| field | type | |\n|---|---|---|\n");
    for (field, node) in fields {
        let is_required =
            shape["required"].as_array().is_some_and(|all| all.contains(&field.as_str().into()));
        let mark = if is_required { "" } else { "?" };
        writeln!(text, "| `{field}`{mark} | {} | {} |", cell(&kind(node)), cell(&line(&node["description"])))
            .unwrap();
    }
    text
}

/// The type of a value, with a link where it has a shape of its own.
fn kind(node: &Value) -> String {
    if let Some(reference) = node["$ref"].as_str() {
        let name = reference.rsplit('/').next().unwrap();
        return format!("[{name}](#{})", name.to_lowercase());
    }
    for several in ["oneOf", "anyOf", "allOf"] {
        if let Some(options) = node[several].as_array() {
            return options.iter().map(kind).collect::<Vec<_>>().join(" or ");
        }
    }
    if let Some(values) = node["enum"].as_array() {
        return values.iter().map(|value| format!("`{value}`")).collect::<Vec<_>>().join(" or ");
    }
    match &node["type"] {
        Value::String(name) if name == "array" => format!("list of {}", kind(&node["items"])),
        Value::String(name) if name == "object" && node["additionalProperties"].is_object() => {
            format!("object of {}", kind(&node["additionalProperties"]))
        }
        Value::String(name) => name.clone(),
        Value::Array(names) => names.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" or "),
        _ if node["const"].is_string() => format!("`{}`", node["const"]),
        _ => String::new(),
    }
}

fn line(text: &Value) -> String {
    text.as_str().unwrap_or_default().split_whitespace().collect::<Vec<_>>().join(" ")
}

fn capital(word: &str) -> String {
    let mut letters = word.chars();
    letters
        .next()
        .map_or_else(String::new, |first| first.to_uppercase().collect::<String>() + letters.as_str())
}
