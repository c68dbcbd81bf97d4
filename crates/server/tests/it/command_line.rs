//! The binary as an operator uses it.

use std::path::Path;
use std::process::{Command, Output};

fn tramontane(data_dir: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_tramontane"))
        .args(arguments)
        .env_clear()
        .env("TRAMONTANE_DATA_DIR", data_dir)
        .output()
        .unwrap()
}

fn json(output: &Output) -> serde_json::Value {
    let shown = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{shown}");
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn generated_pages_are_what_the_binary_knows() {
    let folder = tempfile::tempdir().unwrap();
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs");
    for (command, page) in [("config", "configuration.md"), ("services", "capabilities.md")] {
        let known = tramontane(folder.path(), &[command, "--markdown"]);
        let written = std::fs::read_to_string(docs.join(page)).unwrap();
        let known = String::from_utf8_lossy(&known.stdout);
        assert_eq!(known, written, "run `tramontane {command} --markdown > docs/{page}`");
    }
}

#[test]
fn an_operator_sets_everything_up_from_the_shell() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let files = folder.path().join("files");
    std::fs::create_dir(&files).unwrap();
    let app = json(&tramontane(&data, &["app", "create", "Notes", "--json"]));
    let id = app["id"].as_str().unwrap();
    assert!(app["api_key"].as_str().unwrap().starts_with("tmk_"));
    let root = format!("root={}", files.display());
    let connect =
        ["account", "connect", "--app", id, "--service", "local", "--set", &root, "--json"];
    let account = json(&tramontane(&data, &connect));
    assert!(account["token"].as_str().unwrap().starts_with("tmb_"));
    // The same identity again is the same account.
    let again = json(&tramontane(&data, &connect));
    assert_eq!(again["id"], account["id"]);
    let listed = json(&tramontane(&data, &["account", "list", "--json"]));
    assert_eq!(listed["total"], 1);
    let rotated = json(&tramontane(&data, &["rotate-keys", "--json"]));
    assert_eq!(rotated["damaged"], serde_json::json!([]));
    let healthy = json(&tramontane(&data, &["doctor", "--json", "--listen", "127.0.0.1:9"]));
    assert_eq!(healthy["ok"], true);
    let number = account["id"].to_string();
    json(&tramontane(&data, &["account", "delete", &number, "--json"]));
    assert!(!tramontane(&data, &["account", "show", &number]).status.success());
}

#[test]
fn mistakes_are_told_with_the_field_and_the_rule() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    json(&tramontane(&data, &["app", "create", "Notes", "--json"]));
    for (arguments, told) in [
        (&["account", "connect", "--service", "nothing"][..], "There is no service \"nothing\""),
        (&["account", "connect", "--service", "local"][..], "root"),
        (&["account", "connect", "--service", "local", "--set", "root=relative"][..], "absolute"),
        (
            &["account", "connect", "--service", "local", "--set", "root=/no/such/folder"][..],
            "/no/such/folder",
        ),
        (&["account", "connect", "--service", "local", "--set", "rot=/"][..], "rot"),
        (&["account", "show", "0"][..], "no account id"),
        (&["serve", "--listen", "nowhere"][..], "listen"),
        (&["config", "--drain-seconds", "-1"][..], "drain"),
    ] {
        let output = tramontane(&data, arguments);
        let shown = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success(), "{arguments:?} succeeded");
        assert!(shown.contains(told), "{arguments:?} said {shown}");
    }
}

#[test]
fn a_wrong_master_key_opens_nothing_and_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    json(&tramontane(&data, &["app", "create", "Notes", "--json"]));
    std::fs::write(data.join("master.key"), "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n")
        .unwrap();
    let output = tramontane(&data, &["app", "key"]);
    assert!(!output.status.success());
    let doctor = tramontane(&data, &["doctor", "--listen", "127.0.0.1:9"]);
    assert!(String::from_utf8_lossy(&doctor.stdout).contains("FAIL master key"));
}
