//! `tramontane serve` from its first start to its end, as an operator and their machines see it.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::house::{Server, answer, ask, command};

fn key(server: &Server) -> String {
    format!("authorization: APIKey {}", server.printed["api_key"].as_str().unwrap())
}

fn json(command: &mut Command) -> Value {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// A folder as an account; gives its id and a token.
fn connect(data: &Path, folder: &Path) -> (i64, String) {
    let root = format!("root={}", folder.display());
    let made = json(&mut command(
        data,
        &["account", "connect", "--service", "local", "--set", &root, "--json"],
    ));
    (made["id"].as_i64().unwrap(), made["token"].as_str().unwrap().to_owned())
}

#[test]
fn the_first_start_prints_a_key_once_and_commands_that_work() {
    let folder = tempfile::tempdir().unwrap();
    // A space and a quote, as folders have them.
    let data = folder.path().join("it's data");
    let binary = env!("CARGO_BIN_EXE_tramontane");
    let start = |data: &Path| {
        let mut child = Command::new(binary)
            .args(["serve", "--listen", "127.0.0.1:0"])
            .arg("--data-dir")
            .arg(data)
            .env_clear()
            .current_dir(folder.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        let mut text = String::new();
        while !text.contains("/v1/accounts\n") && !text.contains("listens on") {
            assert_ne!(out.read_line(&mut text).unwrap(), 0, "it ended: {text}");
        }
        (child, text)
    };
    let (mut child, text) = start(&data);
    assert!(text.contains("API key      tmk_"), "{text}");
    assert!(text.contains("API          http://127.0.0.1:"), "{text}");
    let commands: Vec<_> = text.lines().filter_map(|line| line.strip_prefix("  ")).collect();
    assert_eq!(commands.len(), 3, "{text}");
    let script = format!("set -e\n{}", commands.join("\n"));
    let done = Command::new("bash")
        .args(["-c", &script])
        .env_clear()
        .env("PATH", "/usr/local/bin:/usr/bin:/bin")
        .current_dir(folder.path())
        .output()
        .unwrap();
    let shown = String::from_utf8_lossy(&done.stdout);
    assert!(done.status.success(), "{shown}{}", String::from_utf8_lossy(&done.stderr));
    assert!(shown.contains("\"service\":\"local\""), "{shown}");
    child.kill().unwrap();
    child.wait().unwrap();
    let (mut child, text) = start(&data);
    assert!(!text.contains("tmk_"), "{text}");
    child.kill().unwrap();
    child.wait().unwrap();
}

/// More than is held in memory before a file is begun.
const HALF: usize = 4 << 20;

/// An upload of two halves of which the first is on its way to the disk.
fn half_an_upload(server: &Server, token: &str, files: &Path) -> TcpStream {
    let mut upload = TcpStream::connect(server.address).unwrap();
    let metadata = r#"{"parent_id": "root", "name": "large"}"#;
    write!(
        upload,
        "POST /v1/accounts/me/storage/files HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\
         authorization: Bearer {token}\r\nx-kloudless-metadata: {metadata}\r\ncontent-length: {}\r\n\r\n",
        2 * HALF
    )
    .unwrap();
    upload.write_all(&vec![b'1'; HALF]).unwrap();
    // The upload is under way when its hidden file is there.
    while std::fs::read_dir(files).unwrap().next().is_none() {
        std::thread::yield_now();
    }
    upload
}

#[test]
fn a_signal_drains() {
    for signal in ["TERM", "INT"] {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        let files = folder.path().join("files");
        std::fs::create_dir(&files).unwrap();
        let mut server = Server::start(&data, &[]);
        let (_, token) = connect(&data, &files);
        let mut upload = half_an_upload(&server, &token, &files);
        server.signal(signal);
        server.logged("draining");
        assert!(TcpStream::connect(server.address).is_err(), "it takes connections after {signal}");
        upload.write_all(&vec![b'2'; HALF]).unwrap();
        assert_eq!(answer(upload).unwrap().status, 201);
        let (status, log) = server.ended();
        assert!(status.success(), "{signal}: {status} {log}");
        assert!(log.contains("stopped"), "{log}");
        let whole = std::fs::read(files.join("large")).unwrap();
        assert_eq!((whole.len(), whole.last()), (2 * HALF, Some(&b'2')));
    }
}

#[test]
fn a_second_signal_ends_at_once_and_leaves_nothing_half() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let files = folder.path().join("files");
    std::fs::create_dir(&files).unwrap();
    let mut server = Server::start(&data, &[]);
    let (account, token) = connect(&data, &files);
    let upload = half_an_upload(&server, &token, &files);
    server.signal("TERM");
    server.logged("draining");
    server.signal("TERM");
    let (status, _) = server.ended();
    assert_eq!(status.code(), Some(130));
    drop(upload);
    assert!(!files.join("large").exists());
    // The next start does not show what was left either.
    let server = Server::start(&data, &[]);
    let path = format!("GET /v1/accounts/{account}/storage/folders/root/contents");
    let listed = server.ask(&format!("{path}\nauthorization: Bearer {token}"), "");
    assert_eq!(listed.json()["objects"], serde_json::json!([]), "{}", listed.text);
}

#[test]
fn keys_rotate_while_requests_go_on() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    // Nobody reads the log of so many requests.
    let server = Server::start(&data, &["--log", "warn"]);
    let meta = server.printed["meta_token"].as_str().unwrap();
    let id = server.printed["application"].as_str().unwrap();
    let sealed = format!("GET /v1/meta/applications/{id}/apikeys\nauthorization: Bearer {meta}");
    let before = server.ask(&sealed, "").json();
    let stop = std::sync::atomic::AtomicBool::new(false);
    let relaxed = std::sync::atomic::Ordering::Relaxed;
    std::thread::scope(|scope| {
        let asking = scope.spawn(|| {
            let mut asked = 0;
            while !stop.load(relaxed) || asked == 0 {
                // The keys are sealed; the server opens them also under data keys it has not seen.
                let now = server.ask(&sealed, "");
                assert_eq!(now.status, 200, "{}", now.text);
                assert_eq!(now.json(), before);
                asked += 1;
            }
            asked
        });
        let rotate = |_| command(&data, &["rotate-keys", "--json"]).output().unwrap();
        let rotations: Vec<_> = (0..3).map(rotate).collect();
        stop.store(true, relaxed);
        for output in rotations {
            let told = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{told}");
            let rotated: Value = serde_json::from_slice(&output.stdout).unwrap();
            assert_eq!(rotated["damaged"], serde_json::json!([]), "{rotated}");
            assert!(rotated["resealed"].as_i64().unwrap() > 0, "{rotated}");
        }
        assert!(asking.join().unwrap() > 0);
    });
    let list = server.ask(&format!("GET /v1/accounts\n{}", key(&server)), "");
    assert_eq!(list.status, 200, "{}", list.text);
}

#[test]
fn metrics_count_what_was_asked_and_what_was_written() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let server = Server::start(&data, &[]);
    for _ in 0..3 {
        let list = server.ask(&format!("GET /v1/accounts\n{}", key(&server)), "");
        assert_eq!(list.status, 200, "{}", list.text);
    }
    let told = server.ask("GET /metrics", "").text;
    let counted = told.lines().find(|line| {
        line.starts_with("tramontane_http_requests_total") && line.contains("\"/v1/accounts\"")
    });
    assert!(counted.is_some_and(|line| line.ends_with(" 3")), "{told}");
    for name in [
        "tramontane_http_request_duration_seconds_bucket",
        "tramontane_database_writes_total",
        "tramontane_journal_batches_total",
        "tramontane_journal_dropped_total 0",
    ] {
        assert!(told.contains(name), "{name} is missing: {told}");
    }
    let ready = server.ask("GET /readyz", "");
    assert_eq!((ready.status, &ready.json()["ready"]), (200, &Value::Bool(true)));
}

#[test]
fn metrics_can_be_had_at_another_port_alone() {
    let folder = tempfile::tempdir().unwrap();
    let probe = TcpListener::bind("127.0.0.1:0").unwrap();
    let other = probe.local_addr().unwrap();
    drop(probe);
    let flags = ["--metrics", "false", "--metrics-listen", &other.to_string()];
    let server = Server::start(&folder.path().join("data"), &flags);
    assert_eq!(server.ask("GET /metrics", "").status, 404);
    assert_eq!(ask(other, "GET /metrics", "").unwrap().status, 200);
    assert_eq!(ask(other, "GET /v1/accounts", "").unwrap().status, 404);
}

#[test]
fn the_log_has_a_line_for_each_request_and_no_secret() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = Server::start(&folder.path().join("data"), &["--log-format", "json"]);
    let key = key(&server);
    let list = server.ask(&format!("GET /v1/accounts?page_size=7\n{key}"), "");
    assert_eq!(list.status, 200);
    server.signal("TERM");
    let (_, log) = server.ended();
    let lines: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let line = lines.iter().find(|line| line["target"] == "access").unwrap();
    assert_eq!((&line["route"], &line["status"]), (&"/v1/accounts".into(), &200.into()), "{line}");
    assert!(line["request_id"].as_str().is_some_and(|id| id.len() == 36), "{line}");
    let secret = server.printed["api_key"].as_str().unwrap();
    assert!(!log.contains(secret), "the log shows the key");
}

#[test]
fn settings_limit_what_is_taken() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let flags = ["--max-json-bytes", "200", "--max-upload-bytes", "10"];
    let server = Server::start(&data, &flags);
    let (account, token) = connect(&data, folder.path());
    let auth = format!("authorization: Bearer {token}");
    let wide = format!(r#"{{"parent_id": "root", "name": "{}"}}"#, "x".repeat(300));
    let path = format!("POST /v1/accounts/{account}/storage/folders");
    let kind = "content-type: application/json";
    let refused = server.ask(&format!("{path}\n{auth}\n{kind}"), &wide);
    assert_eq!(refused.status, 413, "{}", refused.text);
    let path = format!("POST /v1/accounts/{account}/storage/files");
    let named = r#"x-kloudless-metadata: {"parent_id": "root", "name": "a"}"#;
    let refused = server.ask(&format!("{path}\n{auth}\n{named}"), "eleven bytes");
    assert_eq!(refused.status, 413, "{}", refused.text);
    let head = format!("GET /v1/accounts\nx-filler: {}", "y".repeat(200_000));
    let refused = ask(server.address, &head, "");
    assert!(refused.is_err() || refused.is_ok_and(|refused| refused.status == 431));
}

/// A collector that takes what comes and gives it as one heap of bytes.
fn collector() -> (std::net::SocketAddr, std::sync::mpsc::Receiver<Vec<u8>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (sender, receiver) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        while let Ok((stream, _)) = listener.accept() {
            let mut reader = BufReader::new(stream);
            loop {
                let (mut head, mut line) = (String::new(), String::new());
                while reader.read_line(&mut line).is_ok_and(|read| read > 2) {
                    head.push_str(&line.to_ascii_lowercase());
                    line.clear();
                }
                let length = head.lines().find_map(|line| line.strip_prefix("content-length:"));
                let Some(length) = length.and_then(|text| text.trim().parse().ok()) else { break };
                let mut body = vec![0; length];
                reader.read_exact(&mut body).unwrap();
                reader
                    .get_mut()
                    .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
                    .unwrap();
                if sender.send([head.into_bytes(), body].concat()).is_err() {
                    return;
                }
            }
        }
    });
    (address, receiver)
}

#[test]
fn traces_go_to_the_collector_and_continue_the_callers() {
    let folder = tempfile::tempdir().unwrap();
    let (address, sent) = collector();
    let endpoint = format!("http://{address}");
    let mut server =
        Server::start(&folder.path().join("data"), &["--otlp-endpoint", endpoint.as_str()]);
    let trace = "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let list = server.ask(&format!("GET /v1/accounts\n{}\n{trace}", key(&server)), "");
    assert_eq!(list.status, 200);
    // What is left is sent at the end.
    server.signal("TERM");
    let (status, log) = server.ended();
    assert!(status.success(), "{log}");
    let all: Vec<u8> = sent.try_iter().flatten().collect();
    let holds = |words: &[u8]| all.windows(words.len()).any(|part| part == words);
    assert!(holds(b"post /v1/traces"), "nothing was sent: {log}");
    assert!(holds(b"GET /v1/accounts"), "the span has no name");
    assert!(holds(b"tramontane"), "the service has no name");
    let id = [0x0a, 0xf7, 0x65, 0x19, 0x16, 0xcd, 0x43, 0xdd, 0x84, 0x48, 0xeb, 0x21, 0x1c, 0x80];
    assert!(holds(&id), "the caller's trace was not continued");
    assert!(holds(&[0xb7, 0xad, 0x6b, 0x71, 0x69, 0x20, 0x33, 0x31]), "the parent is missing");
}

#[test]
fn a_collector_that_is_not_there_disturbs_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let mut server =
        Server::start(&folder.path().join("data"), &["--otlp-endpoint", "http://127.0.0.1:9"]);
    assert_eq!(server.ask(&format!("GET /v1/accounts\n{}", key(&server)), "").status, 200);
    server.signal("TERM");
    let (status, log) = server.ended();
    assert!(status.success(), "{log}");
}
