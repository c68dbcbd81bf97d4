//! The pages that people see: consent, refusals, the list of services.

use std::fmt::Write as _;

use crate::issuer::Params;
use crate::people::Person;

const STYLE: &str = "<style>:root{color-scheme:light dark}body{font:16px/1.5 system-ui,sans-serif;max-width:26rem;\
margin:10vh auto;padding:0 1rem}h1{font-size:1.3rem}button{font:inherit;width:100%;margin:.25rem 0;padding:.6rem 1rem;\
border-radius:.5rem;border:1px solid #8888;cursor:pointer;text-align:left}p.small{font-size:.85rem;opacity:.75}\
</style>";

fn head(title: &str) -> String {
    format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><meta name=\"viewport\" \
         content=\"width=device-width\"><title>{}</title>{STYLE}",
        escaped(title)
    )
}

pub(crate) fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// Who shall be connected: one button a person, and one to say no.
pub(crate) fn consent(title: &str, asked: &Params, people: &[Person]) -> String {
    let mut page = head(&format!("Sign in to {title} (sandbox)"));
    let scope = asked.get("scope").map(String::as_str).unwrap_or_default();
    let _ = write!(
        page,
        "<h1>{} (sandbox)</h1><p>Tramontane asks for access to your account. Who are you?</p><form method=\"post\">",
        escaped(title)
    );
    for (name, value) in
        asked.iter().filter(|(name, _)| !matches!(name.as_str(), "person" | "decision"))
    {
        let _ = write!(
            page,
            "<input type=\"hidden\" name=\"{}\" value=\"{}\">",
            escaped(name),
            escaped(value)
        );
    }
    page.push_str("<input type=\"hidden\" name=\"decision\" value=\"allow\">");
    for person in people {
        let admin = if person.admin { ", administrator" } else { "" };
        let _ = write!(
            page,
            "<button name=\"person\" value=\"{}\" id=\"allow-{}\">{} <small>({}{admin})</small></button>",
            person.id, person.id, person.name, person.email
        );
    }
    let _ = write!(
        page,
        "<button name=\"person\" value=\"\" id=\"deny\">No, do not allow</button></form>\
         <p class=\"small\">Scope: {}</p>",
        escaped(scope)
    );
    page
}

pub(crate) fn refusal(title: &str, why: &str) -> String {
    format!("{}<h1>{} (sandbox)</h1><p>{}</p>", head(title), escaped(title), escaped(why))
}

pub(crate) fn index(services: &[&str]) -> String {
    let mut page = head("Tramontane sandbox");
    page.push_str("<h1>Tramontane sandbox</h1><p>Simulated services, each below its name:</p><ul>");
    for service in services {
        let _ = write!(page, "<li><code>/{service}</code></li>");
    }
    page.push_str("</ul><p class=\"small\">Faults on demand: <code>/_sandbox/faults</code></p>");
    page
}
