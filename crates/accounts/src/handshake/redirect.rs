//! Where an answer may go (wire API, section 18.1): to a registered redirect URI, character for
//! character; on the developer's own machine at any port.

/// No redirect: the result is shown, or handed to the page that opened the pop-up.
pub const OUT_OF_BAND: &str = "urn:ietf:wg:oauth:2.0:oob";

/// Whether a redirect URI is the registered one.
#[must_use]
pub fn is_registered(asked: &str, registered: &str) -> bool {
    asked == registered
        || match (local(asked), local(registered)) {
            (Some(asked), Some(registered)) => asked == registered,
            _ => false,
        }
}

/// Host and what follows the port, of `http` on this machine.
fn local(uri: &str) -> Option<(&str, &str)> {
    for host in ["http://localhost", "http://127.0.0.1"] {
        let Some(rest) = uri.strip_prefix(host) else { continue };
        let Some(port) = rest.strip_prefix(':') else {
            let ends = rest.is_empty() || rest.starts_with(['/', '?']);
            return ends.then_some((host, rest));
        };
        let end = port.find(|one: char| !one.is_ascii_digit()).unwrap_or(port.len());
        let (digits, rest) = port.split_at(end);
        let ends = rest.is_empty() || rest.starts_with(['/', '?']);
        let valid = digits.parse::<u16>().is_ok_and(|port| port > 0);
        return (ends && valid).then_some((host, rest));
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_character_counts() {
        let registered = "https://app.example.com/cb?x=1";
        assert!(is_registered(registered, registered));
        for other in [
            "https://app.example.com/cb",
            "https://app.example.com/cb?x=1&y",
            "https://app.example.com/cb?x=1/",
            "https://APP.example.com/cb?x=1",
            "https://app.example.com:443/cb?x=1",
            "https://app.example.com.evil.example/cb?x=1",
            "http://app.example.com/cb?x=1",
        ] {
            assert!(!is_registered(other, registered), "{other}");
        }
    }

    #[test]
    fn on_the_developers_machine_any_port_will_do() {
        assert!(is_registered("http://localhost:3000/cb", "http://localhost/cb"));
        assert!(is_registered("http://127.0.0.1:9/cb", "http://127.0.0.1:8080/cb"));
        assert!(is_registered("http://localhost", "http://localhost:1"));
        for (asked, registered) in [
            ("http://localhost:3000@evil.example/cb", "http://localhost/cb"),
            ("http://localhost@evil.example/cb", "http://localhost/cb"),
            ("http://localhost.evil.example/cb", "http://localhost/cb"),
            ("http://localhost:3000.evil.example/cb", "http://localhost/cb"),
            ("http://localhost:99999/cb", "http://localhost/cb"),
            ("http://localhost:/cb", "http://localhost/cb"),
            ("http://127.0.0.1/cb", "http://localhost/cb"),
            ("http://localhost/cb2", "http://localhost/cb"),
            ("https://localhost:1/cb", "https://localhost:2/cb"),
            ("http://10.0.0.1:1/cb", "http://10.0.0.1:2/cb"),
        ] {
            assert!(!is_registered(asked, registered), "{asked}");
        }
    }
}
