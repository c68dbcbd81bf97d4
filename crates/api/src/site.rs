//! Under which URL a request came in, and from whom (wire API, section 1).

use std::net::{IpAddr, SocketAddr};

use http::HeaderMap;
use http::header::{FORWARDED, HOST};
use ipnet::IpNet;

/// The public URLs of this server and the proxies in front of it.
#[derive(Clone, Debug, Default)]
pub struct Site {
    urls: Vec<PublicUrl>,
    proxies: Vec<IpNet>,
}

#[derive(Clone, Debug)]
struct PublicUrl {
    /// Scheme, host, port and path, without a slash at the end.
    base: String,
    /// Host, and port when it is not the scheme's own.
    authority: String,
    /// The path, without a slash at the end; often empty.
    prefix: String,
}

/// Where a request came in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arrival {
    /// The base of absolute URLs in the answer, without a slash at the end.
    pub base: String,
    /// The path prefix that the base has.
    pub prefix: String,
    /// The address of the client, as far as it can be trusted.
    pub client: IpAddr,
}

impl Site {
    /// A site with these public URLs (`https://tramontane.example.com`) and trusted proxies. Without
    /// a URL, the `Host` of each request is used.
    ///
    /// # Errors
    /// The URL that is none, and why.
    pub fn new(urls: &[String], proxies: Vec<IpNet>) -> Result<Self, String> {
        let urls = urls.iter().map(|text| {
            let url = url::Url::parse(text).map_err(|error| format!("{text:?}: {error}"))?;
            let host = url.host_str().filter(|_| matches!(url.scheme(), "http" | "https"));
            let host = host.ok_or_else(|| format!("{text:?} is no http or https URL"))?;
            let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
            let authority = format!("{host}{port}").to_ascii_lowercase();
            let prefix = url.path().trim_end_matches('/').to_owned();
            let base = format!("{}://{authority}{prefix}", url.scheme());
            Ok(PublicUrl { base, authority, prefix })
        });
        Ok(Self { urls: urls.collect::<Result<_, String>>()?, proxies })
    }

    /// The first public URL: for texts that no request asked for.
    #[must_use]
    pub fn first_url(&self) -> Option<&str> {
        self.urls.first().map(|url| url.base.as_str())
    }

    /// Where a request with these headers from this peer came in.
    #[must_use]
    pub fn arrival(&self, headers: &HeaderMap, authority: Option<&str>, peer: IpAddr) -> Arrival {
        let trusted = self.trusts(peer);
        let told = if trusted { Told::of(headers) } else { Told::default() };
        let client = if trusted { self.client(headers).unwrap_or(peer) } else { peer };
        let host = headers.get(HOST).and_then(|value| value.to_str().ok());
        let host = told.host.or_else(|| authority.or(host).map(str::to_owned));
        let host = host.filter(|host| is_host(host)).map(|host| host.to_ascii_lowercase());
        let https = told.proto.as_deref() == Some("https");
        let same = |url: &&PublicUrl| {
            let bare = |text: &str| {
                let text = text.strip_suffix(":443").or_else(|| text.strip_suffix(":80"));
                text.map(str::to_owned)
            };
            host.as_deref().is_some_and(|host| {
                host == url.authority || bare(host).is_some_and(|bare| bare == url.authority)
            })
        };
        let known = self.urls.iter().find(same).or(self.urls.first());
        match (known, host) {
            (Some(url), _) => {
                Arrival { base: url.base.clone(), prefix: url.prefix.clone(), client }
            }
            (None, host) => {
                let scheme = if https { "https" } else { "http" };
                let host = host.unwrap_or_else(|| "localhost".to_owned());
                Arrival { base: format!("{scheme}://{host}"), prefix: String::new(), client }
            }
        }
    }

    fn trusts(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.proxies.iter().any(|net| net.contains(&address))
    }

    /// The nearest address in the chain that is no proxy of ours.
    fn client(&self, headers: &HeaderMap) -> Option<IpAddr> {
        let text = |name: &str| -> Vec<String> {
            let values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
            values.flat_map(|value| value.split(',')).map(|part| part.trim().to_owned()).collect()
        };
        let mut chain: Vec<String> = text("x-forwarded-for");
        if chain.is_empty() {
            let part = |element: &String| {
                let pairs = element.split(';').map(str::trim);
                let mut found = pairs.filter_map(|pair| pair.split_once('='));
                let (_, value) = found.find(|(name, _)| name.eq_ignore_ascii_case("for"))?;
                Some(value.trim_matches('"').to_owned())
            };
            chain = text("forwarded").iter().filter_map(part).collect();
        }
        let addresses = chain.iter().rev().map_while(|text| address(text));
        let mut last = None;
        for address in addresses {
            last = Some(address);
            if !self.trusts(address) {
                break;
            }
        }
        last
    }
}

fn address(text: &str) -> Option<IpAddr> {
    let bare = text.trim_start_matches('[').trim_end_matches(']');
    bare.parse().ok().or_else(|| text.parse::<SocketAddr>().ok().map(|socket| socket.ip()))
}

/// What a trusted proxy tells.
#[derive(Default)]
struct Told {
    host: Option<String>,
    proto: Option<String>,
}

impl Told {
    fn of(headers: &HeaderMap) -> Self {
        let mut told = Self::default();
        if let Some(forwarded) = headers.get(FORWARDED).and_then(|value| value.to_str().ok()) {
            let first = forwarded.split(',').next().unwrap_or_default();
            for (name, value) in first.split(';').filter_map(|pair| pair.trim().split_once('=')) {
                let value = value.trim().trim_matches('"').to_owned();
                match name.to_ascii_lowercase().as_str() {
                    "host" => told.host = Some(value),
                    "proto" => told.proto = Some(value.to_ascii_lowercase()),
                    _ => {}
                }
            }
        }
        let plain = |name: &str| {
            let value = headers.get(name)?.to_str().ok()?.split(',').next()?.trim();
            (!value.is_empty()).then(|| value.to_owned())
        };
        told.host = told.host.or_else(|| {
            let host = plain("x-forwarded-host")?;
            match plain("x-forwarded-port").filter(|_| !host.contains(':')) {
                Some(port) if port != "80" && port != "443" => Some(format!("{host}:{port}")),
                _ => Some(host),
            }
        });
        told.proto =
            told.proto.or_else(|| plain("x-forwarded-proto").map(|text| text.to_ascii_lowercase()));
        told
    }
}

fn is_host(text: &str) -> bool {
    let fine = |byte: u8| byte.is_ascii_alphanumeric() || b".-_:[]".contains(&byte);
    (1..=300).contains(&text.len())
        && text.bytes().all(fine)
        // What is no host with a port cannot stand in the URLs of an answer.
        && url::Url::parse(&format!("http://{text}/")).is_ok()
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
        let pairs = pairs.iter().map(|(name, value)| {
            let name: http::HeaderName = name.parse().unwrap();
            (name, value.parse().unwrap())
        });
        pairs.collect()
    }

    fn site() -> Site {
        let urls =
            ["https://a.example.com/api/".to_owned(), "http://b.example.com:8080".to_owned()];
        Site::new(&urls, vec!["10.0.0.0/8".parse().unwrap()]).unwrap()
    }

    const PROXY: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 1, 2, 3));
    const STRANGER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(203, 0, 113, 9));

    #[test]
    fn the_url_that_a_request_came_in_on_is_used() {
        let base = |pairs: &[(&str, &str)], peer| site().arrival(&headers(pairs), None, peer).base;
        assert_eq!(base(&[("host", "a.example.com")], STRANGER), "https://a.example.com/api");
        assert_eq!(base(&[("host", "B.example.com:8080")], STRANGER), "http://b.example.com:8080");
        assert_eq!(base(&[("host", "evil.example")], STRANGER), "https://a.example.com/api");
        let told = [("host", "inner"), ("x-forwarded-host", "b.example.com:8080")];
        assert_eq!(base(&told, PROXY), "http://b.example.com:8080");
        assert_eq!(base(&told, STRANGER), "https://a.example.com/api");
        let told = [("forwarded", "for=1.2.3.4;host=\"b.example.com:8080\";proto=http")];
        assert_eq!(base(&told, PROXY), "http://b.example.com:8080");
    }

    #[test]
    fn without_a_url_the_host_is_used_when_it_is_one() {
        let open = Site::new(&[], vec!["10.0.0.0/8".parse().unwrap()]).unwrap();
        let base = |pairs: &[(&str, &str)], peer| open.arrival(&headers(pairs), None, peer).base;
        assert_eq!(base(&[("host", "127.0.0.1:7878")], STRANGER), "http://127.0.0.1:7878");
        assert_eq!(base(&[("host", "x/../\"")], STRANGER), "http://localhost");
        let told = [("host", "t.example"), ("x-forwarded-proto", "https")];
        assert_eq!(base(&told, PROXY), "https://t.example");
        assert_eq!(base(&told, STRANGER), "http://t.example");
    }

    #[test]
    fn the_client_is_the_nearest_address_that_is_no_proxy() {
        let client =
            |pairs: &[(&str, &str)], peer| site().arrival(&headers(pairs), None, peer).client;
        let chain = [("x-forwarded-for", "6.6.6.6, 203.0.113.9, 10.9.9.9")];
        assert_eq!(client(&chain, PROXY), STRANGER);
        assert_eq!(client(&chain, STRANGER), STRANGER);
        assert_eq!(client(&[("x-forwarded-for", "rubbish")], PROXY), PROXY);
        let chain = [("forwarded", "for=\"[2001:db8::1]:4711\"")];
        assert_eq!(client(&chain, PROXY), "2001:db8::1".parse::<IpAddr>().unwrap());
    }
}
