//! The secrets of this node, and taking them out of a text.

use crate::cloud::sign;
use havipd_core::model::secret::Secret;
use std::fs;
use std::path::{Path, PathBuf};

/// What stands in their place.
const MARK: &str = "[redacted]";
/// What is shorter is no secret of ours, and would take half of the words out of a text.
const SHORTEST: usize = 6;
/// Names of members and keys whose values nobody needs to see.
const TELLING: [&str; 4] = ["secret", "token", "password", "authorization"];

/// Every spelling of every secret that is known.
#[derive(Debug)]
pub(super) struct Secrets {
    spellings: Vec<Secret>,
    /// What could not be read, so that what is in it is not known, in words.
    pub(super) unknown: Vec<String>,
}

impl Secrets {
    /// Those that the configuration file at `config` names, and those of this process's environment.
    pub(super) fn of(config: &Path) -> Self {
        let mut this = Self { spellings: Vec::new(), unknown: Vec::new() };
        for name in [
            "BCE_SECRET_ACCESS_KEY",
            "BCE_SESSION_TOKEN",
            "BCE_SECURITY_TOKEN",
            "BAIDUCLOUD_SECRET_KEY",
            "BAIDUCLOUD_SESSION_TOKEN",
        ] {
            if let Ok(value) = std::env::var(name) {
                this.add(value.trim().as_bytes());
            }
        }
        for path in files(config) {
            match fs::read(&path) {
                Ok(text) => this.add_file(&String::from_utf8_lossy(&text)),
                Err(error) => {
                    this.unknown.push(format!("{}: {error}; what is in it may not be recognised", path.display()));
                }
            }
        }
        // The longest first: a part must not spoil the whole.
        this.spellings.sort_by_key(|s| std::cmp::Reverse(s.expose().len()));
        this
    }

    fn spell(&mut self, text: String) {
        self.spellings.push(Secret::from(text));
    }

    /// A file of a key, or of credentials.
    fn add_file(&mut self, text: &str) {
        match text.parse::<toml::Table>() {
            Ok(table) => {
                let secret = table.iter().filter(|(name, _)| *name != "access-key-id");
                secret.filter_map(|(_, value)| value.as_str()).for_each(|value| self.add(value.as_bytes()));
            }
            Err(_) => {
                let key = text.trim();
                self.add(key.as_bytes());
                if let Ok(bytes) = hex::decode(key) {
                    self.add(&bytes);
                }
            }
        }
    }

    fn add(&mut self, secret: &[u8]) {
        if secret.len() < SHORTEST {
            return;
        }
        let lower = hex::encode(secret);
        self.add_base64(secret);
        self.add_base64(lower.as_bytes());
        self.spell(lower.to_uppercase());
        self.spell(lower);
        if let Ok(text) = std::str::from_utf8(secret) {
            let json = serde_json::Value::from(text).to_string();
            self.spell(json[1..json.len() - 1].to_owned());
            self.spell(sign::encode(text));
            self.spell(text.to_owned());
        }
    }

    /// Wherever in a longer text it was encoded: three phases, without the digits that its neighbours share.
    fn add_base64(&mut self, secret: &[u8]) {
        for skip in 0..3 {
            let mut shifted = vec![0; skip];
            shifted.extend_from_slice(secret);
            let digits = base64(&shifted);
            let begin = [0, 2, 3][skip];
            let end = digits.len() - usize::from(shifted.len() % 3 != 0);
            let inner = &digits[begin..end];
            self.spell(inner.replace('+', "-").replace('/', "_"));
            self.spell(inner.to_owned());
        }
    }

    /// `text` without them, and without what looks like one.
    pub(super) fn redact(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for spelling in self.spellings.iter().filter_map(Secret::expose_str) {
            text = text.replace(spelling, MARK);
        }
        text.lines().map(|line| suspicious(line) + "\n").collect()
    }

    /// Whether one of them is in there.
    pub(super) fn shows_in(&self, bytes: &[u8]) -> bool {
        self.spellings.iter().map(Secret::expose).any(|s| bytes.windows(s.len()).any(|part| part == s))
    }
}

/// A line of a file or a log without values that are secret by their name, and without keys of 32 bytes.
fn suspicious(line: &str) -> String {
    let word = |c: char| c.is_ascii_alphanumeric();
    let mut out = String::with_capacity(line.len());
    let mut rest = line;
    while !rest.is_empty() {
        let len = rest.find(|c| !word(c)).unwrap_or(rest.len()).max(rest.chars().next().map_or(1, char::len_utf8));
        let (part, after) = rest.split_at(len);
        let key = part.len() == 64 && part.bytes().all(|b| b.is_ascii_hexdigit());
        out.push_str(if key { MARK } else { part });
        rest = after;
    }
    // `name = "value"`, as the file has it: what stands behind such a name goes, to the end of the line.
    let ident = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    let name = |at: usize| out[..at].trim_end().rsplit(|c| !ident(c)).next().unwrap_or_default().to_lowercase();
    let telling = |at: &usize| TELLING.iter().any(|t| name(*at).contains(t));
    if let Some(at) = out.match_indices('=').map(|(at, _)| at).find(telling) {
        out.truncate(at);
        out.push_str("= ");
        out.push_str(MARK);
    }
    out
}

/// The files of keys and credentials that a configuration names. It need not be right otherwise.
fn files(config: &Path) -> Vec<PathBuf> {
    let Ok(text) = fs::read_to_string(config) else { return Vec::new() };
    let Ok(table) = text.parse::<toml::Table>() else { return Vec::new() };
    let keys = table.get("heartbeat").and_then(|h| h.get("keys")).and_then(toml::Value::as_array);
    let keys = keys.into_iter().flatten().filter_map(|key| key.get("file"));
    let credentials = table.get("cloud").and_then(|c| c.get("credentials")).and_then(|c| c.get("file"));
    let directory = config.parent().unwrap_or(Path::new("."));
    let resolve = |name: &str| match (name.strip_prefix("credential:"), std::env::var_os("CREDENTIALS_DIRECTORY")) {
        (Some(name), Some(directory)) => Path::new(&directory).join(name),
        _ => directory.join(name),
    };
    keys.chain(credentials).filter_map(toml::Value::as_str).map(resolve).collect()
}

/// Without padding.
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let bits = chunk.iter().fold(0u32, |bits, b| bits << 8 | u32::from(*b)) << (8 * (3 - chunk.len()));
        for digit in 0..=chunk.len() {
            text.push(char::from(DIGITS[(bits >> (18 - 6 * digit) & 63) as usize]));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secrets(all: &[&[u8]]) -> Secrets {
        let mut this = Secrets { spellings: Vec::new(), unknown: Vec::new() };
        all.iter().for_each(|s| this.add(s));
        this.spellings.sort_by_key(|s| std::cmp::Reverse(s.expose().len()));
        this
    }

    #[test]
    fn base64_is_that_of_everybody() {
        for (bytes, text) in [("", ""), ("f", "Zg"), ("fo", "Zm8"), ("foo", "Zm9v"), ("foobar", "Zm9vYmFy")] {
            assert_eq!(base64(bytes.as_bytes()), text);
        }
    }

    #[test]
    fn no_spelling_of_a_secret_stays() {
        let secret = "s3cr\"t/K+y~value";
        let secrets = secrets(&[secret.as_bytes()]);
        for wrapped in 0..6 {
            let around = [&b"prefix"[..wrapped], secret.as_bytes(), &b"suffix"[..5 - wrapped.min(5)]].concat();
            let text = format!(
                "{} {} {} {}",
                base64(&around),
                base64(&around).replace('+', "-").replace('/', "_"),
                hex::encode(&around),
                hex::encode_upper(&around)
            );
            let redacted = secrets.redact(&text);
            assert_eq!(redacted.matches(MARK).count(), 4, "{redacted}");
            assert!(!secrets.shows_in(redacted.as_bytes()));
        }
        let text = serde_json::json!({ "a": secret }).to_string() + &sign::encode(secret) + secret;
        assert_eq!(secrets.redact(&text).matches(MARK).count(), 3);
    }

    #[test]
    fn what_looks_like_a_secret_goes_as_well() {
        let key = "0f".repeat(32);
        let none = secrets(&[]);
        assert_eq!(none.redact(&format!("key {key}!")), format!("key {MARK}!\n"));
        assert_eq!(none.redact("#secret-access-key = \"x\""), format!("#secret-access-key = {MARK}\n"));
        assert_eq!(none.redact("name = \"token\"\n\nübrig"), "name = \"token\"\n\nübrig\n");
    }
}
