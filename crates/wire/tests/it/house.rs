//! A server for one test, a connector for it, and a wire that may call this machine.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use axum::Router;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tramontane_connector::http::Request;
use tramontane_connector::{
    Account, Category, Connector, Credential, Cx, Descriptor, Identity, Registry, Result, Sign,
};
use tramontane_model::{AccountId, SystemClock, Timestamp};
use tramontane_wire::{Guard, Lookup, SystemLookup, Wire, WireConfig};
use url::Url;

static DESCRIPTOR: Descriptor = Descriptor {
    name: "plain",
    friendly_name: "Plain",
    category: Category::FileStore,
    apis: &["storage"],
    fields: &[],
    documentation: "",
};

/// A service with nothing but a base URL and a token.
struct Plain;

struct Token;

#[async_trait]
impl Sign for Token {
    async fn sign(&self, request: &mut Request, _now: Timestamp) -> Result<()> {
        request.headers.insert("authorization", "Bearer secret".parse().unwrap());
        Ok(())
    }
}

#[async_trait]
impl Connector for Plain {
    fn descriptor(&self) -> &'static Descriptor {
        &DESCRIPTOR
    }
    async fn identify(&self, _cx: &Cx) -> Result<Identity> {
        Ok(Identity { id: "one".into(), display: "one".into() })
    }
    fn signer(&self, _account: &Account) -> Result<Option<Arc<dyn Sign>>> {
        Ok(Some(Arc::new(Token)))
    }
    fn base_url(&self, account: &Account) -> Result<Option<Url>> {
        Ok(Some(account.setting("url").unwrap().parse().unwrap()))
    }
}

/// Answers every name with one address after the other.
#[derive(Debug)]
pub(crate) struct Changing(pub(crate) std::sync::Mutex<Vec<IpAddr>>);

#[async_trait]
impl Lookup for Changing {
    async fn lookup(&self, _name: &str) -> std::io::Result<Vec<IpAddr>> {
        Ok(vec![self.0.lock().unwrap().pop().unwrap()])
    }
}

/// Starts a server; gives its base URL.
pub(crate) async fn serve(router: Router) -> Url {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await });
    base(address)
}

/// Starts a server that answers every connection with these bytes and closes it.
pub(crate) async fn serve_bytes(answer: &'static [u8]) -> Url {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut asked = [0; 4096];
                let _ = stream.read(&mut asked).await;
                let _ = stream.write_all(answer).await;
                let _ = stream.shutdown().await;
            });
        }
    });
    base(address)
}

fn base(address: SocketAddr) -> Url {
    format!("http://{address}/").parse().unwrap()
}

pub(crate) fn wire_with(allowed: &[&str], lookup: Arc<dyn Lookup>) -> Arc<Wire> {
    let allowed: Vec<String> = allowed.iter().map(ToString::to_string).collect();
    let config = WireConfig {
        guard: Guard::allowing(&allowed).unwrap(),
        idle: Duration::from_millis(300),
        ..WireConfig::default()
    };
    let registry = Registry::of([Arc::new(Plain) as Arc<dyn Connector>]);
    Arc::new(Wire::new(config, registry, Arc::new(SystemClock), lookup).unwrap())
}

/// A wire that may call this machine, and the context of an account at `base`.
pub(crate) fn house(base: &Url) -> Cx {
    house_within(base, Duration::from_secs(5))
}

pub(crate) fn house_within(base: &Url, within: Duration) -> Cx {
    let wire = wire_with(&["127.0.0.1"], Arc::new(SystemLookup));
    let account = Account {
        id: AccountId::new(1).unwrap(),
        service: "plain".into(),
        admin: false,
        settings: BTreeMap::from([("url".to_owned(), base.to_string())]),
        credential: Credential::none(),
        revision: 1,
    };
    Cx::interactive(Arc::new(account), wire, within)
}
