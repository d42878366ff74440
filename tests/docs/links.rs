//! Every relative link leads to something that is there, and every page is in the book.

use std::collections::BTreeSet;

use crate::page::{self, Page, root};

#[test]
fn every_link_leads_somewhere() {
    let pages = page::all();
    assert!(pages.len() > 20, "only {} pages were found", pages.len());
    let broken: Vec<String> = pages.iter().flat_map(broken).collect();
    assert!(broken.is_empty(), "{} broken links:\n{}", broken.len(), broken.join("\n"));
}

#[test]
fn a_broken_link_is_noticed() {
    let text = "[a](gone.md) [b](README.md#no-such) [c](README.md#why) [d](https://example.com) ![e](x.svg)";
    let page = Page { path: "p.md".to_owned(), text: text.to_owned() };
    let said = broken(&page);
    let expected = ["p.md:1: gone.md", "p.md:1: README.md#no-such", "p.md:1: x.svg"];
    assert_eq!(said, expected);
}

#[test]
fn every_page_is_in_the_book_once() {
    let summary = Page::read("docs/SUMMARY.md");
    let listed: Vec<String> = summary.text.lines().flat_map(targets).collect();
    let unique: BTreeSet<&String> = listed.iter().collect();
    assert_eq!(unique.len(), listed.len(), "a page stands twice in docs/SUMMARY.md");
    for page in page::all() {
        let Some(name) = page.path.strip_prefix("docs/").filter(|name| *name != "SUMMARY.md") else {
            continue;
        };
        assert!(unique.contains(&name.to_owned()), "docs/SUMMARY.md lacks {name}");
    }
}

fn broken(page: &Page) -> Vec<String> {
    let folder = page.path.rsplit_once('/').map_or("", |(folder, _)| folder);
    let mut broken = Vec::new();
    for (number, line) in page.prose() {
        for target in targets(line) {
            let (file, anchor) = target.split_once('#').unwrap_or((&target, ""));
            let path = if file.is_empty() { page.path.clone() } else { resolve(folder, file) };
            let is_there = (page.path == path || root().join(&path).exists())
                && (anchor.is_empty() || has_anchor(page, &path, anchor));
            if !is_there {
                broken.push(format!("{}:{number}: {target}", page.path));
            }
        }
    }
    broken
}

fn has_anchor(from: &Page, path: &str, anchor: &str) -> bool {
    let anchors = if from.path == path { from.anchors() } else { Page::read(path).anchors() };
    anchors.iter().any(|known| known == anchor)
}

/// `folder/target` without `..` and `.`.
fn resolve(folder: &str, target: &str) -> String {
    let mut parts: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
    for part in target.split('/') {
        match part {
            ".." => drop(parts.pop()),
            "." | "" => {}
            part => parts.push(part),
        }
    }
    parts.join("/")
}

/// What the links and pictures of a line point to, without those that leave the repository, and without what is code.
fn targets(line: &str) -> Vec<String> {
    let prose: String = line.split('`').step_by(2).collect::<Vec<_>>().join("`");
    let inside = prose.split("](").skip(1).filter_map(|rest| rest.split_once(')'));
    inside.map(|(target, _)| target.to_owned()).filter(|target| !target.contains("://")).collect()
}
