//! Where an application's pages live: trusted domains and redirect URIs (wire API, sections 20.5, 20.6,
//! 18.1).

use axum::extract::{Path, State};
use tramontane_store::sites::{self, RedirectUri, TrustedDomain};
use tramontane_vault::random_id;
use url::Url;

use super::{Manager, trusted, views};
use crate::answer;
use crate::json::JsonBody;
use crate::problem::{Answer, Problem};
use crate::state::App;

const MAX_URI_BYTES: usize = 2_000;
/// An application may have so many of each.
const MAX_ENTRIES: usize = 1_000;

pub(crate) async fn list_domains(
    State(app): State<App>,
    manager: Manager,
    Path(id): Path<String>,
) -> Answer {
    let of = manager.of(&manager.application(&app, &id).await?.id);
    let rows = sites::list_domains(app.db(), &id).await?;
    manager.all(&app, rows.iter().map(|row| views::trusted_domain(&of, row))).await
}

pub(crate) async fn create_domain(
    State(app): State<App>,
    manager: Manager,
    Path(id): Path<String>,
    body: JsonBody,
) -> Answer {
    let of = manager.of(&manager.application(&app, &id).await?.id);
    let text = body.required_text("domain")?.trim().to_owned();
    trusted::TrustedDomain::parse(&text).map_err(|rule| Problem::invalid("domain", rule))?;
    let rows = sites::list_domains(app.db(), &id).await?;
    if rows.len() >= MAX_ENTRIES {
        return Err(Problem::invalid("domain", "cannot be added: there are 1000 already"));
    }
    let now = app.now().micros();
    let row = TrustedDomain {
        id: format!("dom_{}", random_id(app.entropy(), 12)),
        application: id,
        domain: text,
        created: now,
        modified: now,
    };
    sites::insert_domain(app.db(), &row).await?;
    answer::made(true, &views::trusted_domain(&of, &row))
}

pub(crate) async fn retrieve_domain(
    State(app): State<App>,
    manager: Manager,
    Path((id, entry)): Path<(String, String)>,
) -> Answer {
    let of = manager.of(&manager.application(&app, &id).await?.id);
    let row = sites::find_domain(app.db(), &id, &entry).await?;
    answer::ok(&views::trusted_domain(
        &of,
        &row.ok_or_else(|| Problem::not_found("trusted domain"))?,
    ))
}

pub(crate) async fn delete_domain(
    State(app): State<App>,
    manager: Manager,
    Path((id, entry)): Path<(String, String)>,
) -> Answer {
    manager.application(&app, &id).await?;
    gone(sites::delete_domain(app.db(), &id, &entry).await?, "trusted domain")
}

pub(crate) async fn list_redirects(
    State(app): State<App>,
    manager: Manager,
    Path(id): Path<String>,
) -> Answer {
    let of = manager.of(&manager.application(&app, &id).await?.id);
    let rows = sites::list_redirects(app.db(), &id).await?;
    manager.all(&app, rows.iter().map(|row| views::redirect_uri(&of, row))).await
}

pub(crate) async fn create_redirect(
    State(app): State<App>,
    manager: Manager,
    Path(id): Path<String>,
    body: JsonBody,
) -> Answer {
    let of = manager.of(&manager.application(&app, &id).await?.id);
    let url = body.required_text("url")?;
    check_redirect(&url).map_err(|rule| Problem::invalid("url", rule))?;
    let rows = sites::list_redirects(app.db(), &id).await?;
    if rows.len() >= MAX_ENTRIES {
        return Err(Problem::invalid("url", "cannot be added: there are 1000 already"));
    }
    let now = app.now().micros();
    let row = RedirectUri {
        id: format!("red_{}", random_id(app.entropy(), 12)),
        application: id,
        url,
        created: now,
        modified: now,
    };
    sites::insert_redirect(app.db(), &row).await?;
    answer::made(true, &views::redirect_uri(&of, &row))
}

pub(crate) async fn retrieve_redirect(
    State(app): State<App>,
    manager: Manager,
    Path((id, entry)): Path<(String, String)>,
) -> Answer {
    let of = manager.of(&manager.application(&app, &id).await?.id);
    let row = sites::find_redirect(app.db(), &id, &entry).await?;
    answer::ok(&views::redirect_uri(&of, &row.ok_or_else(|| Problem::not_found("redirect URI"))?))
}

pub(crate) async fn delete_redirect(
    State(app): State<App>,
    manager: Manager,
    Path((id, entry)): Path<(String, String)>,
) -> Answer {
    manager.application(&app, &id).await?;
    gone(sites::delete_redirect(app.db(), &id, &entry).await?, "redirect URI")
}

fn gone(deleted: bool, what: &str) -> Answer {
    if deleted { Ok(answer::empty()) } else { Err(Problem::not_found(what)) }
}

/// A redirect URI is compared character for character later, so it is only checked here, never
/// changed. Schemes of mobile applications are fine; those that run code in a browser are not.
fn check_redirect(text: &str) -> Result<(), &'static str> {
    if text.is_empty() || text.len() > MAX_URI_BYTES {
        return Err("must have 1 to 2000 bytes");
    }
    if text.chars().any(|one| one.is_control() || one.is_whitespace()) {
        return Err("must not contain white space or control characters");
    }
    let url = Url::parse(text).map_err(|_| "must be an absolute URI")?;
    if text.contains('#') {
        return Err("must have no fragment");
    }
    match url.scheme() {
        "javascript" | "data" | "vbscript" | "blob" | "file" | "about" => {
            Err("has a scheme that must not be redirected to")
        }
        "http" | "https" if url.host_str().is_none_or(str::is_empty) => Err("must have a host"),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_pages_and_mobile_schemes_and_nothing_that_runs() {
        for good in [
            "https://www.example.com/cb",
            "http://localhost:3000/cb?x=1",
            "com.example.notes://connect/callback",
        ] {
            assert_eq!(check_redirect(good), Ok(()), "{good}");
        }
        for bad in [
            "",
            "/cb",
            "javascript:alert(1)",
            "data:text/html,x",
            "https://a/#x",
            "https://a/ b",
            "file:///etc/passwd",
            "https://a/\n",
        ] {
            assert!(check_redirect(bad).is_err(), "{bad:?}");
        }
    }
}
