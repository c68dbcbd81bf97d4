//! Pages of lists, recent files, search (wire API, sections 7, 13, 24, 46).

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::house::House;

async fn filled(count: usize) -> (House, String) {
    let house = House::new().await;
    let account = house.account("one").await;
    for number in 0..count {
        house.file(account, &format!("file {number:03}.txt"), b"x").await;
        house.clock.turn_seconds(1);
    }
    (house, format!("/v1/accounts/{account}"))
}

fn names(list: &Value) -> Vec<String> {
    let objects = list["objects"].as_array().unwrap();
    objects.iter().map(|one| one["name"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn token_pages_cover_everything_once() {
    let (house, base) = filled(7).await;
    for list in ["storage/folders/root/contents?", "storage/search?q=file&"] {
        for size in [1, 2, 3, 7, 8] {
            let mut seen = BTreeSet::new();
            let mut page: Option<String> = None;
            loop {
                let at = page.as_deref().map(|page| format!("&page={page}")).unwrap_or_default();
                let path = format!("{base}/{list}page_size={size}{at}");
                let answer = house.get(&path).key().send().await.json();
                assert_eq!(answer["page"], page.clone().map_or(json!(1), Value::from), "{path}");
                assert_eq!(answer["count"], answer["objects"].as_array().unwrap().len());
                for name in names(&answer) {
                    assert!(seen.insert(name.clone()), "{name} came twice");
                }
                let Some(next) = answer["next_page"].as_str() else { break };
                assert!(!next.is_empty() && next != "1" && Some(next) != page.as_deref());
                assert!(next.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~".contains(&b)));
                assert!(answer["count"].as_i64().unwrap() > 0, "no empty page while there is more");
                page = Some(next.to_owned());
            }
            assert_eq!(seen.len(), 7, "{list} {size}");
        }
    }
}

#[tokio::test]
async fn tokens_are_bound_to_their_list_and_end() {
    let (house, base) = filled(3).await;
    let other = house.account("two").await;
    house.file(other, "x.txt", b"x").await;
    house.file(other, "y.txt", b"x").await;
    let path = format!("{base}/storage/folders/root/contents");
    let first = house.get(&format!("{path}?page_size=1")).key().send().await.json();
    let token = first["next_page"].as_str().unwrap();
    for good in [format!("{path}?page={token}"), format!("{path}?page_size=2&page={token}")] {
        assert_eq!(house.get(&good).key().send().await.status, 200);
    }
    let altered = format!("{}A", &token[..token.len() - 1]);
    for bad in [
        format!("{path}?page={token}&types=file"),
        format!("{path}?page={token}&recursive=true"),
        format!("{base}/storage/search?q=file&page={token}"),
        format!("/v1/accounts/{other}/storage/folders/root/contents?page={token}"),
        format!("{path}?page={}B", altered),
        format!("{path}?page=2"),
        format!("{path}?page=pt_"),
        format!("{path}?page=%00"),
    ] {
        let reply = house.get(&bad).key().send().await;
        assert_eq!(reply.problem(), (400, "invalid_parameters".into()), "{bad}");
        assert_eq!(reply.json()["param"], "page");
    }
    house.clock.turn_seconds(24 * 3_600 + 1);
    let late = house.get(&format!("{path}?page={token}")).key().send().await;
    assert_eq!(late.problem(), (400, "invalid_parameters".into()));
}

#[tokio::test]
async fn page_sizes_are_checked_on_every_list() {
    let (house, base) = filled(1).await;
    for list in [
        "/v1/accounts?".to_owned(),
        "/v1/public/services?".to_owned(),
        format!("{base}/storage/folders/root/contents?"),
        format!("{base}/storage/search?q=a&"),
        format!("{base}/storage/recent?"),
        format!("{base}/storage/trash?"),
    ] {
        for bad in ["0", "1001", "-1", "1.5", "x", "99999999999999999999"] {
            let reply = house.get(&format!("{list}page_size={bad}")).key().send().await;
            assert_eq!(reply.problem(), (400, "invalid_parameters".into()), "{list}{bad}");
            assert_eq!(reply.json()["param"], "page_size");
        }
        assert_eq!(
            house.get(&format!("{list}page_size=1000")).key().send().await.status,
            200,
            "{list}"
        );
        let reply = house.get(&format!("{list}paging=x")).key().send().await;
        assert_eq!(reply.problem(), (400, "invalid_parameters".into()), "{list}");
    }
}

#[tokio::test]
async fn number_pages_start_at_one_and_end_with_404() {
    let (house, base) = filled(5).await;
    let path = format!("{base}/storage/recent?page_size=2");
    for (page, count, next) in [(1, 2, json!(2)), (2, 2, json!(3)), (3, 1, Value::Null)] {
        let list = house.get(&format!("{path}&page={page}")).key().send().await.json();
        assert_eq!((&list["total"], &list["count"]), (&json!(5), &json!(count)));
        assert_eq!((&list["page"], &list["next_page"]), (&json!(page), &next));
    }
    assert_eq!(
        house.get(&format!("{path}&page=4")).key().send().await.problem(),
        (404, "not_found".into())
    );
    for bad in ["0", "x", "-1"] {
        let reply = house.get(&format!("{path}&page={bad}")).key().send().await;
        assert_eq!(reply.problem(), (400, "invalid_parameters".into()), "{bad}");
    }
    let empty =
        house.get(&format!("{base}/storage/recent?after=2100-01-01")).key().send().await.json();
    assert_eq!(
        (&empty["total"], &empty["page"], &empty["objects"]),
        (&json!(0), &json!(1), &json!([]))
    );
}

#[tokio::test]
async fn cursors_are_added_when_asked_for() {
    let (house, base) = filled(3).await;
    for list in ["storage/folders/root/contents", "storage/recent"] {
        let mut seen = 0;
        let mut cursor = String::new();
        loop {
            let path = format!("{base}/{list}?paging=cursor&page_size=2&cursor={cursor}");
            let answer = house.get(&path).key().send().await.json();
            seen += answer["count"].as_i64().unwrap();
            assert_eq!(answer["has_more"], !answer["next_cursor"].is_null());
            match answer["next_cursor"].as_str() {
                Some(next) => cursor = next.to_owned(),
                None => break,
            }
        }
        assert_eq!(seen, 3, "{list}");
        let plain = house.get(&format!("{base}/{list}")).key().send().await.json();
        assert!(plain.get("next_cursor").is_none() && plain.get("has_more").is_none());
        let bad = house.get(&format!("{base}/{list}?paging=cursor&cursor=x")).key().send().await;
        assert_eq!(bad.problem(), (400, "invalid_parameters".into()));
    }
}

#[tokio::test]
async fn recent_files_are_the_newest_first() {
    let (house, base) = filled(3).await;
    let folders = format!("{base}/storage/folders");
    house.post(&folders).key().json(json!({"name": "F"})).send().await;
    let list = house.get(&format!("{base}/storage/recent")).key().send().await.json();
    assert_eq!(names(&list), ["file 002.txt", "file 001.txt", "file 000.txt"]);
    let after = list["objects"][1]["modified"].as_str().unwrap();
    let newer =
        house.get(&format!("{base}/storage/recent?after={after}")).key().send().await.json();
    assert_eq!(names(&newer), ["file 002.txt"]);
    let odd = house.get(&format!("{base}/storage/recent?after=yesterday")).key().send().await;
    assert_eq!((odd.status.as_u16(), odd.json()["total"].as_i64()), (200, Some(0)));
    let path = format!("/v1/meta/applications/{}", house.app_id);
    house.patch(&path).meta().json(json!({"recent_enabled": false})).send().await;
    let off = house.get(&format!("{base}/storage/recent")).key().send().await;
    assert_eq!(off.problem(), (403, "forbidden".into()));
}

#[tokio::test]
async fn search_needs_words_and_finds_names() {
    let (house, base) = filled(3).await;
    for bad in ["", "?q=", "?q=%20+"] {
        let reply = house.get(&format!("{base}/storage/search{bad}")).key().send().await;
        assert_eq!(reply.problem(), (400, "invalid_parameters".into()), "{bad}");
        assert_eq!(reply.json()["param"], "q");
    }
    let found = house.get(&format!("{base}/storage/search?q=FILE+001")).key().send().await.json();
    assert_eq!(names(&found), ["file 001.txt"]);
    let none = house.get(&format!("{base}/storage/search?q=nothing")).key().send().await;
    assert_eq!((none.status.as_u16(), none.json()["objects"].clone()), (200, json!([])));
    let path = format!("{base}/storage/folders");
    let folder =
        house.post(&path).key().json(json!({"name": "F"})).send().await.json()["id"].clone();
    let path = format!("{base}/storage/search?q=file&parents={}", folder.as_str().unwrap());
    assert_eq!(house.get(&path).key().send().await.json()["count"], 0);
    let path = format!("{base}/storage/search?q=file&parents=root");
    assert_eq!(house.get(&path).key().send().await.json()["count"], 3);
    let bad = house.get(&format!("{base}/storage/search?q=file&parents=x")).key().send().await;
    assert_eq!(bad.problem(), (400, "invalid_parameters".into()));
}

#[tokio::test]
async fn several_accounts_search_in_turn_and_tell_what_failed() {
    let (house, base) = filled(3).await;
    let one = base.rsplit('/').next().unwrap().to_owned();
    let two = house.account("two").await;
    house.file(two, "file here.txt", b"x").await;
    let path = format!("/v1/accounts/{one},{two}/storage/search?q=file&page_size=2");
    let mut all = Vec::new();
    let mut page = String::new();
    loop {
        let list = house.get(&format!("{path}&page={page}")).key().send().await.json();
        all.extend(names(&list));
        match list["next_page"].as_str() {
            Some(next) => page = next.to_owned(),
            None => break,
        }
    }
    assert_eq!(all.len(), 4);
    let body = json!({"service": "memory", "account": "x", "drive": "x", "password": "wrong"});
    let dead = house.post("/v1/accounts").key().json(body).send().await.json()["id"].clone();
    house.post(&format!("/v1/accounts/{dead}/check")).key().send().await;
    for list in ["recent", "search?q=file"] {
        let path = format!("/v1/accounts/{one},{dead}/storage/{list}");
        let half = house.get(&path).key().send().await;
        assert_eq!(half.status, 200, "{}", half.text());
        assert_eq!(half.json()["errors"][0]["account"], dead);
        assert_eq!(half.json()["errors"][0]["error_code"], "service_unauthorized");
        assert_eq!(half.json()["count"], 3);
        let path = format!("/v1/accounts/{dead}/storage/{list}");
        assert_eq!(
            house.get(&path).key().send().await.problem(),
            (401, "service_unauthorized".into())
        );
    }
}
