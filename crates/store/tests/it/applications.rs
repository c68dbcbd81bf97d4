//! Developers, applications and what hangs on them.

use serde_json::json;
use tramontane_store::developers::MetaToken;
use tramontane_store::locations::Location;
use tramontane_store::scratch::on_each_engine;
use tramontane_store::service_keys::ServiceKey;
use tramontane_store::sites::{RedirectUri, TrustedDomain};
use tramontane_store::webhooks::Webhook;
use tramontane_store::{
    Slice, accounts, applications, developers, keys, locations, service_keys, sites, webhooks,
};

use crate::rows;

#[tokio::test]
async fn developers_and_meta_tokens_come_back_as_they_were_written() {
    on_each_engine(|scratch| async {
        let db = &scratch.db;
        let row = rows::developer(31);
        developers::insert(db, &row).await.unwrap();
        assert_eq!(developers::find(db, 31).await.unwrap(), Some(row.clone()));
        let found = developers::find_by_email(db, "dev31@example.com").await.unwrap();
        assert_eq!(found, Some(row.clone()));
        assert_eq!(developers::find_by_email(db, "none").await.unwrap(), None);
        assert!(developers::rename(db, 31, "Bé", "", 11).await.unwrap());
        assert!(!developers::rename(db, 32, "x", "y", 11).await.unwrap());
        assert_eq!(developers::find(db, 31).await.unwrap().unwrap().first_name, "Bé");

        let token = MetaToken {
            id: "mt".into(),
            developer: 31,
            hash: "h".into(),
            label: "laptop".into(),
            created: 1,
            expires: Some(i64::MAX),
            revoked: None,
        };
        developers::insert_token(db, &token).await.unwrap();
        assert_eq!(developers::find_token(db, "h").await.unwrap(), Some(token.clone()));
        assert_eq!(developers::list_tokens(db, 31).await.unwrap(), [token]);
        assert_eq!(developers::revoke_token(db, 32, "mt", 5).await.unwrap(), None);
        let hash = developers::revoke_token(db, 31, "mt", 5).await.unwrap();
        assert_eq!(hash.as_deref(), Some("h"));
        assert_eq!(developers::find_token(db, "h").await.unwrap(), None);
        scratch
    })
    .await;
}

#[tokio::test]
async fn an_application_is_seen_by_its_developer_alone() {
    on_each_engine(|scratch| async {
        let db = &scratch.db;
        rows::populate(db).await;
        assert!(applications::find_of(db, 1, "app-a").await.unwrap().is_some());
        assert_eq!(applications::find_of(db, 2, "app-a").await.unwrap(), None);
        let mut row = applications::find(db, "app-a").await.unwrap().unwrap();
        assert_eq!(row, rows::application(1, "app-a"));
        row.active = false;
        row.name = "Notes 2".into();
        row.settings = json!({"token_lifetime": 3600, "é": "\"'"});
        assert!(applications::update(db, &row).await.unwrap());
        assert_eq!(applications::find(db, "app-a").await.unwrap(), Some(row.clone()));
        row.developer = 2;
        assert!(!applications::update(db, &row).await.unwrap());
        let listed = |active| applications::list(db, 1, active, Slice::ALL);
        assert_eq!(listed(None).await.unwrap().len(), 1);
        assert_eq!(listed(Some(true)).await.unwrap().len(), 0);
        assert_eq!(listed(Some(false)).await.unwrap().len(), 1);
        assert_eq!(applications::count(db, 1, Some(false)).await.unwrap(), 1);
        assert_eq!(applications::list_all(db, Slice::first(1)).await.unwrap().len(), 1);
        assert_eq!(applications::list_all(db, Slice::ALL).await.unwrap().len(), 2);
        scratch
    })
    .await;
}

#[tokio::test]
async fn deleting_an_application_ends_all_it_had() {
    on_each_engine(|scratch| async {
        let db = &scratch.db;
        rows::populate(db).await;
        assert_eq!(applications::delete(db, 2, "app-a", 50).await.unwrap(), None);
        let remains = applications::delete(db, 1, "app-a", 50).await.unwrap().unwrap();
        assert_eq!(remains.iter().map(|left| left.account).collect::<Vec<_>>(), [1, 2]);
        assert_eq!(applications::find(db, "app-a").await.unwrap(), None);
        assert_eq!(applications::delete(db, 1, "app-a", 51).await.unwrap(), None);
        assert_eq!(keys::list(db, "app-a").await.unwrap(), []);
        assert_eq!(accounts::find(db, 1).await.unwrap(), None);
        assert!(accounts::find(db, 3).await.unwrap().is_some());
        scratch
    })
    .await;
}

#[tokio::test]
async fn api_keys_are_found_by_hash_and_deleted_by_id_or_hash() {
    on_each_engine(|scratch| async {
        let db = &scratch.db;
        rows::populate(db).await;
        let mut second = rows::api_key("app-a", "k2");
        second.access = Some("storage:read".into());
        second.expires = Some(99);
        second.created = 31;
        keys::insert(db, &second).await.unwrap();
        assert_eq!(keys::find_by_hash(db, "hash of k2").await.unwrap(), Some(second.clone()));
        assert_eq!(keys::list(db, "app-a").await.unwrap().len(), 2);
        let off = keys::set_active(db, "app-a", "k2", false, 60).await.unwrap();
        assert_eq!(off.as_deref(), Some("hash of k2"));
        assert!(!keys::find_by_hash(db, "hash of k2").await.unwrap().unwrap().active);
        assert_eq!(keys::delete(db, "app-b", "k2").await.unwrap(), None);
        assert!(keys::delete(db, "app-a", "hash of k2").await.unwrap().is_some());
        assert!(keys::delete(db, "app-a", "key of app-a").await.unwrap().is_some());
        assert_eq!(keys::list(db, "app-a").await.unwrap(), []);
        let unsealed = tramontane_store::keys::ApiKey {
            key_id: "ffffffffffffffff".into(),
            ..rows::api_key("app-a", "k3")
        };
        assert!(keys::insert(db, &unsealed).await.unwrap_err().is_gone());
        scratch
    })
    .await;
}

#[tokio::test]
async fn sites_webhooks_and_service_keys_belong_to_one_application() {
    on_each_engine(|scratch| async {
        let db = &scratch.db;
        rows::populate(db).await;
        let redirect = RedirectUri {
            id: "r".into(),
            application: "app-a".into(),
            url: "https://a.example.com/cb".into(),
            created: 1,
            modified: 1,
        };
        sites::insert_redirect(db, &redirect).await.unwrap();
        assert_eq!(
            sites::list_redirects(db, "app-a").await.unwrap(),
            std::slice::from_ref(&redirect)
        );
        assert_eq!(sites::find_redirect(db, "app-b", "r").await.unwrap(), None);
        assert!(!sites::delete_redirect(db, "app-b", "r").await.unwrap());
        assert!(sites::delete_redirect(db, "app-a", "r").await.unwrap());

        let domain = TrustedDomain {
            id: "d".into(),
            application: "app-a".into(),
            domain: "www.example.com".into(),
            created: 1,
            modified: 1,
        };
        sites::insert_domain(db, &domain).await.unwrap();
        assert_eq!(sites::list_domains(db, "app-a").await.unwrap(), std::slice::from_ref(&domain));
        assert_eq!(sites::find_domain(db, "app-a", "d").await.unwrap(), Some(domain));
        assert!(!sites::delete_domain(db, "app-b", "d").await.unwrap());
        assert!(sites::delete_domain(db, "app-a", "d").await.unwrap());

        let mut hook = Webhook {
            id: "w".into(),
            application: "app-a".into(),
            url: "https://a.example.com/hook".into(),
            active: true,
            settings: json!({"format": "compatible"}),
            created: 1,
            modified: 1,
        };
        webhooks::insert(db, &hook, None, &[1]).await.unwrap();
        hook.active = false;
        assert!(webhooks::update(db, &hook).await.unwrap());
        assert_eq!(webhooks::find(db, "app-a", "w").await.unwrap(), Some(hook.clone()));
        assert_eq!(webhooks::find(db, "app-b", "w").await.unwrap(), None);
        assert_eq!(webhooks::list(db, "app-a").await.unwrap(), [hook]);
        assert!(webhooks::delete(db, "app-a", "w").await.unwrap());

        let mut key = ServiceKey {
            id: "s".into(),
            application: "app-a".into(),
            service: "gdrive".into(),
            admin: false,
            client_id: "c".into(),
            sealed: None,
            key_id: None,
            version: 1,
            scopes: None,
            created: 1,
            modified: 1,
        };
        service_keys::insert(db, &key).await.unwrap();
        assert_eq!(service_keys::find(db, "app-a", "s").await.unwrap(), Some(key.clone()));
        let twin = ServiceKey { id: "s2".into(), ..key.clone() };
        assert!(service_keys::insert(db, &twin).await.unwrap_err().is_taken());
        key.sealed = Some(vec![1]);
        key.key_id = Some(rows::KEY.into());
        key.scopes = Some(json!(["a", "b"]));
        assert!(service_keys::update(db, &key).await.unwrap());
        assert!(!service_keys::update(db, &key).await.unwrap(), "an old version");
        let stored = service_keys::list(db, "app-a").await.unwrap();
        assert_eq!(stored, [ServiceKey { version: 2, ..key }]);
        assert!(service_keys::delete(db, "app-a", "s").await.unwrap());
        scratch
    })
    .await;
}

fn location(id: &str, account: i64, created: i64) -> Location {
    Location {
        id: id.into(),
        application: "app-a".into(),
        account,
        folder_id: "root".into(),
        allow_subfolders: false,
        is_default: false,
        max_file_size: None,
        require_trusted_origin: false,
        created,
        modified: created,
    }
}

#[tokio::test]
async fn exactly_one_upload_location_is_the_default() {
    on_each_engine(|scratch| async {
        let db = &scratch.db;
        rows::populate(db).await;
        let default = || async {
            let all = locations::list(db, "app-a").await.unwrap();
            let mut defaults = all.into_iter().filter(|one| one.is_default).map(|one| one.id);
            (defaults.next(), defaults.next())
        };
        let foreign = Location { account: 3, ..location("x", 3, 1) };
        assert_eq!(locations::insert(db, &foreign).await.unwrap(), None);
        let first = locations::insert(db, &location("l1", 1, 1)).await.unwrap().unwrap();
        assert!(first.is_default);
        let second = locations::insert(db, &location("l2", 2, 2)).await.unwrap().unwrap();
        assert!(!second.is_default);
        assert_eq!(default().await, (Some("l1".into()), None));
        let moved = Location { is_default: true, max_file_size: Some(5), ..second };
        assert!(locations::update(db, &moved).await.unwrap());
        assert_eq!(default().await, (Some("l2".into()), None));
        let unset = Location { is_default: false, ..moved.clone() };
        assert!(locations::update(db, &unset).await.unwrap());
        assert_eq!(default().await, (Some("l2".into()), None));
        assert!(!locations::update(db, &Location { account: 3, ..moved }).await.unwrap());
        assert!(locations::delete(db, "app-a", "l2", 9).await.unwrap());
        assert_eq!(default().await, (Some("l1".into()), None));
        // The account of the default goes: another location takes over.
        locations::insert(db, &location("l3", 2, 3)).await.unwrap();
        accounts::delete(db, "app-a", 1, 10).await.unwrap();
        assert_eq!(default().await, (Some("l3".into()), None));
        assert!(locations::find(db, "app-b", "l3").await.unwrap().is_none());
        scratch
    })
    .await;
}
