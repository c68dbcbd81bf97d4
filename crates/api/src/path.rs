//! Paths as the router sees them (wire API, section 1): repeated slashes collapsed, one trailing slash
//! removed, characters that need no escape unescaped.

use std::borrow::Cow;

use http::Uri;
use http::uri::PathAndQuery;

/// Brings a path into its normal form, without `prefix`.
#[must_use]
pub fn normal<'a>(path: &'a str, prefix: &str) -> Cow<'a, str> {
    let path = match path.strip_prefix(prefix) {
        Some(rest) if !prefix.is_empty() && (rest.is_empty() || rest.starts_with('/')) => rest,
        _ => path,
    };
    let clean = path.starts_with('/')
        && !path.contains("//")
        && !path.contains('%')
        && (path == "/" || !path.ends_with('/'));
    if clean {
        return Cow::Borrowed(path);
    }
    let mut normal = String::with_capacity(path.len() + 1);
    for segment in path.split('/').filter(|segment| !segment.is_empty()) {
        normal.push('/');
        unescape_unreserved(segment, &mut normal);
    }
    if normal.is_empty() {
        normal.push('/');
    }
    Cow::Owned(normal)
}

/// Decodes escapes of unreserved characters (RFC 3986, section 6.2.2.2): the path means the same, and
/// the router, which compares before it decodes, finds `/v1/%61ccounts`.
fn unescape_unreserved(segment: &str, out: &mut String) {
    let mut rest = segment;
    while let Some((before, after)) = rest.split_once('%') {
        out.push_str(before);
        let code = after.get(..2).and_then(|hex| u8::from_str_radix(hex, 16).ok());
        let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~".contains(byte);
        match code {
            Some(byte) if plain(&byte) => {
                out.push(char::from(byte));
                rest = after.get(2..).unwrap_or_default();
            }
            Some(_) => {
                out.push('%');
                rest = after;
            }
            // A stray percent sign; escaped, so that nothing grows together with what follows.
            None => {
                out.push_str("%25");
                rest = after;
            }
        }
    }
    out.push_str(rest);
}

/// The URI with its path in normal form; `None` when it is that already.
#[must_use]
pub fn normal_uri(uri: &Uri, prefix: &str) -> Option<Uri> {
    let path = normal(uri.path(), prefix);
    if path == uri.path() {
        return None;
    }
    let text = match uri.query() {
        Some(query) => format!("{path}?{query}"),
        None => path.into_owned(),
    };
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(PathAndQuery::try_from(text).ok()?);
    Uri::from_parts(parts).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_paths_become_one() {
        for path in
            ["/v1/accounts", "/v1/accounts/", "/v1//accounts", "//v1/accounts", "/v1/%61ccounts"]
        {
            assert_eq!(normal(path, ""), "/v1/accounts", "{path}");
        }
        assert_eq!(normal("/", ""), "/");
        assert_eq!(normal("//", ""), "/");
        assert_eq!(normal("/v1/x/%2561", ""), "/v1/x/%2561");
        assert_eq!(normal("/v1/x/a%2Fb%", ""), "/v1/x/a%2Fb%25");
        assert_eq!(normal("/v1/x/id%3D%3d", ""), "/v1/x/id%3D%3d");
    }

    #[test]
    fn the_prefix_of_the_public_url_is_taken_off_when_it_is_there() {
        assert_eq!(normal("/api/v1/accounts", "/api"), "/v1/accounts");
        assert_eq!(normal("/v1/accounts", "/api"), "/v1/accounts");
        assert_eq!(normal("/apiary", "/api"), "/apiary");
        assert_eq!(normal("/api", "/api"), "/");
    }

    proptest::proptest! {
        #[test]
        fn is_done_in_one_go(path in "(/|%2[0-9a-f]|%6[0-9a-f]|[a-z]|%|é){0,30}") {
            let once = normal(&path, "").into_owned();
            proptest::prop_assert_eq!(normal(&once, ""), once.as_str());
        }
    }
}
