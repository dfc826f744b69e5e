//! `load` on real files: modes, paths, what is no configuration.

use crate::{BASE, on_a};
use havipd::config::load;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

fn put(path: &Path, text: impl AsRef<[u8]>, mode: u32) {
    fs::write(path, text).expect("write");
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("mode");
}

fn said(path: &Path) -> String {
    match load(path, &on_a()) {
        Ok(loaded) => loaded.warnings.to_string(),
        Err(error) => error.to_string(),
    }
}

#[test]
fn a_key_is_read_from_beside_the_file_if_nobody_else_can() {
    let dir = tempfile::tempdir().expect("directory");
    let (file, key) = (dir.path().join("havipd.toml"), dir.path().join("k"));
    put(&file, BASE, 0o644);
    put(&key, format!("  {}\n", "0f".repeat(32)), 0o600);
    let loaded = load(&file, &on_a()).expect("right");
    assert_eq!(loaded.config.heartbeat.keys[0].secret.expose(), [0x0f; 32]);
    for mode in [0o604, 0o644, 0o660, 0o602] {
        put(&key, "0f".repeat(32), mode);
        let said = said(&file);
        let place = format!("{}:13:26: error: {}: has mode {mode:04o}", file.display(), key.display());
        assert!(said.starts_with(&place), "{said}");
    }
}

#[test]
fn a_key_is_exactly_32_bytes_and_is_never_shown() {
    let dir = tempfile::tempdir().expect("directory");
    let (file, key) = (dir.path().join("havipd.toml"), dir.path().join("k"));
    put(&file, BASE, 0o644);
    let hopeless = "5ecre7".repeat(10);
    for (text, why) in [
        (hopeless.as_bytes().to_vec(), "it has 60 characters, not 64"),
        (b"".to_vec(), "it has 0 characters, not 64"),
        (vec![0xff; 32], "it is not text"),
        (b"x".repeat(64), "not all of it is hexadecimal"),
        (b"a".repeat(65), "it has 65 characters, not 64"),
    ] {
        put(&key, &text, 0o600);
        let said = said(&file);
        let expected = format!(": is not a heartbeat key: {why}; make one with havipctl keygen");
        assert!(said.ends_with(&expected), "{said}");
        assert!(!said.contains("5ecre7"), "{said}");
    }
}

#[test]
fn hooks_are_looked_at_and_only_warned_about() {
    let dir = tempfile::tempdir().expect("directory");
    let file = dir.path().join("havipd.toml");
    put(&dir.path().join("k"), "0f".repeat(32), 0o600);
    put(&file, format!("{BASE}[hooks]\nnotify = \"hook\"\n"), 0o644);
    let hook = dir.path().join("hook");
    let warning = |why: &str| format!("{}:23:10: warning: the hook {:?} {why}", file.display(), hook.display());
    assert_eq!(said(&file), warning("cannot be run: No such file or directory"));
    put(&hook, "#!/bin/sh\n", 0o644);
    assert_eq!(said(&file), warning("is not an executable file"));
    put(&hook, "#!/bin/sh\n", 0o775);
    assert_eq!(said(&file), warning("can be written by others than root"));
    put(&hook, "#!/bin/sh\n", 0o555);
    assert_eq!(said(&file), "");
}

#[test]
fn what_is_no_configuration_is_said_to_be_none() {
    let dir = tempfile::tempdir().expect("directory");
    let file = dir.path().join("havipd.toml");
    let name = file.display();
    assert_eq!(said(&file), format!("{name}: error: cannot be read: No such file or directory"));
    put(&file, b"[cluster]\nname = \"\xff\"\n", 0o644);
    assert_eq!(said(&file), format!("{name}:2:9: error: is not UTF-8: here is a byte that belongs to no character"));
    put(&file, vec![b'#'; 5 << 20], 0o644);
    assert_eq!(said(&file), format!("{name}: error: is longer than 4194304 bytes"));
    assert_eq!(said(dir.path()), format!("{}: error: is not a regular file", dir.path().display()));
}
