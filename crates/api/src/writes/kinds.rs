//! Which kind of write a route is.

use http::Method;
use tramontane_tasks::Kind;

const STORAGE: &str = "/v1/accounts/{account}/storage/";

/// The kind of a storage write; `None` for everything that cannot run as a task: reads, parts of
/// uploads, and what is no storage.
pub(crate) fn kind_of(route: &str, method: &Method) -> Option<Kind> {
    let tail = route.strip_prefix(STORAGE)?;
    let kind = match (method.as_str(), tail) {
        // Told apart from uploading by URL when the request is read.
        ("POST", "files") => Kind::Upload,
        ("PUT", "files/{file}") => Kind::Replace,
        ("PATCH", "files/{file}" | "folders/{folder}") => Kind::Move,
        ("POST", "files/{file}/copy" | "folders/{folder}/copy") => Kind::Copy,
        ("POST", "folders") => Kind::CreateFolder,
        ("POST", "batch") => Kind::Batch,
        ("POST", "multipart/{session}/complete") => Kind::CompleteUpload,
        ("POST", "multipart" | "files/upload_url") => return None,
        (_, tail) if tail.starts_with("multipart") => return None,
        ("PUT" | "PATCH", tail) if tail.ends_with("/permissions") => Kind::Permissions,
        ("PATCH" | "DELETE", tail) if tail.ends_with("/properties") => Kind::Properties,
        ("POST", tail) if tail.ends_with("/restore") => Kind::Restore,
        (_, tail) if tail.starts_with("links") => Kind::Link,
        ("DELETE", _) => Kind::Delete,
        ("POST" | "PUT" | "PATCH", _) => Kind::Other,
        _ => return None,
    };
    Some(kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_storage_write_but_parts_has_a_kind() {
        for (method, tail, kind) in [
            (Method::POST, "files", Some(Kind::Upload)),
            (Method::PUT, "files/{file}", Some(Kind::Replace)),
            (Method::PATCH, "folders/{folder}", Some(Kind::Move)),
            (Method::POST, "folders/{folder}/copy", Some(Kind::Copy)),
            (Method::DELETE, "trash", Some(Kind::Delete)),
            (Method::DELETE, "files/{file}/versions/{version}", Some(Kind::Delete)),
            (Method::POST, "files/{file}/restore", Some(Kind::Restore)),
            (Method::PUT, "folders/{folder}/permissions", Some(Kind::Permissions)),
            (Method::DELETE, "files/{file}/properties", Some(Kind::Properties)),
            (Method::POST, "links", Some(Kind::Link)),
            (Method::POST, "multipart/{session}/complete", Some(Kind::CompleteUpload)),
            (Method::PUT, "multipart/{session}", None),
            (Method::DELETE, "multipart/{session}", None),
            (Method::POST, "multipart", None),
            (Method::POST, "files/upload_url", None),
            (Method::GET, "files/{file}", None),
        ] {
            assert_eq!(kind_of(&format!("{STORAGE}{tail}"), &method), kind, "{method} {tail}");
        }
        assert_eq!(kind_of("/v1/accounts/{account}", &Method::DELETE), None);
        assert_eq!(kind_of("/v1/meta/applications", &Method::POST), None);
    }
}
