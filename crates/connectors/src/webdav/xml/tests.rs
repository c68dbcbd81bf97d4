//! How multistatus answers are read, and what is refused.

use proptest::prelude::*;

use super::*;

/// Reads it while it arrives and in one go, which must be the same.
async fn read(text: &str) -> Result<Vec<Item>> {
    let (mut items, mut at_once) = (Vec::new(), Vec::new());
    let arriving = parse(text.as_bytes(), |item| {
        items.push(item);
        Ok(())
    });
    let arrived = arriving.await.map(|()| items);
    if text.len() > SMALL_BYTES {
        return arrived;
    }
    let whole = parse_whole(text.as_bytes(), &mut |item| {
        at_once.push(item);
        Ok(())
    });
    match (&arrived, whole.map(|()| at_once)) {
        (Ok(one), Ok(other)) => assert_eq!(*one, other),
        (Err(one), Err(other)) => assert_eq!(one.kind, other.kind, "{one} {other}"),
        (one, other) => assert_eq!(one.is_ok(), other.is_ok(), "{one:?} is not {other:?}"),
    }
    arrived
}

fn wrap(inner: &str) -> String {
    format!("<?xml version=\"1.0\"?><D:multistatus xmlns:D=\"DAV:\">{inner}</D:multistatus>")
}

#[tokio::test]
async fn reads_properties_with_their_status() {
    let items = read(&wrap(
        "<D:response><D:href>/a%20b</D:href>\
         <D:propstat><D:prop><D:resourcetype><D:collection/></D:resourcetype>\
         <D:getetag>\"1&amp;2\"</D:getetag></D:prop><D:status>HTTP/1.1 200 OK</D:status></D:propstat>\
         <D:propstat><D:prop><D:getcontentlength/></D:prop><D:status>HTTP/1.1 404 Not Found</D:status>\
         </D:propstat></D:response>",
    ))
    .await
    .unwrap();
    let [item] = items.as_slice() else { panic_with(&items) };
    assert_eq!(item.href, "/a%20b");
    assert_eq!(item.text(Ns::Dav, "getetag"), Some("\"1&2\""));
    assert_eq!(item.prop(Ns::Dav, "getcontentlength"), None);
    let kind = item.prop(Ns::Dav, "resourcetype").map(|prop| prop.children.clone());
    assert_eq!(kind, Some(vec![(Ns::Dav, "collection".to_owned())]));
}

#[expect(clippy::panic, reason = "a test fails")]
fn panic_with(items: &[Item]) -> ! {
    panic!("{items:?}")
}

#[tokio::test]
async fn takes_any_prefix_none_at_all_and_a_missing_status() {
    for text in [
        "<multistatus xmlns=\"DAV:\"><response><href>/x</href><propstat><prop><getetag>e</getetag>\
         </prop></propstat></response></multistatus>",
        "<multistatus><response><href>/x</href><propstat><prop><getetag>e</getetag></prop></propstat>\
         </response></multistatus>",
        "<lp1:multistatus xmlns:lp1=\"DAV:\"><lp1:response xmlns:z=\"DAV:\"><z:href>/x</z:href><z:propstat>\
         <z:prop><lp1:getetag><![CDATA[e]]></lp1:getetag></z:prop></z:propstat></lp1:response></lp1:multistatus>",
        "\u{feff}<D:multistatus><D:response><D:href> /x </D:href><D:propstat><D:prop><D:getetag>e</D:getetag>\
         </D:prop><D:status>200 fine</D:status></D:propstat></D:response></D:multistatus>",
    ] {
        let items = read(text).await.unwrap();
        let found = items.first().map(|item| (item.href.as_str(), item.text(Ns::Dav, "getetag")));
        assert_eq!(found, Some(("/x", Some("e"))), "{text}");
    }
}

#[tokio::test]
async fn tells_namespaces_apart() {
    let items = read(&wrap(
        "<D:response><D:href>/x</D:href><D:propstat><D:prop xmlns:oc=\"http://owncloud.org/ns\" \
         xmlns:x=\"urn:x\"><x:getetag>no</x:getetag><oc:checksums><oc:checksum>SHA1:a</oc:checksum>\
         <oc:checksum>MD5:b</oc:checksum></oc:checksums></D:prop></D:propstat></D:response>",
    ))
    .await
    .unwrap();
    assert_eq!(items.first().and_then(|item| item.text(Ns::Dav, "getetag")), None);
    let sums = items.first().and_then(|item| item.text(Ns::Owncloud, "checksums"));
    assert_eq!(sums, Some("SHA1:a MD5:b"));
}

#[tokio::test]
async fn gives_a_response_with_several_hrefs_once_for_each() {
    let items = read(&wrap(
        "<D:response><D:href>/a</D:href><D:href>/b</D:href><D:status>HTTP/1.1 423 Locked</D:status>\
         <D:error><D:lock-token-submitted/></D:error>\
         <D:responsedescription>in use</D:responsedescription></D:response>",
    ))
    .await
    .unwrap();
    assert_eq!(items.len(), 2);
    for item in items {
        assert_eq!(item.status, Some(423));
        assert_eq!(item.condition.as_deref(), Some("lock-token-submitted"));
        assert_eq!(item.message.as_deref(), Some("in use"));
    }
}

#[tokio::test]
async fn refuses_what_is_no_whole_multistatus() {
    let deep = format!("{}{}", "<a>".repeat(100), "</a>".repeat(100));
    for text in [
        String::new(),
        "hello".into(),
        "<html><body>Log in</body></html>".into(),
        "<!DOCTYPE html><html></html>".into(),
        "<!DOCTYPE x [<!ENTITY a \"b\">]><multistatus xmlns=\"DAV:\"/>".into(),
        "<D:multistatus xmlns:D=\"DAV:\"><D:response><D:href>/a</D:href>".into(),
        "<D:multistatus xmlns:D=\"DAV:\"><D:response></D:multistatus>".into(),
        "<error xmlns=\"DAV:\"/>".into(),
        wrap(&deep),
    ] {
        let error = read(&text).await.unwrap_err();
        assert_eq!(error.kind, Kind::Broken, "{text}");
    }
}

#[tokio::test]
async fn entities_are_never_expanded() {
    let text = wrap("<D:response><D:href>/&lol;&#x41;&gt;</D:href></D:response>");
    let items = read(&text).await.unwrap();
    assert_eq!(items.first().map(|item| item.href.as_str()), Some("/&lol;A>"));
}

#[tokio::test]
async fn endless_text_is_cut_off() {
    let long = "x".repeat(3 << 20);
    let text = wrap(&format!("<D:response><D:href>{long}</D:href></D:response>"));
    assert_eq!(read(&text).await.err().map(|error| error.kind), Some(Kind::Broken));
    let piece = format!("<D:p>{}</D:p>", "x".repeat(100_000));
    let many = piece.repeat(60);
    let text = wrap(&format!(
        "<D:response><D:href>/a</D:href><D:propstat><D:prop>{many}</D:prop></D:propstat></D:response>"
    ));
    assert_eq!(read(&text).await.err().map(|error| error.kind), Some(Kind::Broken));
}

#[tokio::test]
async fn a_body_that_breaks_off_keeps_its_own_error() {
    let pieces = futures::stream::iter([
        Ok(bytes::Bytes::from_static(b"<D:multistatus xmlns:D=\"DAV:\"><D:resp")),
        Err(Error::new(Kind::Timeout, "The service stopped sending.")),
    ]);
    let error = multistatus(Body::new(pieces, None), |_| Ok(())).await.unwrap_err();
    assert_eq!(error.kind, Kind::Timeout);
}

#[test]
fn reads_error_bodies() {
    let read = |text: &str| error_body(text.as_bytes());
    let sabre = "<?xml version=\"1.0\"?><d:error xmlns:d=\"DAV:\" xmlns:s=\"http://sabredav.org/ns\">\
                 <s:exception>Sabre\\DAV\\Exception\\Locked</s:exception>\
                 <s:message>The &amp; file is locked</s:message></d:error>";
    assert_eq!(read(sabre), (None, Some("The & file is locked".into())));
    let plain = "<D:error xmlns:D=\"DAV:\"><D:quota-not-exceeded/></D:error>";
    assert_eq!(read(plain), (Some("quota-not-exceeded".into()), None));
    assert_eq!(read("<html><message>x</message></html>"), (None, None));
    assert_eq!(read(""), (None, None));
}

proptest! {
    #[test]
    fn any_text_is_read_or_refused(text in "[<>/&;:a-d\"'= !\\[\\]-]{0,200}") {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let _ = runtime.block_on(read(&text));
        let _ = runtime.block_on(read(&wrap(&text)));
        let _ = error_body(text.as_bytes());
    }

    #[test]
    fn a_multistatus_cut_anywhere_is_refused(cut in 0usize..200) {
        let whole = wrap("<D:response><D:href>/a</D:href><D:propstat><D:prop><D:getetag>\"é\"</D:getetag></D:prop>\
                          <D:status>HTTP/1.1 200 OK</D:status></D:propstat></D:response>");
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let bytes = whole.as_bytes();
        let piece = bytes.get(..cut.min(bytes.len() - 1)).unwrap_or_default();
        let read = runtime.block_on(parse(piece, |_| Ok(())));
        prop_assert!(read.is_err());
    }
}
