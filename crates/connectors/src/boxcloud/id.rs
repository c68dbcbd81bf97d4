//! Native ids. Box counts files, folders and web links separately, so that the same number may be one
//! of each; our ids say which: `file:12`, `folder:12`, `web_link:12`.

use tramontane_connector::{EntryKind, EntryRef};
use tramontane_model::NativeId;

/// What an id is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum What {
    File,
    Folder,
    /// A bookmark: listed among files, without content.
    Link,
}

impl What {
    const ALL: [Self; 3] = [Self::File, Self::Folder, Self::Link];

    /// Box's word, in `type`.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::Folder => "folder",
            Self::Link => "web_link",
        }
    }

    /// Box's word in paths.
    pub(super) fn plural(self) -> &'static str {
        match self {
            Self::File => "files",
            Self::Folder => "folders",
            Self::Link => "web_links",
        }
    }

    pub(super) fn of_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|what| what.word() == word)
    }

    pub(super) fn kind(self) -> EntryKind {
        match self {
            Self::Folder => EntryKind::Folder,
            Self::File | Self::Link => EntryKind::File,
        }
    }
}

/// A Box id that is safe to put into a path: digits only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Id {
    pub(super) what: What,
    pub(super) number: String,
}

/// The longest number that is taken for an id.
const MAX_DIGITS: usize = 20;

/// Whether a text is a number as Box writes ids.
pub(super) fn is_number(text: &str) -> bool {
    (1..=MAX_DIGITS).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_digit())
        && (text == "0" || !text.starts_with('0'))
}

impl Id {
    /// The root folder, which is folder 0 for everyone.
    pub(super) fn root() -> Self {
        Self { what: What::Folder, number: "0".into() }
    }

    /// From Box's own `type` and `id`.
    pub(super) fn of(word: &str, number: &str) -> Option<Self> {
        let what = What::of_word(word)?;
        is_number(number).then(|| Self { what, number: number.to_owned() })
    }

    /// Reads a native id; `None` when it is not one of ours.
    pub(super) fn parse(id: &NativeId) -> Option<Self> {
        let (word, number) = id.as_str().split_once(':')?;
        Self::of(word, number)
    }

    /// Reads the id of an object of this kind.
    pub(super) fn of_ref(of: &EntryRef) -> Option<Self> {
        Self::parse(&of.id).filter(|id| id.what.kind() == of.kind)
    }

    pub(super) fn native(&self) -> NativeId {
        NativeId::new(format!("{}:{}", self.what.word(), self.number))
    }

    pub(super) fn reference(&self) -> EntryRef {
        EntryRef { kind: self.what.kind(), id: self.native() }
    }

    pub(super) fn is_root(&self) -> bool {
        *self == Self::root()
    }
}
