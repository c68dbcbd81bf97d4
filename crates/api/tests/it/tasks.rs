//! Sections 14 and 54 of the wire API: work that goes on as a task, also when the server dies over it.

use std::sync::Arc;

use http::Method;
use serde_json::{Value, json};
use tramontane_api::{ApiLimits, TaskExecutor};
use tramontane_model::{AccountId, Op};
use tramontane_tasks::Executor;

use crate::house::{BASE, House, Reply};
use crate::stuck::{Point, Stuck};

fn executor(house: &House) -> Arc<dyn Executor> {
    Arc::new(TaskExecutor::new(house.front.clone()))
}

async fn run(house: &House) -> usize {
    house.app().tasks().run_due(&executor(house)).await
}

/// The task that an answer of 202 names.
fn task(reply: &Reply) -> String {
    assert_eq!(reply.status, 202, "{}", reply.text());
    reply.json()["href"].as_str().unwrap().strip_prefix(BASE).unwrap().to_owned()
}

async fn names(house: &House, account: AccountId, folder: &str) -> Vec<String> {
    let path = format!("/v1/accounts/{account}/storage/folders/{folder}/contents");
    let list = house.get(&path).key().send().await.json();
    let objects = list["objects"].as_array().unwrap().iter();
    let mut names: Vec<_> = objects.map(|one| one["name"].as_str().unwrap().to_owned()).collect();
    names.sort();
    names
}

async fn folder(house: &House, account: AccountId, name: &str, parent: &str) -> String {
    let path = format!("/v1/accounts/{account}/storage/folders");
    let body = json!({"name": name, "parent_id": parent});
    let reply = house.post(&path).key().json(body).send().await;
    reply.json()["id"].as_str().unwrap().to_owned()
}

async fn copying(house: &House, account: AccountId, file: &str, body: Value) -> Reply {
    let path = format!("/v1/accounts/{account}/storage/files/{file}/copy");
    house.post(&path).key().header("x-kloudless-async", "true").json(body).send().await
}

#[tokio::test]
async fn a_write_runs_as_a_task_and_the_task_becomes_its_result() {
    let house = House::new().await;
    let account = house.account("a").await;
    let file = house.file(account, "q1.pdf", b"hello").await;
    let reply = copying(&house, account, &file, json!({"parent_id": "root", "name": "b"})).await;
    let path = task(&reply);
    let pending = reply.json();
    assert_eq!(
        pending.as_object().unwrap().keys().collect::<Vec<_>>(),
        ["id", "type", "api", "href", "account", "state", "status", "created", "modified", "info"]
    );
    assert_eq!((&pending["state"], &pending["status"]), (&json!("PENDING"), &json!("PENDING")));
    assert_eq!(
        pending["info"],
        json!({"operation": "copy", "items_total": null, "items_done": 0, "bytes_total": null,
               "bytes_done": 0, "time_remaining": null})
    );
    assert_eq!(house.get(&path).key().send().await.json(), pending, "R11");
    assert_eq!(names(&house, account, "root").await, ["q1.pdf"], "nothing is done yet");
    assert_eq!(run(&house).await, 1);
    let done = house.get(&path).key().send().await;
    assert_eq!(done.status, 200, "{}", done.text());
    let done = done.json();
    assert_eq!((&done["type"], &done["name"]), (&json!("file"), &json!("b")));
    assert_ne!(done["id"], pending["id"]);
    assert!(done.get("state").is_none() && done.get("status").is_none(), "R5");
    house.clock.turn_seconds(24 * 3_600 + 1);
    assert_eq!(house.get(&path).key().send().await.problem(), (404, "not_found".into()));
}

#[tokio::test]
async fn a_copy_may_ask_by_return_type_and_with_a_link() {
    let house = House::new().await;
    let account = house.account("a").await;
    let file = house.file(account, "a.txt", b"hello").await;
    let path = format!(
        "/v1/accounts/{account}/storage/files/{file}/copy?return_type=task&link=true\
         &link_options=%7B%22direct%22:true%7D"
    );
    let reply = house.post(&path).key().json(json!({"parent_id": "root"})).send().await;
    let path = task(&reply);
    run(&house).await;
    let done = house.get(&path).key().send().await.json();
    assert_eq!(done["name"], "a (1).txt");
    let link = done["link"].as_str().unwrap().strip_prefix(BASE).unwrap();
    assert_eq!(house.get(link).send().await.text(), "hello");
}

#[tokio::test]
async fn what_returns_nothing_is_204_and_what_fails_is_its_own_error() {
    let house = House::new().await;
    let account = house.account("a").await;
    let file = house.file(account, "a.txt", b"x").await;
    house.file(account, "b.txt", b"y").await;
    let of = format!("/v1/accounts/{account}/storage/files/{file}");
    let ask = |method: Method| house.ask(method, &of).key().header("X-Kloudless-Async", "True");
    let moved = ask(Method::PATCH).json(json!({"name": "b.txt"})).send().await;
    let moved = task(&moved);
    run(&house).await;
    let failed = house.get(&moved).key().send().await;
    assert_eq!(failed.problem(), (409, "naming_conflict".into()));
    assert!(failed.json()["conflicting_resource_id"].is_string());
    let asked_id = failed.header("x-request-id").to_owned();
    assert_ne!(failed.json()["id"], asked_id.as_str(), "the id is that of the failed work");
    let deleted = task(&ask(Method::DELETE).send().await);
    run(&house).await;
    let done = house.get(&deleted).key().send().await;
    assert_eq!((done.status.as_u16(), done.bytes.len()), (204, 0));
    assert_eq!(names(&house, account, "root").await, ["b.txt"]);
}

#[tokio::test]
async fn uploads_of_every_form_run_as_tasks_and_leave_nothing_on_disk() {
    let house = House::new().await;
    let account = house.account("a").await;
    let files = format!("/v1/accounts/{account}/storage/files");
    let ask = || house.post(&files).key().header("x-kloudless-async", "1");
    let binary = ask()
        .header("x-kloudless-metadata", r#"{"parent_id":"root","name":"binary"}"#)
        .body("one")
        .send()
        .await;
    let form = "--b\r\nContent-Disposition: form-data; name=\"file\"\r\n\r\ntwo\r\n--b\r\n\
                Content-Disposition: form-data; name=\"metadata\"\r\n\r\n\
                {\"parent_id\":\"root\",\"name\":\"form\"}\r\n--b--";
    let form =
        ask().header("content-type", "multipart/form-data; boundary=b").body(form).send().await;
    let url = ask()
        .json(json!({"url": "https://e.example/x", "parent_id": "root", "name": "url"}))
        .send()
        .await;
    assert_eq!(url.json()["info"]["operation"], "upload_from_url");
    house.outside.answers(|_| (200, b"three".to_vec()));
    assert_eq!(run(&house).await, 3);
    for (reply, name, content) in
        [(binary, "binary", "one"), (form, "form", "two"), (url, "url", "three")]
    {
        let done = house.get(&task(&reply)).key().send().await;
        assert_eq!(done.status, 200, "{}", done.text());
        let done = done.json();
        assert_eq!(done["name"], name);
        let path = done["href"].as_str().unwrap().strip_prefix(BASE).unwrap();
        assert_eq!(house.get(&format!("{path}/contents")).key().send().await.text(), content);
    }
    let left = std::fs::read_dir(house.app().spool().dir().join("tasks")).unwrap().count();
    assert_eq!(left, 0);
    let bad = ask().body("not json").send().await;
    assert_eq!(bad.problem(), (400, "bad_request".into()));
}

#[tokio::test]
async fn folder_work_tells_the_outcome_of_each_item() {
    let house = House::new().await;
    let account = house.account("a").await;
    let other = house.account("b").await;
    let plans = folder(&house, account, "Plans", "root").await;
    let mut ids = Vec::new();
    for name in ["1", "2", "3"] {
        let metadata = json!({"parent_id": plans, "name": name}).to_string();
        let path = format!("/v1/accounts/{account}/storage/files");
        let ask = house.post(&path).key().header("x-kloudless-metadata", metadata).body("xyz");
        ids.push(ask.send().await.json()["id"].as_str().unwrap().to_owned());
    }
    let native = tramontane_model::ResourceId::parse(&ids[1]).unwrap().native;
    house.memory.forbid_download(account, &native).unwrap();
    let path = format!("/v1/accounts/{account}/storage/folders/{plans}/copy");
    let body = json!({"parent_id": "root", "account": other.number()});
    let reply = house.post(&path).key().header("x-kloudless-async", "true").json(body).send().await;
    let path = task(&reply);
    run(&house).await;
    let done = house.get(&path).key().send().await;
    assert_eq!(done.status, 200, "{}", done.text());
    let done = done.json();
    assert_eq!(done["account"], other.number());
    assert_eq!(names(&house, other, done["id"].as_str().unwrap()).await, ["1", "3"]);
    let items = house.get(&format!("{path}/items")).key().send().await.json();
    let objects = items["objects"].as_array().unwrap();
    let left_out: Vec<_> = objects.iter().filter(|item| item["status"] != "done").collect();
    assert_eq!(left_out.len(), 1, "{items}");
    assert_eq!((&left_out[0]["name"], &left_out[0]["item"]), (&json!("2"), &json!(ids[1])));
    assert!(left_out[0]["error"]["error_code"].is_string());
    let status = left_out[0]["status"].as_str().unwrap();
    let filtered = house.get(&format!("{path}/items?status={status}")).key().send().await.json();
    assert_eq!(filtered["total"], 1);
    let bad = house.get(&format!("{path}/items?status=maybe")).key().send().await;
    assert_eq!(bad.problem(), (400, "invalid_parameters".into()));
}

#[tokio::test]
async fn tasks_are_listed_filtered_and_cancelled() {
    let house = House::new().await;
    let account = house.account("a").await;
    let file = house.file(account, "a.txt", b"x").await;
    let to = |name: &str| json!({"parent_id": "root", "name": name});
    let first = task(&copying(&house, account, &file, to("1")).await);
    run(&house).await;
    house.clock.turn_seconds(1);
    let second = task(&copying(&house, account, &file, to("2")).await);
    let tasks = format!("/v1/accounts/{account}/tasks");
    let list = house.get(&tasks).key().send().await.json();
    assert_eq!((&list["total"], &list["api"]), (&json!(2), &json!("core")));
    assert_eq!(list["objects"][0]["href"], format!("{BASE}{second}"), "the newest first");
    let waiting = house.get(&format!("{tasks}?state=pending")).key().send().await.json();
    assert_eq!(waiting["total"], 1);
    let bad = house.get(&format!("{tasks}?state=lost")).key().send().await;
    assert_eq!(bad.problem(), (400, "invalid_parameters".into()));

    assert_eq!(house.delete(&second).key().send().await.status, 204);
    let gone = house.get(&second).key().send().await;
    assert_eq!(gone.problem(), (400, "request_failed".into()));
    assert_eq!(run(&house).await, 0);
    assert_eq!(house.delete(&first).key().send().await.status, 204, "it has ended: nothing to do");
    assert_eq!(house.get(&first).key().send().await.status, 200);
    let other = house.account("b").await;
    let foreign = first.replace(&account.to_string(), &other.to_string());
    for method in [Method::GET, Method::DELETE] {
        let reply = house.ask(method, &foreign).key().send().await;
        assert_eq!(reply.problem(), (404, "not_found".into()));
    }
}

#[tokio::test]
async fn only_storage_writes_run_as_tasks_and_only_when_asked() {
    let house = House::new().await;
    let account = house.account("a").await;
    let file = house.file(account, "a.txt", b"x").await;
    let of = format!("/v1/accounts/{account}/storage/files/{file}");
    let read = house.get(&of).key().header("x-kloudless-async", "true").send().await;
    assert_eq!(read.status, 200);
    let body = json!({"name": "b.txt"});
    for (value, status) in [("false", 200), ("", 200), ("maybe", 400)] {
        let ask = house.patch(&of).key().header("x-kloudless-async", value).json(body.clone());
        assert_eq!(ask.send().await.status, status, "{value}");
    }
    let account_path = format!("/v1/accounts/{account}");
    let ask = house.patch(&account_path).key().header("x-kloudless-async", "true");
    assert_eq!(ask.json(json!({})).send().await.status, 200);
    let unknown = house.post(&format!("{of}/copy")).auth("Bearer tmb_no");
    let unknown = unknown.header("x-kloudless-async", "true").json(json!({})).send().await;
    assert_eq!(unknown.problem(), (403, "forbidden".into()), "the credential comes first");
    let tasks = house.get(&format!("{account_path}/tasks")).key().send().await.json();
    assert_eq!(tasks["total"], 0);
}

#[tokio::test]
async fn a_limited_token_keeps_its_limits_in_its_tasks() {
    let house = House::new().await;
    let account = house.account("a").await;
    let plans = folder(&house, account, "Plans", "root").await;
    let tokens = format!("/v1/accounts/{account}/tokens");
    let body = json!({"access": [format!("storage:write@{plans}")]});
    let token = house.post(&tokens).key().json(body).send().await.json();
    let auth = format!("Bearer {}", token["access_token"].as_str().unwrap());
    let make = |parent: String| {
        let ask = house.post("/v1/accounts/me/storage/folders").auth(&auth);
        let ask = ask.header("x-kloudless-async", "true");
        ask.json(json!({"name": "x", "parent_id": parent}))
    };
    let outside = task(&make("root".into()).send().await);
    let inside = task(&make(plans.clone()).send().await);
    run(&house).await;
    let outside = house.get(&outside).key().send().await;
    assert_eq!(outside.problem(), (403, "permission_denied".into()));
    assert_eq!(house.get(&inside).key().send().await.status, 200);
}

async fn stuck() -> (House, Stuck) {
    let stuck = Stuck::new();
    let house = House::built(ApiLimits::default(), vec![Arc::new(stuck.clone())], None).await;
    (house, stuck)
}

/// Begins what is due, lets the server die where the service has stopped, and lets another one go on.
async fn dies_and_goes_on(house: &House, stuck: &Stuck, point: Point) {
    stuck.stop_at(point);
    let (tasks, dead) = (house.app().tasks().clone(), executor(house));
    let server = tokio::spawn(async move { tasks.run_due(&dead).await });
    stuck.stopped().await;
    server.abort();
    assert!(server.await.is_err());
    house.clock.turn_seconds(61);
    assert_eq!(run(house).await, 1);
}

#[tokio::test]
async fn a_copy_over_which_the_server_dies_is_made_once() {
    for point in [Point::Before(Op::FileCopy), Point::After(Op::FileCopy)] {
        let (house, service) = stuck().await;
        let account = house.account_of("stuck", "a").await;
        let file = house.file(account, "a.txt", b"hello").await;
        let path = task(&copying(&house, account, &file, json!({"parent_id": "root"})).await);
        dies_and_goes_on(&house, &service, point).await;
        let done = house.get(&path).key().send().await;
        assert_eq!(done.json()["name"], "a (1).txt", "{point:?}: {}", done.text());
        assert_eq!(names(&house, account, "root").await, ["a (1).txt", "a.txt"], "{point:?}");
    }
}

#[tokio::test]
async fn an_upload_over_which_the_server_dies_is_made_once() {
    for point in [Point::Before(Op::FileCreate), Point::After(Op::FileCreate)] {
        for conflict in ["rename", "fail", "replace"] {
            let (house, service) = stuck().await;
            let account = house.account_of("stuck", "a").await;
            let path = format!("/v1/accounts/{account}/storage/files?conflict={conflict}");
            let ask = house.post(&path).key().header("x-kloudless-async", "true");
            let ask = ask.header("x-kloudless-metadata", r#"{"parent_id":"root","name":"a.txt"}"#);
            let path = task(&ask.body("hello").send().await);
            dies_and_goes_on(&house, &service, point).await;
            let done = house.get(&path).key().send().await;
            assert_eq!(done.status, 200, "{point:?} {conflict}: {}", done.text());
            assert_eq!(names(&house, account, "root").await, ["a.txt"], "{point:?} {conflict}");
            let path = done.json()["href"].as_str().unwrap().strip_prefix(BASE).unwrap().to_owned();
            let content = house.get(&format!("{path}/contents")).key().send().await;
            assert_eq!(content.text(), "hello");
        }
    }
}

#[tokio::test]
async fn someone_elses_file_under_the_name_is_not_taken_for_the_tasks_own() {
    let (house, service) = stuck().await;
    let account = house.account_of("stuck", "a").await;
    let path = format!("/v1/accounts/{account}/storage/files");
    let ask = house.post(&path).key().header("x-kloudless-async", "true");
    let ask = ask.header("x-kloudless-metadata", r#"{"parent_id":"root","name":"a.txt"}"#);
    let path = task(&ask.body("hello").send().await);
    service.stop_at(Point::Before(Op::FileCreate));
    let (tasks, dead) = (house.app().tasks().clone(), executor(&house));
    let server = tokio::spawn(async move { tasks.run_due(&dead).await });
    service.stopped().await;
    server.abort();
    let _ = server.await;
    house.file(account, "a.txt", b"someone else's").await;
    house.clock.turn_seconds(61);
    run(&house).await;
    let done = house.get(&path).key().send().await.json();
    assert_eq!(done["name"], "a (1).txt");
}

#[tokio::test]
async fn a_move_to_another_account_over_which_the_server_dies_is_finished() {
    for point in [
        Point::Before(Op::FileCreate),
        Point::After(Op::FileCreate),
        Point::Before(Op::FileDelete),
        Point::After(Op::FileDelete),
    ] {
        let (house, service) = stuck().await;
        let (from, to) =
            (house.account_of("stuck", "a").await, house.account_of("stuck", "b").await);
        let file = house.file(from, "a.txt", b"hello").await;
        let path = format!("/v1/accounts/{from}/storage/files/{file}");
        let ask = house.patch(&path).key().header("x-kloudless-async", "true");
        let path = task(&ask.json(json!({"account": to.number()})).send().await);
        dies_and_goes_on(&house, &service, point).await;
        let done = house.get(&path).key().send().await;
        assert_eq!(done.status, 200, "{point:?}: {}", done.text());
        assert_eq!(done.json()["account"], to.number());
        assert_eq!(names(&house, from, "root").await, Vec::<String>::new(), "{point:?}");
        assert_eq!(names(&house, to, "root").await, ["a.txt"], "{point:?}");
    }
}

#[tokio::test]
async fn a_rename_over_which_the_server_dies_is_finished() {
    for point in [Point::Before(Op::FileMove), Point::After(Op::FileMove)] {
        let (house, service) = stuck().await;
        let account = house.account_of("stuck", "a").await;
        let file = house.file(account, "a.txt", b"hello").await;
        let path = format!("/v1/accounts/{account}/storage/files/{file}");
        let ask = house.patch(&path).key().header("x-kloudless-async", "true");
        let path = task(&ask.json(json!({"name": "b.txt"})).send().await);
        dies_and_goes_on(&house, &service, point).await;
        let done = house.get(&path).key().send().await;
        assert_eq!(
            (done.status.as_u16(), &done.json()["name"]),
            (200, &json!("b.txt")),
            "{point:?}"
        );
        assert_eq!(names(&house, account, "root").await, ["b.txt"]);
    }
}

#[tokio::test]
async fn a_folder_that_was_made_when_the_server_died_is_the_tasks_own() {
    let (house, service) = stuck().await;
    let account = house.account_of("stuck", "a").await;
    folder(&house, account, "Plans", "root").await;
    let path = format!("/v1/accounts/{account}/storage/folders?conflict=rename");
    let ask = house.post(&path).key().header("x-kloudless-async", "true");
    let path = task(&ask.json(json!({"name": "Plans"})).send().await);
    dies_and_goes_on(&house, &service, Point::After(Op::FolderCreate)).await;
    assert_eq!(house.get(&path).key().send().await.json()["name"], "Plans (1)");
    assert_eq!(names(&house, account, "root").await, ["Plans", "Plans (1)"]);
}

#[tokio::test]
async fn a_copy_of_a_folder_goes_on_where_the_server_died() {
    let (house, service) = stuck().await;
    let (from, to) = (house.account_of("stuck", "a").await, house.account_of("stuck", "b").await);
    let plans = folder(&house, from, "Plans", "root").await;
    for name in ["1", "2", "3"] {
        let metadata = json!({"parent_id": plans, "name": name}).to_string();
        let path = format!("/v1/accounts/{from}/storage/files");
        house.post(&path).key().header("x-kloudless-metadata", metadata).body("x").send().await;
    }
    let path = format!("/v1/accounts/{from}/storage/folders/{plans}/copy");
    let ask = house.post(&path).key().header("x-kloudless-async", "true");
    let body = json!({"parent_id": "root", "account": to.number()});
    let path = task(&ask.json(body).send().await);
    dies_and_goes_on(&house, &service, Point::After(Op::FileCreate)).await;
    let done = house.get(&path).key().send().await;
    assert_eq!(done.status, 200, "{}", done.text());
    assert_eq!(names(&house, to, "root").await, ["Plans"]);
    assert_eq!(names(&house, to, done.json()["id"].as_str().unwrap()).await, ["1", "2", "3"]);
}

#[tokio::test]
async fn a_batch_runs_in_order_and_is_not_atomic() {
    let house = House::new().await;
    let account = house.account("a").await;
    let file = house.file(account, "a.txt", b"x").await;
    let path = format!("/v1/accounts/{account}/storage/batch");
    let body = json!({"requests": [
        {"id": "1", "method": "POST", "path": "/storage/folders", "body": {"name": "Plans"}},
        {"id": "2", "method": "GET", "path": "storage/files/file_bm9wZQ"},
        {"method": "patch", "path": format!("/storage/files/{file}"), "body": {"name": "b.txt"}},
        {"id": 4, "method": "GET", "path": "/storage/folders/root/contents",
         "query": {"page_size": 1000, "types": "folder"}},
        {"id": "5", "method": "DELETE", "path": format!("/storage/files/{file}")},
        {"id": "6", "method": "GET", "path": format!("/storage/files/{file}/contents")},
        {"id": "7", "method": "POST", "path": "/storage/batch", "body": {"requests": []}},
        {"id": "8", "method": "TRACE", "path": "/storage/folders/root"},
        {"id": "9", "method": "GET", "path": "/tokens"},
        {"id": "10", "method": "GET", "path": "/storage/../../1/storage/folders/root"},
    ]});
    let reply = house.post(&path).key().json(body).send().await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    let reply = reply.json();
    let good: Vec<_> =
        reply["responses"].as_array().unwrap().iter().map(|one| one["id"].clone()).collect();
    assert_eq!(good, [json!("1"), json!("3"), json!(4), json!("5")]);
    assert_eq!(reply["responses"][0]["status"], 201);
    assert_eq!(reply["responses"][2]["body"]["objects"][0]["name"], "Plans");
    assert_eq!(
        (&reply["responses"][3]["status"], &reply["responses"][3]["body"]),
        (&json!(204), &Value::Null)
    );
    let bad: Vec<_> = reply["errors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| (one["id"].as_str().unwrap(), one["status_code"].as_u64().unwrap()))
        .collect();
    assert_eq!(bad, [("2", 404), ("6", 400), ("7", 400), ("8", 400), ("9", 400), ("10", 404)]);
    for bad in [json!({}), json!({"requests": []}), json!({"requests": vec![json!({}); 101]})] {
        let reply = house.post(&path).key().json(bad).send().await;
        assert_eq!(reply.problem(), (400, "invalid_parameters".into()));
    }
}

#[tokio::test]
async fn a_batch_goes_on_as_a_task_after_the_server_died() {
    let (house, service) = stuck().await;
    let account = house.account_of("stuck", "a").await;
    let make = |name: &str| {
        json!({"id": name, "method": "POST", "path": "/storage/folders",
               "query": {"conflict": "rename"}, "body": {"name": name}})
    };
    let path = format!("/v1/accounts/{account}/storage/batch");
    let ask = house.post(&path).key().header("x-kloudless-async", "true");
    let body = json!({"requests": [make("1"), make("2"), make("3")]});
    let path = task(&ask.json(body).send().await);
    // The first is done and noted; the server dies over the second, which the service has done.
    service.stop_at(Point::After(Op::FolderCreate));
    let first = {
        let (tasks, dead) = (house.app().tasks().clone(), executor(&house));
        tokio::spawn(async move { tasks.run_due(&dead).await })
    };
    service.stopped().await;
    first.abort();
    let _ = first.await;
    house.clock.turn_seconds(61);
    assert_eq!(run(&house).await, 1);
    let done = house.get(&path).key().send().await.json();
    assert_eq!(done["errors"][0]["id"], "1", "whether it was done cannot be told: {done}");
    assert_eq!(done["responses"].as_array().unwrap().len(), 2);
    assert_eq!(names(&house, account, "root").await, ["1", "2", "3"], "nothing was done twice");
    let items = house.get(&format!("{path}/items")).key().send().await.json();
    assert_eq!(items["total"], 3);
}
