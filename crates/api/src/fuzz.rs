//! Fuzz targets: everything that callers write.

use http::header::{FORWARDED, IF_MATCH, IF_NONE_MATCH, IF_RANGE, RANGE};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use tramontane_fuzz::fuzz;

use crate::json::JsonBody;
use crate::manage::trusted::TrustedDomain;
use crate::query::Query;
use crate::site::Site;
use crate::v1::{download, multipart_form, permissions, properties, upload};
use crate::{asked, path};

/// A header with these bytes, if a header can have them.
fn header(name: HeaderName, value: &[u8]) -> Option<HeaderMap> {
    let value = HeaderValue::from_bytes(value).ok()?;
    Some(HeaderMap::from_iter([(name, value)]))
}

fuzz!(
    queries,
    [
        "page=1&page_size=10&active=True&q=a+b%20c",
        "custom_properties[customer]=c-17&x={\"a\":1}|b",
        "true&&=&a=b=c&%ff=%c3%a9&after=2026-03-02T09:15:00Z&fields=a,,b",
    ],
    |data| {
        let query = Query::parse(&String::from_utf8_lossy(data));
        let names: Vec<String> = query.iter().map(|(name, _)| name.to_owned()).collect();
        for name in names {
            drop((query.flag(&name), query.time(&name), query.list(&name).count()));
            if let Ok(Some(number)) = query.number(&name, 1, 1_000) {
                assert!((1..=1_000).contains(&number));
            }
        }
    }
);

fuzz!(
    json_bodies,
    [
        r#"{"name":"a","parent_id":"root","size":"1024","active":"True","expiration":"2026-03-02"}"#,
        "{\"name\":\"caf\\u00e9 \\ud83d\\ude00\",\"n\":[1,2.5e3,null,{\"a\":[]}]}",
        "[[[[[[[[]]]]]]]]",
        "\u{feff} {}",
        "",
    ],
    |data| {
        if let Ok(body) = JsonBody::parse(data.to_vec()) {
            let names: Vec<String> = body.members().keys().cloned().collect();
            for name in names {
                drop((body.text(&name), body.flag(&name), body.time(&name)));
                if let Ok(Some(number)) = body.number(&name, -5, 5) {
                    assert!((-5..=5).contains(&number));
                }
            }
        }
        if let Ok(value) = crate::json::parse(data.to_vec()) {
            assert!(crate::answer::ascii(&value).unwrap().is_ascii());
            drop(permissions::read(value.clone()));
            drop(properties::read(value));
        }
    }
);

fuzz!(
    upload_metadata,
    [
        r#"{"parent_id":"folder_L1JlcG9ydHM","name":"q1.pdf","modified":"2026-03-02","size":5}"#,
        r#"{"parent_id":"root","name":"..","mime_type":"a/b"}"#,
    ],
    |data| {
        if let Ok(metadata) = upload::Metadata::read(crate::query::latin(data.to_vec())) {
            if upload::check_name(&metadata.name).is_ok() {
                assert!(!metadata.name.is_empty() && !metadata.name.contains(['/', '\0']));
                assert!(metadata.name != "." && metadata.name != "..");
            }
            let again = upload::Metadata::read(metadata.to_json().to_string()).unwrap();
            assert_eq!((again.name, again.size), (metadata.name, metadata.size));
        }
    }
);

fuzz!(
    request_paths,
    ["/v1/accounts/me/", "//v1///accounts//", "/v1/%61ccounts/%2e%2e/x%2Fy", "/%zz/%", "/base/v1"],
    |data| {
        let text = String::from_utf8_lossy(data);
        for prefix in ["", "/base"] {
            let normal = path::normal(&text, prefix);
            let again = path::normal(&normal, "");
            assert_eq!(again, normal, "{text:?}");
        }
        if let Ok(uri) = text.parse::<http::Uri>() {
            drop(path::normal_uri(&uri, "/base"));
        }
    }
);

fuzz!(
    conditions_and_ranges,
    ["bytes=0-4", "bytes=-5", "bytes=5-, 7-8", "\"a,b\", W/\"c\"", "*", "lines=1-2", "\"a"],
    |data| {
        for name in [RANGE, IF_MATCH, IF_NONE_MATCH, IF_RANGE] {
            let Some(headers) = header(name, data) else { continue };
            let wanted = download::Wanted::read(&Method::GET, &headers, &Query::default());
            if let Some(range) = wanted.unwrap().range() {
                for size in [0, 1, 10, u64::MAX] {
                    if let Some((first, count)) = range.resolve(size) {
                        assert!(
                            count > 0 && first.checked_add(count).is_some_and(|end| end <= size)
                        );
                    }
                }
            }
        }
    }
);

fuzz!(
    headers_of_requests,
    [
        r#"{"X-One":"1","Accept":"x/y"}"#,
        r#"{"Authorization":"x"}"#,
        "true",
        "30000",
        r#"{"x-forwarded-for":"10.0.0.1"}"#,
    ],
    |data| {
        for name in ["x-kloudless-raw-data", "x-kloudless-raw-headers", "tramontane-deadline"] {
            let Some(headers) = header(HeaderName::from_static(name), data) else { continue };
            if let Ok(asked) = asked::read(&headers) {
                for own in ["authorization", "host", "cookie", "transfer-encoding"] {
                    assert!(!asked.headers.contains_key(own));
                }
            }
        }
    }
);

fuzz!(
    forwarded_headers,
    [
        "for=192.0.2.60;proto=https;host=tramontane.example.com, for=\"[2001:db8::1]:47\"",
        "203.0.113.7, 10.0.0.1",
        "example.com:8443",
        "example.com:844x",
        "for=_hidden;host=\"a b\"",
    ],
    |data| {
        let proxies = vec!["10.0.0.0/8".parse().unwrap()];
        let site = Site::new(&[], proxies).unwrap();
        let peer = std::net::IpAddr::from([10, 0, 0, 9]);
        for name in
            ["forwarded", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "host"]
        {
            let name = HeaderName::from_bytes(name.as_bytes()).unwrap_or(FORWARDED);
            let Some(headers) = header(name, data) else { continue };
            let arrival = site.arrival(&headers, None, peer);
            assert!(url::Url::parse(&arrival.base).is_ok(), "{}", arrival.base);
        }
    }
);

fuzz!(
    forms,
    [
        "--x\r\nContent-Disposition: form-data; name=\"metadata\"\r\n\r\n{\"parent_id\":\"root\",\"name\":\"a\"}\
         \r\n--x\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a\"\r\n\r\nhello\r\n--x--\r\n",
        "--x\r\nContent-Disposition: form-data; name=file\r\nContent-Type: text/plain\r\n\r\nhello",
        "preamble\r\n--x\r\n\r\n--x\r\n",
    ],
    |data| {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let pieces = data.chunks(7).map(|piece| Ok(bytes::Bytes::copy_from_slice(piece)));
            let pieces: Vec<_> = pieces.collect();
            let folder = tempfile::tempdir().unwrap();
            let spool = tramontane_fill::Spool::new(folder.path().to_owned());
            let pieces = futures::stream::iter(pieces);
            let mut form = multipart_form::Form::of(pieces, "x".into(), spool, 1 << 20, 1 << 20);
            if let Ok((metadata, content)) = form.parts().await {
                drop((metadata, content.collect(1 << 20).await));
            }
        });
    }
);

fuzz!(
    trusted_domains,
    [
        "www.example.com",
        "https://*.example.com:8443",
        "localhost:3000",
        "http://127.0.0.1",
        "[::1]"
    ],
    |data| {
        let text = String::from_utf8_lossy(data);
        if let Ok(domain) = TrustedDomain::parse(&text) {
            let _ = domain.matches("https://www.example.com");
        }
        if let Ok(domain) = TrustedDomain::parse("*.example.com") {
            let trusted = domain.matches(&text);
            assert!(!trusted || text.ends_with(".example.com") || text.contains(':'), "{text:?}");
        }
    }
);
