//! The house's own rules: which crate may import which, how long a file may be, what opens it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Crate → the crates of ours that it may depend on. The picture is in docs/architecture.md.
const ARROWS: &[(&str, &[&str])] = &[
    ("model", &[]),
    ("vault", &["model"]),
    ("store", &["model"]),
    ("connector", &["model"]),
    ("wire", &["model", "connector"]),
    ("fill", &["model", "connector"]),
    ("connectors", &["model", "connector"]),
    ("accounts", &["model", "connector", "vault", "store"]),
    ("tasks", &["model", "vault", "store"]),
    ("activity", &["model"]),
    ("feeds", &["model", "connector", "vault", "store", "accounts", "activity"]),
    (
        "api",
        &["model", "connector", "fill", "vault", "store", "accounts", "tasks", "activity", "feeds"],
    ),
    (
        "server",
        &[
            "model",
            "connector",
            "wire",
            "fill",
            "connectors",
            "vault",
            "store",
            "accounts",
            "tasks",
            "feeds",
            "api",
            "sandbox",
        ],
    ),
    ("sandbox", &["model"]),
    ("fuzz", &[]),
    ("simulator", &["activity"]),
    ("testkit", &["model", "connector", "wire", "fill", "connectors", "sandbox"]),
];

/// Libraries that one crate alone may name.
const OWNED: &[(&str, &[&str])] = &[
    ("sqlx", &["store"]),
    ("reqwest", &["wire", "sandbox"]),
    ("axum", &["api", "server", "sandbox", "testkit"]),
    ("russh", &["connectors"]),
    ("aes-gcm", &["vault"]),
];

fn crates() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn dependencies(name: &str) -> Vec<String> {
    let manifest = std::fs::read_to_string(crates().join(name).join("Cargo.toml")).unwrap();
    let table: toml::Table = toml::from_str(&manifest).unwrap();
    let table = table.get("dependencies").and_then(toml::Value::as_table);
    table.map(|table| table.keys().cloned().collect()).unwrap_or_default()
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|end| end == "rs") {
            found.push(path);
        }
    }
}

#[test]
fn imports_follow_the_arrows() {
    let allowed: BTreeMap<_, _> = ARROWS.iter().copied().collect();
    for entry in std::fs::read_dir(crates()).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let arrows = allowed.get(name.as_str());
        let arrows = arrows.unwrap_or_else(|| panic!("crate {name} is not in the picture"));
        for dependency in dependencies(&name) {
            if let Some(ours) = dependency.strip_prefix("tramontane-") {
                assert!(arrows.contains(&ours), "{name} may not import {ours}");
            }
        }
    }
}

#[test]
fn each_outside_library_has_its_one_room() {
    for (name, _) in ARROWS {
        for dependency in dependencies(name) {
            if let Some((_, owners)) = OWNED.iter().find(|(library, _)| *library == dependency) {
                assert!(owners.contains(name), "{dependency} may not be named in {name}");
            }
        }
    }
}

#[test]
fn files_say_what_they_hold_and_stay_short() {
    let mut found = Vec::new();
    sources(&crates(), &mut found);
    assert!(found.len() > 50);
    for path in found {
        let text = std::fs::read_to_string(&path).unwrap();
        let shown = path.display();
        assert!(text.starts_with("//!"), "{shown} must open with a line that says what it holds");
        let lines = text.lines().count();
        assert!(lines <= 900, "{shown} has {lines} lines; split it");
    }
}
