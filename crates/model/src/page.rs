//! Pages of a listing, as connectors give them.

/// What a caller asks of one page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PageRequest {
    /// Where to go on: what the page before gave as `next`. `None` asks for the first page.
    pub cursor: Option<String>,
    /// At most so many items. At least 1. A connector may give fewer.
    pub limit: usize,
}

impl PageRequest {
    /// The first page, with at most `limit` items.
    #[must_use]
    pub fn first(limit: usize) -> Self {
        Self { cursor: None, limit: limit.max(1) }
    }

    /// The page after the one that gave `cursor`.
    #[must_use]
    pub fn after(cursor: String, limit: usize) -> Self {
        Self { cursor: Some(cursor), limit: limit.max(1) }
    }
}

/// One page of a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page<T> {
    /// What is on this page, in the listing's order. May be empty although more follows.
    pub items: Vec<T>,
    /// The cursor of the page that follows; `None` when the listing is finished.
    pub next: Option<String>,
}

impl<T> Page<T> {
    /// A page that ends its listing.
    #[must_use]
    pub fn last(items: Vec<T>) -> Self {
        Self { items, next: None }
    }

    /// The same page with every item turned into something else.
    #[must_use]
    pub fn map<U>(self, turn: impl FnMut(T) -> U) -> Page<U> {
        Page { items: self.items.into_iter().map(turn).collect(), next: self.next }
    }
}
