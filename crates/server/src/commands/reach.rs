//! What `tramontane doctor` finds when it knocks: at this server, at its public URLs, at the services of
//! connected accounts.

use std::sync::Arc;
use std::time::Duration;

use futures::{StreamExt as _, stream};
use tramontane_accounts::{AccountFilter, Directory};
use tramontane_connector::{Cx, Kind, Lent, Registry};
use tramontane_model::{AccountId, Clock, SystemClock};
use tramontane_store::Slice;
use tramontane_wire::{Guard, SystemLookup, Wire, WireConfig};
use url::Url;

/// The most accounts whose services are asked.
const MOST_ACCOUNTS: usize = 50;
/// How many are asked at once.
const AT_ONCE: usize = 8;
/// How long one answer may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// The status that a plain HTTP URL answers with, asked without the wire: also on this machine.
pub async fn status(url: &str) -> Option<u16> {
    let url = Url::parse(url).ok()?;
    let asked = async {
        let (host, port) = (url.host_str()?, url.port_or_known_default()?);
        let stream =
            tokio::net::TcpStream::connect((host.trim_matches(['[', ']']), port)).await.ok()?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake::<_, String>(
            hyper_util::rt::TokioIo::new(stream),
        )
        .await
        .ok()?;
        tokio::spawn(connection);
        let request =
            http::Request::get(url.path()).header("host", host).body(String::new()).ok()?;
        Some(sender.send_request(request).await.ok()?.status().as_u16())
    };
    tokio::time::timeout(Duration::from_secs(5), asked).await.ok().flatten()
}

/// Asks each public URL for the API's own description.
///
/// # Errors
/// Those that do not answer as this server does.
pub async fn public_urls(urls: &[String]) -> Result<String, String> {
    if urls.is_empty() {
        return Ok("none are set; the Host header of each request counts".to_owned());
    }
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    // An operator asks for the server's own addresses, which may well be private.
    let everywhere = ["0.0.0.0/0".to_owned(), "::/0".to_owned()];
    let config = WireConfig { guard: Guard::allowing(&everywhere)?, ..WireConfig::default() };
    let wire = Wire::new(config, Registry::of([]), clock, Arc::new(SystemLookup))?;
    let mut wrong = Vec::new();
    for text in urls {
        let url = format!("{}/v1/openapi.json", text.trim_end_matches('/'));
        let answer = match Url::parse(&url) {
            Ok(url) => wire.fetch(url, PATIENCE).await.map_err(|error| error.to_string()),
            Err(error) => Err(error.to_string()),
        };
        match answer {
            Ok(answer) if answer.status.is_success() => {}
            Ok(answer) => wrong.push(format!("{url} answers {}", answer.status.as_u16())),
            Err(error) => wrong.push(format!("{text}: {error}")),
        }
    }
    if wrong.is_empty() { Ok(format!("{} answer", urls.join(", "))) } else { Err(wrong.join("; ")) }
}

/// Tries the credentials of the accounts that were connected last.
///
/// # Errors
/// Services that could not be reached, each with one account of it. A credential that is refused is told
/// too, but is its user's to mend.
pub async fn services(
    directory: &Directory,
    registry: &Registry,
    lent: Arc<dyn Lent>,
) -> Result<String, String> {
    let accounts = accounts(directory).await.map_err(|error| error.to_string())?;
    if accounts.is_empty() {
        return Ok("no account is connected yet".to_owned());
    }
    let asked = accounts.len();
    let answers = stream::iter(accounts).map(|id| {
        let (lent, registry) = (Arc::clone(&lent), registry.clone());
        async move {
            let opened = directory.open(id).await.ok().flatten()?;
            let connector = registry.get(&opened.row.service)?;
            let cx = Cx::interactive(Arc::clone(&opened.account), lent, PATIENCE);
            let error = connector.identify(&cx).await.err()?;
            let name = format!("account {id} ({}, {})", opened.row.service, opened.row.display);
            Some((error.kind.clone(), format!("{name}: {error}")))
        }
    });
    let failed: Vec<_> =
        answers.buffer_unordered(AT_ONCE).filter_map(std::future::ready).collect().await;
    let told = |wanted: bool| {
        let chosen = failed.iter().filter(|(kind, _)| wanted == (*kind == Kind::Credential));
        chosen.map(|(_, text)| text.clone()).collect::<Vec<_>>().join("; ")
    };
    let (refused, lost) = (told(true), told(false));
    if !lost.is_empty() {
        return Err(lost);
    }
    let fine = asked - failed.len();
    Ok(match refused.as_str() {
        "" => format!("{fine} of {asked} accounts asked, all answer"),
        refused => format!("{fine} of {asked} accounts asked answer; connect again: {refused}"),
    })
}

/// The accounts that were connected last, of all applications.
async fn accounts(directory: &Directory) -> tramontane_accounts::Result<Vec<AccountId>> {
    let most = i64::try_from(MOST_ACCOUNTS).unwrap_or(i64::MAX);
    let mut found = Vec::new();
    for app in directory.all_applications(Slice::first(most)).await? {
        let filter = AccountFilter::default();
        let (rows, _) = directory.accounts(&app.id, &filter, Slice::first(most)).await?;
        found.extend(rows.iter().filter(|row| row.active).map(|row| (row.created, row.id)));
    }
    found.sort_unstable_by(|one, other| other.cmp(one));
    found.truncate(MOST_ACCOUNTS);
    Ok(found.into_iter().filter_map(|(_, id)| AccountId::new(id)).collect())
}
