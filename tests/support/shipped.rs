//! The shipped `config/havipd.toml`, taken apart: every key, commented out or not, with the comment above it.

/// Its text.
pub(crate) const SHIPPED: &str = include_str!("../../config/havipd.toml");

/// A key of the shipped file: which line, whether commented out, and the comment above it.
pub(crate) struct Shown {
    pub(crate) line: usize,
    pub(crate) section: String,
    pub(crate) name: String,
    pub(crate) value: String,
    pub(crate) commented: bool,
    pub(crate) comment: String,
    /// The comment above the table that it stands in.
    pub(crate) intro: String,
}

/// Every key, in the order of the file.
pub(crate) fn shown() -> Vec<Shown> {
    let (mut all, mut section, mut comment) = (Vec::new(), String::new(), String::new());
    let mut intro = String::new();
    for (line, text) in SHIPPED.lines().enumerate() {
        let body = text.strip_prefix('#').filter(|rest| rest.starts_with(|c: char| c.is_ascii_lowercase()));
        if text.starts_with('[') || text.starts_with("#[") {
            section = text.trim_matches(['#', '[', ']']).to_owned();
            intro = std::mem::take(&mut comment);
        } else if let Some((name, value)) = body.unwrap_or(text).split_once(" = ").filter(|_| !text.starts_with("# ")) {
            let (name, value, intro) = (name.to_owned(), value.to_owned(), intro.clone());
            let (section, comment) = (section.clone(), comment.clone());
            all.push(Shown { line, section, name, value, commented: body.is_some(), comment, intro });
        } else if text == "#" || text.starts_with("# ") {
            // The comment of a key begins after the key before it.
            if !all.is_empty() && SHIPPED.lines().nth(line - 1).is_some_and(|above| !above.starts_with("# ")) {
                comment.clear();
            }
            comment.push_str(text);
            comment.push(' ');
        } else {
            assert!(text.is_empty(), "line {}: {text}", line + 1);
            comment.clear();
        }
    }
    all
}
