//! The official Python SDK finds what it expects.

use crate::client::*;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// The python that has the SDK: `HAVIPD_TEST_PYTHON`, else the one that `tests/setup-python.sh` makes.
fn python(root: &Path) -> PathBuf {
    if let Some(path) = std::env::var_os("HAVIPD_TEST_PYTHON") {
        return PathBuf::from(path);
    }
    let out = std::process::Command::new("sh").arg(root.join("tests/setup-python.sh")).output().expect("sh runs");
    assert!(out.status.success(), "tests/setup-python.sh failed:\n{}", String::from_utf8_lossy(&out.stderr));
    PathBuf::from(String::from_utf8(out.stdout).expect("a path").trim())
}

#[tokio::test]
async fn the_official_python_sdk_lists_attaches_and_detaches() {
    let root = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."));
    let emulator = start().await;
    let out = tokio::process::Command::new(python(root))
        .arg(root.join("crates/lab/tests/emulator/sdk.py"))
        .args([&emulator.endpoint(), "ak-a", "sk-a", HAVIP, "i-a"])
        .output()
        .await
        .expect("python runs");
    assert!(out.status.success(), "the SDK script failed:\n{}", String::from_utf8_lossy(&out.stderr));
    let seen: Value = serde_json::from_slice(&out.stdout).expect("JSON");
    let free = json!({"id": HAVIP, "status": "available", "address": "10.0.0.100", "bound": []});
    assert_eq!(seen["list"], json!([free]));
    assert_eq!(seen["attached"]["bound"], json!([["i-a", "SERVER", true]]));
    assert_eq!(seen["attached"]["status"], "binded");
    assert_eq!(seen["detached"], free);
    assert_eq!(seen["wrong secret"], "400 SignatureDoesNotMatch");
    let last = emulator.control().calls(0).into_iter().rfind(|c| c.method == "PUT").expect("a detach");
    assert_eq!((last.token.as_deref(), last.outcome.as_str()), (Some("token-1"), "200"));
}
