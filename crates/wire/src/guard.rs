//! The address guard: which addresses may be called. Everything that a user can influence passes it.
//!
//! A name is checked after DNS, on the very addresses that are then connected to, so an answer that
//! changes between look and call changes nothing.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use ipnet::IpNet;
use tramontane_connector::{Error, error::Kind};
use url::{Host, Url};

/// A host that an operator allowed, perhaps on one port only.
#[derive(Clone, Debug, PartialEq, Eq)]
struct AllowedHost {
    name: String,
    port: Option<u16>,
}

/// Which addresses may be called: public ones, and what the operator allowed beside them.
#[derive(Clone, Debug, Default)]
pub struct Guard {
    ranges: Vec<IpNet>,
    sockets: Vec<SocketAddr>,
    hosts: Vec<AllowedHost>,
}

impl Guard {
    /// A guard with an operator's allow list: each entry a CIDR, an address, `address:port`, a host, or
    /// `host:port`.
    ///
    /// # Errors
    /// The entry that is none of these.
    pub fn allowing(entries: &[String]) -> Result<Self, String> {
        let mut guard = Self::default();
        for entry in entries.iter().map(|entry| entry.trim()).filter(|entry| !entry.is_empty()) {
            if let Ok(range) = entry.parse::<IpNet>() {
                guard.ranges.push(range.trunc());
            } else if let Ok(address) = entry.trim_matches(['[', ']']).parse::<IpAddr>() {
                guard.ranges.push(IpNet::from(address));
            } else if let Ok(socket) = entry.parse::<SocketAddr>() {
                guard.sockets.push(socket);
            } else {
                guard.hosts.push(allowed_host(entry)?);
            }
        }
        Ok(guard)
    }

    /// Whether this address may be called.
    #[must_use]
    pub fn allows_address(&self, address: IpAddr) -> bool {
        let address = unwrap(address);
        is_public(address) || self.ranges.iter().any(|range| range.contains(&address))
    }

    /// Whether this name may be called whatever addresses it has.
    #[must_use]
    pub fn allows_name(&self, name: &str) -> bool {
        let name = name.trim_end_matches('.');
        self.hosts.iter().any(|host| host.name.eq_ignore_ascii_case(name))
    }

    /// Checks what can be told from a URL before DNS.
    ///
    /// # Errors
    /// `Guarded`, with words that say which setting allows it; `Invalid` for what is no HTTP URL.
    pub fn check_url(&self, url: &Url) -> Result<(), Error> {
        if !matches!(url.scheme(), "http" | "https") {
            return Err(Error::invalid(format!(
                "The URL must start with http:// or https://, not {}://.",
                url.scheme()
            )));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(Error::invalid("The URL must not hold a user name or password."));
        }
        let port = url.port_or_known_default().unwrap_or(0);
        match url.host() {
            Some(Host::Ipv4(address)) => self.check_socket(IpAddr::V4(address), port),
            Some(Host::Ipv6(address)) => self.check_socket(IpAddr::V6(address), port),
            Some(Host::Domain(name)) => self.check_name(name, port),
            None => Err(Error::invalid("The URL has no host.")),
        }
    }

    /// Checks a written address that is to be called on this port.
    ///
    /// # Errors
    /// `Guarded`, with words that say which setting allows it.
    pub fn check_socket(&self, address: IpAddr, port: u16) -> Result<(), Error> {
        let named = SocketAddr::new(unwrap(address), port);
        if self.allows_address(address) || self.sockets.contains(&named) {
            return Ok(());
        }
        Err(refusal(&address.to_string()))
    }

    /// Checks a name or written address that is to be called on this port, before DNS.
    ///
    /// # Errors
    /// `Guarded` when the address may not be called, or the operator allowed the name on another port
    /// only.
    pub fn check_name(&self, name: &str, port: u16) -> Result<(), Error> {
        let name = name.trim_end_matches('.');
        if let Ok(address) = name.trim_matches(['[', ']']).parse::<IpAddr>() {
            return self.check_socket(address, port);
        }
        let mut known =
            self.hosts.iter().filter(|host| host.name.eq_ignore_ascii_case(name)).peekable();
        if known.peek().is_none() || known.any(|host| host.port.is_none_or(|only| only == port)) {
            return Ok(());
        }
        Err(refusal(&format!("{name}:{port}")))
    }
}

fn allowed_host(entry: &str) -> Result<AllowedHost, String> {
    let (name, port) = match entry.rsplit_once(':') {
        Some((name, port)) => {
            let port = port
                .parse()
                .map_err(|_| format!("\"{entry}\" is no CIDR, address, host or host:port"))?;
            (name, Some(port))
        }
        None => (entry, None),
    };
    let fine =
        name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_'));
    if name.is_empty() || !fine {
        return Err(format!("\"{entry}\" is no CIDR, address, host or host:port"));
    }
    Ok(AllowedHost { name: name.trim_end_matches('.').to_owned(), port })
}

/// The refusal of an address or name.
#[must_use]
pub fn refusal(what: &str) -> Error {
    tracing::warn!(address = what, "the address guard refused a call");
    metrics::counter!("tramontane_guard_refusals_total").increment(1);
    Error::new(
        Kind::Guarded,
        format!(
            "The address {what} is private or reserved and may not be called. An operator can allow it with \
             --allow-addresses (TRAMONTANE_ALLOW_ADDRESSES)."
        ),
    )
}

/// The IPv4 address that an IPv6 address only wraps, else the address itself.
fn unwrap(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V6(six) => six.to_ipv4_mapped().map_or(address, IpAddr::V4),
        IpAddr::V4(_) => address,
    }
}

/// Whether an address belongs to the public internet (IANA's special-purpose address registries).
#[must_use]
pub fn is_public(address: IpAddr) -> bool {
    match unwrap(address) {
        IpAddr::V4(four) => is_public_v4(four),
        IpAddr::V6(six) => is_public_v6(six),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    let special = match a {
        0 | 10 | 127 => true,
        100 => (64..128).contains(&b),
        169 => b == 254,
        172 => (16..32).contains(&b),
        192 => {
            b == 168
                || (b == 0 && (c == 0 || c == 2))
                || (b == 88 && c == 99)
                || (b == 31 && c == 196)
                || (b == 52 && c == 193)
                || (b == 175 && c == 48)
        }
        198 => b == 18 || b == 19 || (b == 51 && c == 100),
        203 => b == 0 && c == 113,
        _ => a >= 224,
    };
    !special
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let [a, b, c, d, e, f, g, h] = address.segments();
    let low = |high: u16, low: u16| {
        let [one, two] = high.to_be_bytes();
        let [three, four] = low.to_be_bytes();
        Ipv4Addr::new(one, two, three, four)
    };
    // Only 2000::/3 is given out as global unicast; NAT64 (64:ff9b::/96) stands for the IPv4
    // address within it.
    if a == 0x64 && b == 0xff9b && [c, d, e, f] == [0, 0, 0, 0] {
        return is_public_v4(low(g, h));
    }
    if a & 0xe000 != 0x2000 {
        return false;
    }
    match (a, b) {
        // 6to4 carries an IPv4 address.
        (0x2002, _) => is_public_v4(low(b, c)),
        // IETF protocol assignments (Teredo among them), and documentation.
        (0x2001, 0..0x200 | 0xdb8) => false,
        (0x3fff, 0..0x1000) => false,
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn refused(url: &str) -> bool {
        match Url::parse(url) {
            Ok(url) => Guard::default().check_url(&url).is_err(),
            Err(_) => true,
        }
    }

    #[test]
    fn refuses_every_spelling_of_a_private_address() {
        for url in [
            "http://127.0.0.1/",
            "http://127.1/",
            "http://2130706433/",
            "http://0x7f000001/",
            "http://0177.0.0.1/",
            "http://0/",
            "http://10.0.0.1/",
            "http://172.16.0.1/",
            "http://172.31.255.255/",
            "http://192.168.1.1/",
            "http://169.254.169.254/latest/meta-data/",
            "http://100.64.0.1/",
            "http://198.18.0.1/",
            "http://224.0.0.1/",
            "http://255.255.255.255/",
            "http://[::1]/",
            "http://[::]/",
            "http://[::ffff:127.0.0.1]/",
            "http://[::ffff:7f00:1]/",
            "http://[fe80::1]/",
            "http://[fc00::1]/",
            "http://[fd00:ec2::254]/",
            "http://[64:ff9b::7f00:1]/",
            "http://[2002:7f00:1::]/",
            "http://[2001:db8::1]/",
            "http://[ff02::1]/",
            "http://[::127.0.0.1]/",
            "http://[2001:0:a00:1::]/",
            "ftp://example.com/",
            "file:///etc/passwd",
            "http://user:pw@example.com/",
            "gopher://example.com/",
        ] {
            assert!(refused(url), "{url}");
        }
        for url in [
            "https://example.com/",
            "http://93.184.216.34/",
            "http://[2606:4700::1111]/",
            "http://172.32.0.1/",
        ] {
            assert!(!refused(url), "{url}");
        }
    }

    #[test]
    fn an_operator_allows_ranges_and_hosts() -> Result<(), String> {
        let entries =
            ["10.1.0.0/16", "127.0.0.1", "files.local:8443", "::1", "10.9.9.9:81", "[fd00::1]:82"];
        let entries = entries.map(String::from);
        let guard = Guard::allowing(&entries)?;
        let check = |url: &str| Url::parse(url).is_ok_and(|url| guard.check_url(&url).is_ok());
        assert!(check("http://10.1.2.3/"));
        assert!(!check("http://10.2.0.1/"));
        assert!(check("http://127.0.0.1:9000/"));
        assert!(!check("http://127.0.0.2/"));
        assert!(check("http://[::1]/"));
        assert!(check("http://10.9.9.9:81/") && check("http://[fd00::1]:82/"));
        assert!(!check("http://10.9.9.9/") && !check("http://[fd00::1]/"));
        assert!(check("https://files.local:8443/"));
        assert!(!check("https://files.local:22/"));
        assert!(guard.allows_name("FILES.local."));
        assert!(Guard::allowing(&["not a host!".into()]).is_err());
        assert!(Guard::allowing(&["host:99999".into()]).is_err());
        Ok(())
    }

    proptest! {
        #[test]
        fn wrapping_an_ipv4_address_in_ipv6_opens_nothing(bits in any::<u32>()) {
            let four = Ipv4Addr::from(bits);
            let [a, b, c, d] = four.octets();
            let (high, low) = (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]));
            let public = is_public(IpAddr::V4(four));
            for wrapped in [
                four.to_ipv6_mapped(),
                Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, high, low),
                Ipv6Addr::new(0x2002, high, low, 0, 0, 0, 0, 1),
            ] {
                prop_assert_eq!(is_public(IpAddr::V6(wrapped)), public);
            }
        }
    }
}
