//! Teams, and acting as a member (wire API, sections 12 and 38).

use serde_json::{Value, json};

use crate::house::House;

async fn admin(house: &House) -> String {
    let body = json!({"service": "memory", "account": "boss", "drive": "d", "admin": true});
    house.post("/v1/accounts").key().json(body).send().await.json()["id"].to_string()
}

fn names(list: &Value) -> Vec<&str> {
    list["objects"].as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn an_administrators_account_lists_members_and_groups() {
    let house = House::new().await;
    let team = format!("/v1/accounts/{}/team", admin(&house).await);
    let list = house.get(&format!("{team}/users?page_size=2")).key().send().await.json();
    assert_eq!(names(&list), ["Ana", "Ben"]);
    let first = &list["objects"][0];
    assert_eq!((first["type"].as_str(), first["api"].as_str()), (Some("user"), Some("team")));
    assert_eq!((first["role"].as_str(), first["emails"].clone()), (Some("member"), json!([])));
    let next = list["next_page"].as_str().unwrap();
    let rest = house.get(&format!("{team}/users?page_size=2&page={next}")).key().send().await;
    assert_eq!(names(&rest.json()), ["Ada"]);
    assert!(rest.json().get("next_page").is_none_or(Value::is_null));
    // A page token of one list is none of another.
    let other = house.get(&format!("{team}/groups?page={next}")).key().send().await;
    assert_eq!(other.problem(), (400, "invalid_parameters".into()));

    let id = first["id"].as_str().unwrap();
    let one = house.get(&format!("{team}/users/{id}")).key().send().await.json();
    assert_eq!(&one, first);
    let theirs = house.get(&format!("{team}/users/{id}/memberships")).key().send().await.json();
    assert_eq!(names(&theirs), ["Editors", "Everyone"]);
    let group = theirs["objects"][0]["id"].as_str().unwrap();
    let one = house.get(&format!("{team}/groups/{group}")).key().send().await.json();
    assert_eq!(one, theirs["objects"][0]);
    let members = house.get(&format!("{team}/groups/{group}/members")).key().send().await.json();
    assert_eq!(names(&members), ["Ana", "Ben"]);
    for unknown in ["users/user_dS0x", "users/x", "groups/group_dS0x", "groups/group_dS0x/members"]
    {
        let reply = house.get(&format!("{team}/{unknown}")).key().send().await;
        assert_eq!(reply.problem(), (404, "not_found".into()), "{unknown}");
    }
    // The id of a member is none of a group.
    let reply = house.get(&format!("{team}/groups/{id}")).key().send().await;
    assert_eq!(reply.problem(), (404, "not_found".into()));
}

#[tokio::test]
async fn a_users_own_account_has_no_team() {
    let house = House::new().await;
    let account = house.account("one").await;
    let reply = house.get(&format!("/v1/accounts/{account}/team/users")).key().send().await;
    assert_eq!(reply.problem(), (403, "forbidden".into()));
    let path = format!("/v1/accounts/{account}/capabilities");
    let told = house.get(&path).key().send().await.json();
    let team = &told["capabilities"]["team.users.list"];
    assert_eq!(
        (&team["result"], &team["reason"]["code"]),
        (&json!(false), &json!("admin_required"))
    );
    let path = format!("/v1/accounts/{}/capabilities", admin(&house).await);
    let told = house.get(&path).key().send().await.json();
    assert_eq!(
        told["capabilities"]["team.users.list"],
        json!({"result": true, "support": "native"})
    );
}

#[tokio::test]
async fn a_request_as_a_member_sees_what_the_member_sees() {
    let house = House::new().await;
    let account = admin(&house).await;
    let folders = format!("/v1/accounts/{account}/storage/folders");
    let (ana, ben) = ("user_dTE", "user_dTI");
    for name in ["one", "two"] {
        let body = json!({"parent_id": "root", "name": name});
        let made = house.post(&folders).key().header("X-Kloudless-As-User", ana).json(body);
        assert_eq!(made.send().await.status, 201);
    }
    let listed = |user: Option<&'static str>, query: String| {
        let request = house.get(&format!("{folders}/root/contents{query}")).key();
        match user {
            Some(user) => request.header("X-Kloudless-As-User", user),
            None => request,
        }
    };
    let first = listed(Some(ana), "?page_size=1".into()).send().await.json();
    assert_eq!(names(&first), ["one"]);
    assert!(names(&listed(Some(ben), String::new()).send().await.json()).is_empty());
    assert!(names(&listed(None, String::new()).send().await.json()).is_empty());
    // Page tokens are bound to the member.
    let page = format!("?page_size=1&page={}", first["next_page"].as_str().unwrap());
    assert_eq!(names(&listed(Some(ana), page.clone()).send().await.json()), ["two"]);
    let reply = listed(Some(ben), page).send().await;
    assert_eq!(reply.problem(), (400, "invalid_parameters".into()));
    let reply = listed(Some("user_dS0x"), String::new()).send().await;
    assert_eq!(reply.problem(), (404, "not_found".into()));
}
