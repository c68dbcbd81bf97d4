//! First run, applications, keys, service keys.

use secrecy::{ExposeSecret as _, SecretString};
use serde_json::json;
use tramontane_accounts::{Error, NewApplication, NewKey, NewServiceKey};
use tramontane_store::scratch::on_each_engine;
use tramontane_store::sites::{self, TrustedDomain};
use tramontane_store::{Slice, service_keys};

use crate::house::House;

#[tokio::test]
async fn the_first_run_happens_once() {
    on_each_engine(|scratch| async {
        let house = House::on(scratch).await;
        assert!(house.app().len() >= 20 && house.app().len() <= 64);
        assert!(house.first.api_key.expose_secret().starts_with("tmk_"));
        assert!(house.first.meta_token.expose_secret().starts_with("tmm_"));
        let shell = house.other_process().await;
        for directory in [&house.directory, &shell] {
            let again = directory.first_run("someone@localhost", "again").await.unwrap();
            assert!(again.is_none());
            assert_eq!(directory.operator().await.unwrap(), house.first.developer);
        }
        let all = house.directory.all_applications(Slice::ALL).await.unwrap();
        assert_eq!(all, std::slice::from_ref(&house.first.application));
        shell.db().close().await;
        house.leave().await
    })
    .await;
}

#[tokio::test]
async fn keys_are_shown_again_because_they_are_sealed_and_delete_by_value() {
    on_each_engine(|scratch| async {
        let house = House::on(scratch).await;
        let (directory, app) = (&house.directory, house.app());
        house.clock.turn_seconds(1);
        let second = directory.create_key(app, &NewKey::default()).await.unwrap();
        let shown = directory.api_keys(app).await.unwrap();
        let texts: Vec<&str> =
            shown.iter().map(|key| key.key.as_ref().unwrap().expose_secret()).collect();
        let first = house.first.api_key.expose_secret();
        assert_eq!(texts, [first, second.key.expose_secret()]);
        assert!(!format!("{shown:?}").contains(first));
        assert_eq!(directory.signing_key(app).await.unwrap().expose_secret(), first);
        directory.delete_key(app, first).await.unwrap();
        let signing = directory.signing_key(app).await.unwrap();
        assert_eq!(signing.expose_secret(), second.key.expose_secret());
        directory.delete_key(app, &second.row.id).await.unwrap();
        let none = directory.signing_key(app).await.unwrap_err();
        assert!(matches!(none, Error::NotFound("API key")));
        let gone = directory.delete_key(app, first).await.unwrap_err();
        assert!(matches!(gone, Error::NotFound("API key")));
        let nowhere = directory.create_key("no-such-app", &NewKey::default()).await.unwrap_err();
        assert!(matches!(nowhere, Error::NotFound("application")));
        house.leave().await
    })
    .await;
}

#[tokio::test]
async fn an_application_is_changed_by_its_developer_alone() {
    on_each_engine(|scratch| async {
        let house = House::on(scratch).await;
        let (directory, app) = (&house.directory, house.app());
        let owner = house.first.developer.id;
        let stranger = directory.create_developer("b@example.com", "B", "").await.unwrap();
        let twice = directory.create_developer("b@example.com", "B", "").await.unwrap_err();
        assert!(matches!(twice, Error::Invalid { ref field, .. } if field == "email"));
        let refused = directory.application(stranger.id, app).await.unwrap_err();
        assert!(matches!(refused, Error::NotFound("application")));
        let change = directory.update_application(stranger.id, app, |row| row.active = false);
        assert!(matches!(change.await.unwrap_err(), Error::NotFound("application")));
        let delete = directory.delete_application(stranger.id, app).await.unwrap_err();
        assert!(matches!(delete, Error::NotFound("application")));
        for bad in ["", "\0", &"x".repeat(201)] {
            let change = directory.update_application(owner, app, |row| row.name = bad.into());
            assert!(matches!(change.await.unwrap_err(), Error::Invalid { .. }));
        }
        let name = "é".repeat(200);
        let changed = directory.update_application(owner, app, |row| row.name.clone_from(&name));
        assert_eq!(changed.await.unwrap().name, name);
        let seen = directory.application_by_id(app).await.unwrap().unwrap();
        assert_eq!(seen.name, name);
        assert_eq!(directory.applications(owner, Some(true), Slice::ALL).await.unwrap().1, 1);
        house.leave().await
    })
    .await;
}

#[tokio::test]
async fn a_copy_of_an_application_has_its_flags_sites_and_service_keys() {
    on_each_engine(|scratch| async {
        let house = House::on(scratch).await;
        let (directory, app) = (&house.directory, house.app());
        let owner = house.first.developer.id;
        directory.update_application(owner, app, |row| row.events_enabled = false).await.unwrap();
        let domain = TrustedDomain {
            id: "d".into(),
            application: app.into(),
            domain: "www.example.com".into(),
            created: 1,
            modified: 1,
        };
        sites::insert_domain(directory.db(), &domain).await.unwrap();
        let new = NewServiceKey {
            service: "gdrive".into(),
            admin: false,
            client_id: "client".into(),
            client_secret: Some(SecretString::from("hush")),
            scopes: Some(json!(["a"])),
        };
        let original = directory.create_service_key(app, &new).await.unwrap();
        let twin = directory.create_service_key(app, &new).await.unwrap_err();
        assert!(matches!(twin, Error::Invalid { ref field, .. } if field == "service"));

        let copy = NewApplication {
            name: "copy".into(),
            source: Some(app.into()),
            ..NewApplication::default()
        };
        let (copy, _) = directory.create_application(owner, copy).await.unwrap();
        assert!(!copy.events_enabled);
        let domains = sites::list_domains(directory.db(), &copy.id).await.unwrap();
        assert_eq!(domains[0].domain, "www.example.com");
        let keys = service_keys::list(directory.db(), &copy.id).await.unwrap();
        assert_ne!(keys[0].id, original.id);
        let secret = directory.client_secret(&keys[0]).await.unwrap().unwrap();
        assert_eq!(secret.expose_secret(), "hush");

        let changed = SecretString::from("shh");
        let change =
            directory.update_service_key(app, &original.id, Some("c2"), Some(Some(&changed)), None);
        let row = change.await.unwrap();
        assert_eq!((row.client_id.as_str(), &row.scopes), ("c2", &Some(json!(["a"]))));
        let secret = directory.client_secret(&row).await.unwrap().unwrap();
        assert_eq!(secret.expose_secret(), "shh");
        let cleared = directory.update_service_key(app, &original.id, None, Some(None), None);
        assert!(directory.client_secret(&cleared.await.unwrap()).await.unwrap().is_none());

        let stranger = directory.create_developer("b@example.com", "", "").await.unwrap();
        let theft = NewApplication {
            name: "theft".into(),
            source: Some(app.into()),
            ..NewApplication::default()
        };
        let refused = directory.create_application(stranger.id, theft).await.unwrap_err();
        assert!(matches!(refused, Error::Invalid { ref field, .. } if field == "source"));
        let nobody = NewApplication { name: "x".into(), ..NewApplication::default() };
        let refused = directory.create_application(999, nobody).await.unwrap_err();
        assert!(matches!(refused, Error::NotFound("developer")));
        house.leave().await
    })
    .await;
}
