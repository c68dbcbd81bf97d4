//! What to do when a name is taken, as each operation says it (wire API, sections 10, 44).

use http::HeaderMap;
use http::header::IF_NONE_MATCH;
use tramontane_fill::{FolderPolicy, Policy};

use crate::problem::{Answer, Problem};
use crate::query::Query;

/// The extension that says it in one word.
fn conflict(query: &Query) -> Answer<Option<Policy>> {
    match query.text("conflict") {
        None => Ok(None),
        Some("fail") => Ok(Some(Policy::Fail)),
        Some("rename") => Ok(Some(Policy::KeepBoth)),
        Some("replace") => Ok(Some(Policy::Replace)),
        Some(_) => Err(Problem::invalid("conflict", "must be fail, rename or replace")),
    }
}

/// For uploads, copies and everything else that makes a file: keeps both unless told otherwise.
///
/// # Errors
/// `invalid_parameters`.
pub fn making(query: &Query) -> Answer<Policy> {
    let overwrite = query.flag("overwrite")?;
    let plain = if overwrite == Some(true) { Policy::Replace } else { Policy::KeepBoth };
    Ok(conflict(query)?.unwrap_or(plain))
}

/// As [`making`], where `If-None-Match: *` also says to refuse.
///
/// # Errors
/// `invalid_parameters`.
pub fn creating(query: &Query, headers: &HeaderMap) -> Answer<Policy> {
    let policy = making(query)?;
    let star = headers.get(IF_NONE_MATCH).is_some_and(|value| value.as_bytes() == b"*");
    Ok(if star { Policy::Fail } else { policy })
}

/// For renames and moves: refuses unless told otherwise.
///
/// # Errors
/// `invalid_parameters`.
pub fn placing(query: &Query) -> Answer<Policy> {
    let plain = match query.flag("overwrite")? {
        None => Policy::Fail,
        Some(true) => Policy::Replace,
        Some(false) => Policy::KeepBoth,
    };
    Ok(conflict(query)?.unwrap_or(plain))
}

/// For new folders: gives the existing one unless told otherwise.
///
/// # Errors
/// `invalid_parameters`.
pub fn making_folder(query: &Query) -> Answer<FolderPolicy> {
    let refuse = query.flag("conflict_if_exists")?;
    match conflict(query)? {
        Some(Policy::Fail) => Ok(FolderPolicy::Fail),
        Some(Policy::KeepBoth) => Ok(FolderPolicy::KeepBoth),
        Some(Policy::Replace) => {
            Err(Problem::invalid("conflict", "must be fail or rename when a folder is made"))
        }
        None if refuse == Some(true) => Ok(FolderPolicy::Fail),
        None => Ok(FolderPolicy::Existing),
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn each_operation_has_its_own_default_and_conflict_wins() {
        for (query, make, place) in [
            ("", Policy::KeepBoth, Policy::Fail),
            ("overwrite=", Policy::KeepBoth, Policy::Fail),
            ("overwrite=true", Policy::Replace, Policy::Replace),
            ("overwrite=false", Policy::KeepBoth, Policy::KeepBoth),
            ("overwrite=true&conflict=fail", Policy::Fail, Policy::Fail),
            ("overwrite=false&conflict=replace", Policy::Replace, Policy::Replace),
            ("conflict=rename", Policy::KeepBoth, Policy::KeepBoth),
        ] {
            let query = Query::parse(query);
            assert_eq!(making(&query).unwrap(), make, "{query:?}");
            assert_eq!(placing(&query).unwrap(), place, "{query:?}");
        }
        for bad in ["conflict=x", "overwrite=x"] {
            assert!(making(&Query::parse(bad)).is_err());
            assert!(placing(&Query::parse(bad)).is_err());
        }
        let folder = |text: &str| making_folder(&Query::parse(text));
        assert_eq!(folder("").unwrap(), FolderPolicy::Existing);
        assert_eq!(folder("conflict_if_exists=true").unwrap(), FolderPolicy::Fail);
        assert_eq!(
            folder("conflict_if_exists=true&conflict=rename").unwrap(),
            FolderPolicy::KeepBoth
        );
        assert!(folder("conflict=replace").is_err());
    }
}
