//! The pages that people read, and the blocks of code in them.

use std::path::{Path, PathBuf};

/// The top of the repository.
pub(crate) fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// One page, by its path from the root.
pub(crate) struct Page {
    pub(crate) path: String,
    pub(crate) text: String,
}

/// A fenced block.
pub(crate) struct Block {
    pub(crate) language: String,
    /// Of its first line inside, counted from 1.
    pub(crate) line: usize,
    pub(crate) text: String,
}

/// All pages outside of `docs/` and in it.
pub(crate) fn all() -> Vec<Page> {
    let mut paths: Vec<String> =
        ["README.md", "ARCHITECTURE.md", "CHANGELOG.md", "CONTRIBUTING.md", "benches/README.md"]
            .map(str::to_owned)
            .to_vec();
    for entry in std::fs::read_dir(root().join("docs")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        if Path::new(&name).extension().is_some_and(|extension| extension == "md") {
            paths.push(format!("docs/{name}"));
        }
    }
    paths.sort();
    paths.iter().map(|path| Page::read(path)).collect()
}

impl Page {
    pub(crate) fn read(path: &str) -> Self {
        let text =
            std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"));
        Self { path: path.to_owned(), text }
    }

    pub(crate) fn blocks(&self) -> Vec<Block> {
        let (mut blocks, mut open): (Vec<Block>, Option<Block>) = (Vec::new(), None);
        for (index, line) in self.text.lines().enumerate() {
            match (&mut open, line.strip_prefix("```")) {
                (None, Some(language)) => {
                    open =
                        Some(Block { language: language.to_owned(), line: index + 2, text: String::new() });
                }
                (Some(_), Some(_)) => blocks.extend(open.take()),
                (Some(block), None) => block.text.extend([line, "\n"]),
                (None, None) => {}
            }
        }
        assert!(open.is_none(), "{}: a block does not end", self.path);
        blocks
    }

    /// The lines outside of blocks, with their numbers counted from 1.
    pub(crate) fn prose(&self) -> Vec<(usize, &str)> {
        let mut is_code = false;
        let mut lines = Vec::new();
        for (index, line) in self.text.lines().enumerate() {
            if line.starts_with("```") {
                is_code = !is_code;
            } else if !is_code {
                lines.push((index + 1, line));
            }
        }
        lines
    }

    /// What `#…` of a link to this page may say, as GitHub and mdBook make it of headings.
    pub(crate) fn anchors(&self) -> Vec<String> {
        let mut anchors: Vec<String> = Vec::new();
        for (_, line) in self.prose() {
            if let Some((marks, heading)) = line.split_once(' ')
                && !marks.is_empty()
                && marks.bytes().all(|byte| byte == b'#')
            {
                let plain = anchor(heading);
                let before = anchors.iter().filter(|known| **known == plain).count();
                anchors.push(if before == 0 { plain } else { format!("{plain}-{before}") });
            }
        }
        anchors
    }
}

fn anchor(heading: &str) -> String {
    let kept = heading.trim().chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.collect::<String>().to_lowercase().replace(' ', "-")
}

#[test]
fn blocks_and_anchors_are_found() {
    let text = "# Flip & wait: `now`\n```sh\n# none\n```\n## A b\n## A b\n".to_owned();
    let page = Page { path: "p.md".to_owned(), text };
    assert_eq!(page.anchors(), ["flip--wait-now", "a-b", "a-b-1"]);
    let blocks = page.blocks();
    assert_eq!((blocks[0].language.as_str(), blocks[0].line, blocks[0].text.as_str()), ("sh", 3, "# none\n"));
}
