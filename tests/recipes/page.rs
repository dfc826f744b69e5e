//! A page of docs/recipes, which is what the tests run: its files, and its commands.

use std::path::Path;

/// One page, as it is to be tried here: other addresses, and the versions that are installed.
#[derive(Debug)]
pub(crate) struct Page {
    text: String,
}

/// A file of a page.
#[derive(Debug, Clone)]
pub(crate) struct File {
    pub(crate) path: String,
    pub(crate) text: String,
}

impl Page {
    /// `docs/recipes/NAME.md` with the texts of the first column replaced by those of the second.
    pub(crate) fn read(name: &str, replace: &[(&str, &str)]) -> Self {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/recipes").join(name).with_extension("md");
        let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("cannot read {}: {e}", path.display()));
        let text = replace.iter().fold(text, |text, (from, to)| {
            assert!(text.contains(from), "{} says {from:?} nowhere any more", path.display());
            text.replace(from, to)
        });
        Self { text }
    }

    /// Every fenced text, with the paragraph before it.
    fn fences(&self) -> Vec<(String, String)> {
        let (mut found, mut paragraph) = (Vec::new(), String::new());
        let mut lines = self.text.lines();
        let mut ended = true;
        while let Some(line) = lines.next() {
            if line.trim_start().starts_with("```") {
                let indent = line.len() - line.trim_start().len();
                let inside = lines.by_ref().take_while(|l| l.trim() != "```");
                let text: String = inside.map(|l| format!("{}\n", l.get(indent..).unwrap_or_default())).collect();
                found.push((std::mem::take(&mut paragraph), text));
            } else if line.is_empty() || line.starts_with('#') {
                ended = true;
            } else {
                if std::mem::take(&mut ended) {
                    paragraph.clear();
                }
                paragraph.push_str(line);
                paragraph.push('\n');
            }
        }
        found
    }

    /// The files: fenced texts whose paragraph begins with a path.
    pub(crate) fn files(&self) -> Vec<File> {
        let path = |paragraph: &str| {
            paragraph.strip_prefix("`/").and_then(|rest| rest.split_once('`')).map(|(p, _)| format!("/{p}"))
        };
        self.fences().into_iter().filter_map(|(paragraph, text)| Some(File { path: path(&paragraph)?, text })).collect()
    }

    /// The commands whose paragraph has that text.
    pub(crate) fn commands(&self, paragraph: &str) -> String {
        let fence = self.fences().into_iter().find(|(p, _)| p.contains(paragraph));
        fence.unwrap_or_else(|| panic!("no commands after {paragraph:?}")).1
    }
}
