//! S3 against a server that checks keys (SeaweedFS) and one that accepts any (moto): the suite, and what
//! only S3 has.

use std::sync::Arc;
use std::time::Duration;

use http::Method;
use tramontane_connector::http::Request;
use tramontane_connector::{Connector, Cx};
use tramontane_connectors::s3::S3;
use tramontane_fill::Spool;
use tramontane_testkit::prove::Service;
use url::Url;

use crate::services::given;

/// A server of the environment, with its endpoint and keys.
struct Server {
    endpoint: String,
    access: String,
    secret: String,
}

impl Server {
    fn of(variable: &str) -> Option<Self> {
        let mut url = Url::parse(&given(variable)?).unwrap();
        let access = url.username().to_owned();
        let secret = url.password().unwrap_or_default().to_owned();
        url.set_username("").unwrap();
        url.set_password(None).unwrap();
        Some(Self { endpoint: url.to_string(), access, secret })
    }

    fn fields<'a>(&'a self, more: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
        let mut fields = vec![
            ("endpoint", self.endpoint.as_str()),
            ("token", self.access.as_str()),
            ("token_secret", self.secret.as_str()),
        ];
        fields.extend_from_slice(more);
        fields
    }

    async fn connect(&self, number: i64, more: &[(&str, &str)]) -> Service {
        let spool = tempfile::tempdir().unwrap().keep();
        let connector = Arc::new(S3::compatible());
        Service::connect(connector, number, &self.fields(more), Spool::new(spool)).await.unwrap()
    }

    /// Makes a bucket, with a request that the connector itself never sends.
    async fn bucket(&self, name: &str, versioned: bool) -> Service {
        let service = self.connect(90, &[]).await;
        let cx = context(&service);
        let url = Url::parse(&self.endpoint).unwrap().join(name).unwrap();
        let put = |url| Request::new("make_bucket", Method::PUT, url);
        let made = cx.send(put(url.clone())).await.unwrap();
        assert!(made.status.is_success() || made.status.as_u16() == 409, "{made:?}");
        if versioned {
            let mut url = url;
            url.set_query(Some("versioning"));
            let text = "<VersioningConfiguration xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">\
                        <Status>Enabled</Status></VersioningConfiguration>";
            let done = cx.send(put(url).bytes(text)).await.unwrap();
            assert!(done.status.is_success(), "{done:?}");
        }
        service
    }
}

fn context(service: &Service) -> Cx {
    let account = Arc::clone(&service.account);
    Cx::interactive(account, service.lent.clone(), Duration::from_secs(120))
}

async fn prove(variable: &str, number: i64) {
    let Some(server) = Server::of(variable) else { return };
    server.bucket("suite-plain", false).await;
    let service = server.connect(number, &[("bucket", "suite-plain")]).await;
    let proof = service.prove(true).await.unwrap();
    eprintln!("{} checks passed, {} operations masked in turn", proof.passed, proof.masks);
    if let Err(failures) = proof.check() {
        panic!("{failures}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn seaweedfs_behaves() {
    prove("TRAMONTANE_TEST_S3", 10).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn moto_behaves() {
    prove("TRAMONTANE_TEST_S3_MOTO", 11).await;
}

/// Not on moto, which lists folders as long as versions of something in them are left.
#[tokio::test(flavor = "multi_thread")]
async fn a_folder_of_a_bucket_with_versions_behaves() {
    let Some(server) = Server::of("TRAMONTANE_TEST_S3") else { return };
    server.bucket("suite-versioned", true).await;
    let fields = [("bucket", "suite-versioned"), ("prefix", "team/a")];
    let service = server.connect(12, &fields).await;
    assert_eq!(service.account.setting("versioning"), Some("on"));
    let (report, wrong) = service.suite(tramontane_model::Ops::NONE, false).await.unwrap();
    let failures = [report.failures(), wrong].concat();
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_keys_are_told_apart_from_closed_doors() {
    let Some(server) = Server::of("TRAMONTANE_TEST_S3") else { return };
    let wrong = Server { secret: "wrong".into(), ..server };
    let connector: Arc<dyn Connector> = Arc::new(S3::compatible());
    let spool = Spool::new(tempfile::tempdir().unwrap().path());
    let refused = Service::connect(connector, 14, &wrong.fields(&[]), spool).await;
    let error = refused.err().unwrap();
    let error = error.downcast_ref::<tramontane_connector::Error>().unwrap();
    assert_eq!(error.kind, tramontane_connector::Kind::Credential, "{error}");
    assert!(error.message.contains("secret_key"), "{error}");
}
