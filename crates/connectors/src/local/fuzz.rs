//! Fuzz targets: ids of files on a disk.

use std::path::Component;

use tramontane_fuzz::fuzz;
use tramontane_model::NativeId;

use super::path::{LocalPath, disk_name, shown_name};

fuzz!(paths, ["/", "/a/b", "/a/../b", "/..", "/a/./b", "/C:\\x", "/\u{10FEF0}"], |data| {
    let id = NativeId::new(String::from_utf8_lossy(data).into_owned());
    if let Ok(path) = LocalPath::read(&id) {
        assert_eq!(path.id(), id);
        for component in path.on_disk().components() {
            let fine = matches!(component, Component::Normal(_) | Component::CurDir);
            assert!(fine, "{id} leads out of the folder");
        }
    }
});

fuzz!(names, ["a.txt", "\u{e9}", "\u{10FEF0}x", " . "], |data| {
    use std::os::unix::ffi::OsStrExt as _;
    let name = std::ffi::OsStr::from_bytes(data);
    assert_eq!(disk_name(&shown_name(name)).as_bytes(), data);
});
