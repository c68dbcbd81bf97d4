//! Search: every word of the query begins a word of the name, the description or the text.
//!
//! <https://developer.box.com/reference/get-search/>

use serde_json::{Value, json};

use super::answer::{Answer, Fault, ok};
use super::call::Call;
use super::node::{Key, Kind, Node};
use super::show::{self, Fields};

/// The deepest offset that search takes.
const MAX_OFFSET: usize = 10_000;

fn words(text: &str) -> Vec<String> {
    let words = text.split(|one: char| !one.is_alphanumeric()).filter(|word| !word.is_empty());
    words.map(str::to_lowercase).collect()
}

impl Call<'_> {
    /// `GET /search`.
    pub(super) fn search(&mut self) -> Answer {
        let text = |name: &str| self.query.get(name).map(String::as_str);
        let query = text("query").unwrap_or_default();
        if query.is_empty() && text("mdfilters").is_none() {
            return Err(Fault::invalid("query", "'query' is required"));
        }
        // Operators of the query language, which a plain word must not become.
        if query.split(' ').any(|word| matches!(word, "AND" | "OR" | "NOT")) || query.contains('"')
        {
            return Err(Fault::invalid("query", "The sandbox does not simulate search operators"));
        }
        let (limit, offset) = (self.limit(30, 200)?, self.offset()?);
        if offset > MAX_OFFSET {
            return Err(Fault::invalid("offset", "Offsets beyond 10000 are not taken."));
        }
        let below: Option<Vec<u64>> = match text("ancestor_folder_ids") {
            None => None,
            Some(list) => {
                let ids: Option<Vec<u64>> = list.split(',').map(|id| id.parse().ok()).collect();
                let invalid = || Fault::invalid("ancestor_folder_ids", "Not folder ids.");
                Some(ids.ok_or_else(invalid)?)
            }
        };
        let look_in: Vec<&str> = text("content_types").map_or_else(
            || vec!["name", "description", "file_content"],
            |list| list.split(',').collect(),
        );
        let wanted = words(query);
        let before = self.store.now().plus_seconds(-self.store.quirks.search_lag);
        let ends: Option<Vec<&str>> = text("file_extensions").map(|list| list.split(',').collect());
        let kind = text("type").and_then(Kind::of);
        let mut found: Vec<&Node> = Vec::new();
        for node in self.store.nodes.values() {
            let is_kind = kind.is_none_or(|kind| kind == node.key.kind);
            let ends_so = ends.as_ref().is_none_or(|ends| {
                node.name.rsplit_once('.').is_some_and(|(_, end)| ends.contains(&end))
            });
            if is_kind
                && ends_so
                && (self.store.quirks.search_lag == 0 || node.modified <= before)
                && matches(node, &wanted, &look_in)
                && self.is_below(node.key, below.as_deref())
                && self.store.live(node.key)
                && self.store.powers(self.me, node.key).preview
            {
                found.push(node);
            }
        }
        found.sort_by_key(|node| (std::cmp::Reverse(node.modified), node.key));
        let fields = self.fields(Fields::Standard);
        let entries: Vec<Value> = found
            .iter()
            .skip(offset)
            .take(limit)
            .map(|node| show::item(self.store, self.me, node, &fields))
            .collect();
        ok(&json!({
            "total_count": found.len(), "limit": limit, "offset": offset,
            "type": "search_results_items", "entries": entries,
        }))
    }

    fn is_below(&self, key: Key, folders: Option<&[u64]>) -> bool {
        let Some(folders) = folders else { return true };
        folders.contains(&0)
            || self.store.upwards(key).skip(1).any(|above| folders.contains(&above.key.id))
    }
}

fn matches(node: &Node, wanted: &[String], look_in: &[&str]) -> bool {
    let has = |text: &str| {
        let there = words(text);
        wanted.iter().all(|word| there.iter().any(|one| one.starts_with(word.as_str())))
    };
    (look_in.contains(&"name") && has(&node.name))
        || (look_in.contains(&"description") && has(&node.description))
        || (look_in.contains(&"file_content")
            && node
                .current()
                .and_then(|now| std::str::from_utf8(&now.content).ok())
                .is_some_and(has))
}
