//! Trusted domains: which pages of an application may be handed tokens (wire API, sections 18.5, 20.5).

use url::{Host, Origin, Url};

/// The longest entry, in bytes.
const MAX_ENTRY_BYTES: usize = 300;

/// One entry of an application's list, understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TrustedDomain {
    scheme: Option<&'static str>,
    wildcard: bool,
    host: Host<String>,
    port: Option<u16>,
}

impl TrustedDomain {
    /// Reads `host`, `host:port`, or either with `http://` or `https://`; `*.` in front of a host of at
    /// least two labels stands for exactly one label.
    ///
    /// # Errors
    /// The rule that the text breaks, for a person.
    pub(crate) fn parse(text: &str) -> Result<Self, &'static str> {
        let text = text.trim();
        if text.is_empty() || text.len() > MAX_ENTRY_BYTES {
            return Err("must be a host name of 1 to 300 characters");
        }
        let lower = text.to_ascii_lowercase();
        let (scheme, rest) = match lower.split_once("://") {
            None => (None, lower.as_str()),
            Some(("https", rest)) => (Some("https"), rest),
            Some(("http", rest)) => (Some("http"), rest),
            Some(_) => return Err("may have the scheme http or https only"),
        };
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        if rest.contains(['/', '?', '#', '@', '\\']) || rest.contains(char::is_whitespace) {
            return Err("must be a host name with an optional scheme and port, and no path");
        }
        let (wildcard, rest) = match rest.strip_prefix("*.") {
            Some(rest) => (true, rest),
            None => (false, rest),
        };
        if rest.contains('*') {
            return Err("may have a * only as its first label");
        }
        // A colon inside brackets belongs to an IPv6 address.
        let after_brackets = rest.rfind(']').map_or(0, |at| at + 1);
        let colon = rest.get(after_brackets..).and_then(|tail| tail.rfind(':'));
        let (host, port) = match colon.map(|at| rest.split_at(at + after_brackets)) {
            None => (rest, None),
            Some((host, port)) => match port.trim_start_matches(':').parse::<u16>() {
                Ok(port) if port > 0 => (host, Some(port)),
                _ => return Err("has a port that is not a number from 1 to 65535"),
            },
        };
        let host = Host::parse(host).map_err(|_| "is not a host name")?;
        if wildcard && !matches!(&host, Host::Domain(name) if name.trim_matches('.').contains('.'))
        {
            return Err("may use *. only before a domain of at least two labels");
        }
        Ok(Self { scheme, wildcard, host, port })
    }

    /// Whether a page of this origin (`https://www.example.com`) is meant.
    #[must_use]
    pub(crate) fn matches(&self, origin: &str) -> bool {
        let Ok(url) = Url::parse(origin) else { return false };
        let Origin::Tuple(scheme, host, port) = url.origin() else { return false };
        let scheme_fits = match self.scheme {
            Some(own) => own == scheme,
            None => scheme == "https" || (scheme == "http" && self.is_local()),
        };
        let own_port = self.port.or(match scheme.as_str() {
            "https" => Some(443),
            "http" => Some(80),
            _ => None,
        });
        scheme_fits && own_port == Some(port) && self.host_fits(&host)
    }

    fn is_local(&self) -> bool {
        match &self.host {
            Host::Domain(name) => name == "localhost",
            Host::Ipv4(address) => address.is_loopback() && address.octets() == [127, 0, 0, 1],
            Host::Ipv6(_) => false,
        }
    }

    fn host_fits(&self, host: &Host<String>) -> bool {
        match (self.wildcard, &self.host, host) {
            (false, own, host) => own == host,
            (true, Host::Domain(own), Host::Domain(host)) => host
                .strip_suffix(own.as_str())
                .and_then(|rest| rest.strip_suffix('.'))
                .is_some_and(|label| !label.is_empty() && !label.contains('.')),
            _ => false,
        }
    }
}

/// Whether one of the entries means this origin. Entries that cannot be read mean none.
pub(crate) fn is_trusted<'a>(origin: &str, entries: impl IntoIterator<Item = &'a str>) -> bool {
    entries
        .into_iter()
        .filter_map(|entry| TrustedDomain::parse(entry).ok())
        .any(|entry| entry.matches(origin))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[track_caller]
    fn check(entry: &str, origin: &str, expected: bool) {
        let entry = TrustedDomain::parse(entry).unwrap();
        assert_eq!(entry.matches(origin), expected, "{entry:?} {origin}");
    }

    #[test]
    fn without_a_scheme_it_means_https_and_for_local_hosts_also_http() {
        check("www.example.com", "https://www.example.com", true);
        check("www.example.com", "http://www.example.com", false);
        check("localhost", "http://localhost", true);
        check("localhost", "https://localhost", true);
        check("localhost:3000", "http://localhost:3000", true);
        check("127.0.0.1:8080", "http://127.0.0.1:8080", true);
        check("127.0.0.2", "http://127.0.0.2", false);
        check("http://www.example.com", "http://www.example.com", true);
        check("http://www.example.com", "https://www.example.com", false);
        check("https://localhost", "http://localhost", false);
    }

    #[test]
    fn without_a_port_it_means_the_default_port_of_the_scheme() {
        check("www.example.com", "https://www.example.com:443", true);
        check("www.example.com", "https://www.example.com:8443", false);
        check("www.example.com:8443", "https://www.example.com:8443", true);
        check("www.example.com:8443", "https://www.example.com", false);
        check("localhost", "http://localhost:3000", false);
        check("[::1]:9000", "https://[::1]:9000", true);
    }

    #[test]
    fn a_star_is_exactly_one_label() {
        check("*.example.com", "https://www.example.com", true);
        check("*.example.com", "https://example.com", false);
        check("*.example.com", "https://a.b.example.com", false);
        check("*.example.com", "https://wwwexample.com", false);
        check("*.example.com", "https://evil.com", false);
    }

    #[test]
    fn case_and_unicode_are_normalised() {
        check("WWW.Example.COM", "https://www.example.com", true);
        check("bücher.example", "https://xn--bcher-kva.example", true);
    }

    #[test]
    fn refuses_what_is_no_host() {
        for bad in [
            "",
            " ",
            "https://",
            "ftp://example.com",
            "example.com/path",
            "a@example.com",
            "*.com",
            "*",
            "example.com:0",
            "example.com:99999",
            "exa mple.com",
            "example.com?x",
            "a.*.com",
        ] {
            assert!(TrustedDomain::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn origins_that_are_none_are_never_trusted() {
        for bad in ["null", "", "www.example.com", "file:///etc", "data:text/html,x"] {
            assert!(!is_trusted(bad, ["www.example.com", "localhost"]), "{bad}");
        }
    }
}
