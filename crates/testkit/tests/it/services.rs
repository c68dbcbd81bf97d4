//! Each service, as it is and with its native operations masked in turn. Servers come from the
//! environment (`scripts/upstreams env`); with `TRAMONTANE_TEST_REQUIRE=1` a missing one is a failure.

use std::sync::Arc;

use tramontane_connector::Connector;
use tramontane_fill::Spool;
use tramontane_testkit::Memory;
use tramontane_testkit::prove::Service;

/// What the environment says, or `None` with a loud line.
pub(crate) fn given(variable: &str) -> Option<String> {
    let found = std::env::var(variable).ok().filter(|value| !value.is_empty());
    if found.is_none() {
        assert!(
            std::env::var("TRAMONTANE_TEST_REQUIRE").is_err(),
            "{variable} is not set, and TRAMONTANE_TEST_REQUIRE is"
        );
        eprintln!("SKIPPED: {variable} is not set; `scripts/upstreams env` sets it");
    }
    found
}

async fn prove(
    connector: Arc<dyn Connector>,
    number: i64,
    fields: &[(&str, &str)],
    below: Option<&str>,
) {
    prove_at_length(connector, number, fields, below, true).await;
}

pub(crate) async fn prove_at_length(
    connector: Arc<dyn Connector>,
    number: i64,
    fields: &[(&str, &str)],
    below: Option<&str>,
    slow: bool,
) {
    let spool = tempfile::tempdir().unwrap();
    let service =
        Service::connect(connector, number, fields, Spool::new(spool.path())).await.unwrap();
    let service = match below {
        Some(folder) => service.below(folder),
        None => service,
    };
    let proof = service.prove(slow).await.unwrap();
    eprintln!("{} checks passed, {} operations masked in turn", proof.passed, proof.masks);
    if let Err(failures) = proof.check() {
        panic!("{failures}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn memory_behaves() {
    prove(Arc::new(Memory::new()), 1, &[], None).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_local_folder_behaves() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().to_str().unwrap();
    prove(Arc::new(tramontane_connectors::local::Local::default()), 2, &[("root", root)], None)
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_sftp_server_behaves() {
    let Some(url) = given("TRAMONTANE_TEST_SFTP") else { return };
    let url = url::Url::parse(&url).unwrap();
    let port = url.port().unwrap_or(22).to_string();
    let host = url.host_str().unwrap();
    let mut fields = vec![("host", host), ("port", port.as_str()), ("username", url.username())];
    let folder = url.path().to_owned();
    if folder.len() > 1 {
        fields.push(("root", folder.as_str()));
    }
    let key = given("TRAMONTANE_TEST_SFTP_KEY").map(|path| std::fs::read_to_string(path).unwrap());
    if let Some(key) = &key {
        fields.push(("private_key", key));
    }
    if let Some(password) = url.password() {
        fields.push(("password", password));
    }
    prove(Arc::new(tramontane_connectors::sftp::Sftp::default()), 3, &fields, None).await;
}

/// The slow checks, and masking operations in turn, cost minutes over WebDAV: one server does for them.
async fn prove_webdav(variable: &str, number: i64, whole: bool) {
    let Some(url) = given(variable) else { return };
    let mut url = url::Url::parse(&url).unwrap();
    let (user, password) = (url.username().to_owned(), url.password().unwrap().to_owned());
    url.set_username("").unwrap();
    url.set_password(None).unwrap();
    let fields = [("url", url.as_str()), ("username", &user), ("password", &password)];
    let connector = Arc::new(tramontane_connectors::webdav::WebDav::default());
    if whole {
        return prove(connector, number, &fields, None).await;
    }
    let spool = Spool::new(tempfile::tempdir().unwrap().keep());
    let service = Service::connect(connector, number, &fields, spool).await.unwrap();
    let proof = service.prove_another().await.unwrap();
    eprintln!("{} checks passed", proof.passed);
    if let Err(failures) = proof.check() {
        panic!("{failures}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webdav_server_of_python_behaves() {
    prove_webdav("TRAMONTANE_TEST_WEBDAV", 4, false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_apache_with_digest_behaves() {
    prove_webdav("TRAMONTANE_TEST_WEBDAV_APACHE", 5, false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lighttpd_behaves() {
    prove_webdav("TRAMONTANE_TEST_WEBDAV_LIGHTTPD", 6, false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webdav_server_of_go_behaves() {
    prove_webdav("TRAMONTANE_TEST_WEBDAV_RCLONE", 7, true).await;
}
