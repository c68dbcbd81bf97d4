//! Fuzz targets: what WebDAV servers write.

use tramontane_connector::http::Response;
use tramontane_connector::{Body, Error};
use tramontane_fuzz::fuzz;
use url::Url;

use super::{auth, fault, path, xml};

const LISTING: &str = "<?xml version=\"1.0\"?><D:multistatus xmlns:D=\"DAV:\" \
    xmlns:oc=\"http://owncloud.org/ns\"><D:response><D:href>/files/a%20b.txt</D:href><D:propstat><D:prop>\
    <D:resourcetype><D:collection/></D:resourcetype><D:getcontentlength>12</D:getcontentlength>\
    <D:getetag>\"1&amp;2\"</D:getetag><D:getlastmodified>Fri, 27 Feb 2026 16:40:02 GMT</D:getlastmodified>\
    <oc:checksums><oc:checksum>SHA1:00 MD5:11</oc:checksum></oc:checksums></D:prop>\
    <D:status>HTTP/1.1 200 OK</D:status></D:propstat></D:response></D:multistatus>";

/// Runs what waits for nothing.
fn now<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    runtime.unwrap().block_on(work)
}

fn answer(status: u16, name: http::HeaderName, value: &[u8], body: &[u8]) -> Option<Response> {
    let mut headers = http::HeaderMap::new();
    headers.insert(name, http::HeaderValue::from_bytes(value).ok()?);
    Some(Response {
        status: http::StatusCode::from_u16(status).ok()?,
        headers,
        body: Body::from_bytes(body.to_vec()),
        url: Url::parse("https://dav.example.com/").ok()?,
    })
}

fuzz!(
    multistatus,
    [
        LISTING,
        "<multistatus xmlns=\"DAV:\"><response><href>/</href><status>HTTP/1.1 404 Not Found</status>\
         <responsedescription>gone</responsedescription></response><sync-token>t</sync-token></multistatus>",
        "<!DOCTYPE a [<!ENTITY b \"c\">]><D:multistatus xmlns:D=\"DAV:\">&b;<![CDATA[x]]></D:multistatus>",
    ],
    |data| {
        let (mut pieces, mut whole) = (Vec::new(), Vec::new());
        let in_pieces = now(xml::parse(data, |item| {
            pieces.push(format!("{item:?}"));
            Ok::<(), Error>(())
        }));
        let at_once = xml::parse_whole(data, &mut |item| {
            whole.push(format!("{item:?}"));
            Ok(())
        });
        // Short answers and long ones are read in two ways, which must find the same.
        assert_eq!(in_pieces.is_ok(), at_once.is_ok());
        assert_eq!(pieces, whole);
    }
);

fuzz!(
    error_bodies,
    [
        "<D:error xmlns:D=\"DAV:\" xmlns:s=\"http://sabredav.org/ns\"><D:quota-not-exceeded/>\
         <s:message>Full</s:message></D:error>",
        "<html><body>Not here</body></html>",
        "",
    ],
    |data| {
        drop(xml::error_body(data));
        for status in [301, 403, 507] {
            if let Some(answer) = answer(status, http::header::RETRY_AFTER, b"7", data) {
                assert!(!now(fault::fault(answer)).message.is_empty());
            }
        }
    }
);

fuzz!(
    challenges,
    [
        "Basic realm=\"files\", Digest realm=\"files\", nonce=\"abc\", qop=\"auth,auth-int\", \
         algorithm=SHA-256, opaque=\"x\", stale=true, charset=UTF-8, userhash=true",
        "Digest realm=\"a\\\"b\",nonce=\"=\",algorithm=MD5-sess",
        "Bearer",
        "Negotiate abc==, Basic",
    ],
    |data| {
        let name = http::header::WWW_AUTHENTICATE;
        if let Some(answer) = answer(401, name, data, b"") {
            assert!(auth::challenges(&answer).len() <= 17);
            drop(auth::offered(&answer));
            for challenge in auth::challenges(&answer) {
                drop(challenge.digest());
            }
        }
    }
);

fuzz!(
    hrefs,
    [
        "/files/ann/a%20b.txt",
        "https://dav.example.com/files/ann/x/",
        "//dav.example.com/files/ann/",
        "a%2Fb/../c",
        "./x?y#z",
        "/files/ann/%ff%c3%a9",
    ],
    |data| {
        let text = String::from_utf8_lossy(data);
        let folder = Url::parse("https://dav.example.com/files/ann/").unwrap();
        let mut anchor = path::Anchor::of(&folder);
        for collection in [true, false, true] {
            if let path::Whose::Child(name) = anchor.place(&text, collection) {
                assert!(!name.is_empty() && name != "." && name != "..", "{text:?}");
                assert!(!name.contains(['/', '\0']), "{text:?} is a child named {name:?}");
            }
        }
    }
);

fuzz!(paths, ["/", "/a b/%2F", "/a/../b", "a", "/a//b", "/\u{0}"], |data| {
    use tramontane_model::NativeId;
    let id = NativeId::new(String::from_utf8_lossy(data).into_owned());
    if let Ok(segments) = path::segments(&id) {
        let base = Url::parse("https://dav.example.com/files/ann/").unwrap();
        let url = path::url(&base, &segments, false).unwrap();
        assert!(url.as_str().starts_with("https://dav.example.com/files/ann"), "{id} is {url}");
        let shown = path::url_segments(&url);
        assert_eq!(shown.get(2..).unwrap(), segments, "{id} is {url}");
    }
});
