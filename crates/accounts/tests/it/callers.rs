//! Who is let in, with what, and how fast a change is seen.

use secrecy::ExposeSecret as _;
use tramontane_accounts::{
    Access, Allowance, Caller, Directory, Error, Masters, NewKey, NewToken, Realm, Refusal, Verb,
};
use tramontane_model::AccountId;
use tramontane_store::scratch::on_each_engine;

use crate::house::{House, bearer, directory_on};

async fn refusal(directory: &Directory, header: &str, realm: Realm) -> Refusal {
    match directory.authenticate(Some(header), realm).await {
        Err(Error::Refused(refusal)) => refusal,
        other => panic!("{header} should be refused: {other:?}"),
    }
}

#[tokio::test]
async fn each_credential_opens_its_own_paths_and_no_others() {
    on_each_engine(|scratch| async {
        let house = House::on(scratch).await;
        let directory = &house.directory;
        let account = house.connect("ana@example.com").await;
        let token = house.token(&account, NewToken::default()).await;
        let (key, bearer) = (house.api_key(), bearer(&[&token]));
        let meta = house.first.meta_token.expose_secret();
        let (meta, old) = (format!("Bearer {meta}"), format!("DeveloperKey {meta}"));

        let caller = directory.authenticate(Some(&key), Realm::Accounts).await.unwrap();
        assert_eq!(caller.application().unwrap().id, house.app());
        assert_eq!(caller.me(), []);
        let caller = directory.authenticate(Some(&bearer), Realm::Accounts).await.unwrap();
        assert_eq!(caller.me(), [account.id()]);
        assert_eq!(caller.application().unwrap().id, house.app());
        for header in [&meta, &old] {
            let caller = directory.authenticate(Some(header), Realm::Management).await.unwrap();
            let Caller::Developer(developer) = caller else { panic!("{header}") };
            assert_eq!(developer.developer, house.first.developer.id);
        }
        for (header, realm, reason) in [
            (&key, Realm::Management, Refusal::WrongKind),
            (&bearer, Realm::Management, Refusal::Unknown),
            (&meta, Realm::Accounts, Refusal::Unknown),
            (&old, Realm::Accounts, Refusal::WrongKind),
        ] {
            assert_eq!(refusal(directory, header, realm).await, reason, "{header}");
        }
        let nothing = directory.authenticate(None, Realm::Accounts).await.unwrap_err();
        assert!(matches!(nothing, Error::Refused(Refusal::Missing)));
        // The key without its mark, with one letter more, or in capitals is another key.
        let text = house.first.api_key.expose_secret();
        for near in [format!("{text}A"), text.to_uppercase(), text[4..].to_owned()] {
            let header = format!("APIKey {near}");
            assert_eq!(refusal(directory, &header, Realm::Accounts).await, Refusal::Unknown);
        }
        house.leave().await
    })
    .await;
}

#[tokio::test]
async fn an_account_is_reached_by_its_own_token_and_its_applications_key_alone() {
    on_each_engine(|scratch| async {
        let house = House::on(scratch).await;
        let directory = &house.directory;
        let (ana, ben) = (house.connect("ana").await, house.connect("ben").await);
        let token = house.token(&ana, NewToken::default()).await;
        let developer = house.first.developer.id;
        let new = tramontane_accounts::NewApplication {
            name: "other".into(),
            ..tramontane_accounts::NewApplication::default()
        };
        let (_, other_key) = directory.create_application(developer, new).await.unwrap();
        let other_key = format!("APIKey {}", other_key.key.expose_secret());

        let own = directory.authenticate(Some(&house.api_key()), Realm::Accounts).await.unwrap();
        let foreign = directory.authenticate(Some(&other_key), Realm::Accounts).await.unwrap();
        let bearer = bearer(&[&token]);
        let ana_only = directory.authenticate(Some(&bearer), Realm::Accounts).await.unwrap();
        let nobody = AccountId::new(1).unwrap();
        assert_eq!(directory.account(&own, ben.id()).await.unwrap().row.display, "ben");
        assert_eq!(directory.account(&ana_only, ana.id()).await.unwrap().row.display, "ana");
        for (caller, id) in [(&foreign, ana.id()), (&own, nobody), (&foreign, nobody)] {
            let refused = directory.account(caller, id).await.unwrap_err();
            assert!(matches!(refused, Error::NotFound("account")), "{refused:?}");
        }
        for id in [ben.id(), nobody] {
            let refused = directory.account(&ana_only, id).await.unwrap_err();
            assert!(matches!(refused, Error::Refused(Refusal::OtherAccount)), "{refused:?}");
        }
        house.leave().await
    })
    .await;
}

#[tokio::test]
async fn several_tokens_open_several_accounts_in_the_order_given() {
    on_each_engine(|scratch| async {
        let house = House::on(scratch).await;
        let (ana, ben) = (house.connect("ana").await, house.connect("ben").await);
        let one = house.token(&ana, NewToken::default()).await;
        let two = house.token(&ben, NewToken::default()).await;
        let again = house.token(&ben, NewToken::default()).await;
        let header = bearer(&[&two, &one, &again]);
        let caller = house.directory.authenticate(Some(&header), Realm::Accounts).await.unwrap();
        assert_eq!(caller.me(), [ben.id(), ana.id()]);
        let header = format!("{header},tmb_unknown");
        let refused = refusal(&house.directory, &header, Realm::Accounts).await;
        assert_eq!(refused, Refusal::Unknown);
        house.leave().await
    })
    .await;
}

#[tokio::test]
async fn expiry_has_its_own_answer_and_comes_on_time_although_tokens_are_kept_in_memory() {
    on_each_engine(|scratch| async {
        let house = House::on(scratch).await;
        let account = house.connect("ana").await;
        let expires = house.directory.clock().now().plus_seconds(10).micros();
        let new = NewToken { expires: Some(expires), ..NewToken::default() };
        let token = house.token(&account, new).await;
        let limited = NewKey { expires: Some(expires), ..NewKey::default() };
        let key = house.directory.create_key(house.app(), &limited).await.unwrap().key;
        let (token, key) = (bearer(&[&token]), format!("APIKey {}", key.expose_secret()));
        for header in [&token, &key] {
            house.directory.authenticate(Some(header), Realm::Accounts).await.unwrap();
        }
        house.clock.turn_seconds(10);
        let refused = refusal(&house.directory, &token, Realm::Accounts).await;
        assert_eq!(refused, Refusal::TokenExpired);
        let refused = refusal(&house.directory, &key, Realm::Accounts).await;
        assert_eq!(refused, Refusal::KeyExpired);
        house.leave().await
    })
    .await;
}

#[tokio::test]
async fn what_is_revoked_or_switched_off_is_refused_at_once() {
    on_each_engine(|scratch| async {
        let house = House::on(scratch).await;
        let directory = &house.directory;
        let (app, developer) = (house.app(), house.first.developer.id);
        let account = house.connect("ana").await;
        let token = bearer(&[&house.token(&account, NewToken::default()).await]);
        let key = house.api_key();
        let spare = directory.create_key(app, &NewKey::default()).await.unwrap();
        let spare_header = format!("APIKey {}", spare.key.expose_secret());
        let enter = |header: String| async move {
            directory.authenticate(Some(&header), Realm::Accounts).await.map(|_| ())
        };
        for header in [&token, &key, &spare_header] {
            enter(header.clone()).await.unwrap();
        }

        directory.update_application(developer, app, |row| row.active = false).await.unwrap();
        for header in [&token, &key] {
            let refused = refusal(directory, header, Realm::Accounts).await;
            assert_eq!(refused, Refusal::Deactivated);
        }
        directory.update_application(developer, app, |row| row.active = true).await.unwrap();
        enter(token.clone()).await.unwrap();

        directory.set_key_active(app, &spare.row.id, false).await.unwrap();
        let refused = refusal(directory, &spare_header, Realm::Accounts).await;
        assert_eq!(refused, Refusal::Deactivated);
        directory.delete_key(app, spare.key.expose_secret()).await.unwrap();
        let refused = refusal(directory, &spare_header, Realm::Accounts).await;
        assert_eq!(refused, Refusal::Unknown);

        let (rows, total) =
            directory.tokens(account.id(), tramontane_store::Slice::ALL).await.unwrap();
        assert_eq!((rows.len(), total), (1, 1));
        directory.revoke_token(account.id(), &rows[0].id).await.unwrap();
        assert_eq!(refusal(directory, &token, Realm::Accounts).await, Refusal::Unknown);
        let again = directory.revoke_token(account.id(), &rows[0].id).await.unwrap_err();
        assert!(matches!(again, Error::NotFound("token")));

        let token = bearer(&[&house.token(&account, NewToken::default()).await]);
        enter(token.clone()).await.unwrap();
        directory.delete_account(app, account.id()).await.unwrap();
        assert_eq!(refusal(directory, &token, Realm::Accounts).await, Refusal::Unknown);

        let meta = directory.create_meta_token(developer, "laptop", None).await.unwrap();
        let header = format!("Bearer {}", meta.token.expose_secret());
        directory.authenticate(Some(&header), Realm::Management).await.unwrap();
        directory.revoke_meta_token(developer, &meta.row.id).await.unwrap();
        assert_eq!(refusal(directory, &header, Realm::Management).await, Refusal::Unknown);

        directory.delete_application(developer, app).await.unwrap();
        assert_eq!(refusal(directory, &key, Realm::Accounts).await, Refusal::Unknown);
        house.leave().await
    })
    .await;
}

#[tokio::test]
async fn a_change_by_another_process_is_seen_when_the_cache_lets_go() {
    on_each_engine(|scratch| async {
        let house = House::on(scratch).await;
        let account = house.connect("ana").await;
        let token = bearer(&[&house.token(&account, NewToken::default()).await]);
        house.directory.authenticate(Some(&token), Realm::Accounts).await.unwrap();
        let shell = house.other_process().await;
        shell.delete_account(house.app(), account.id()).await.unwrap();
        // Kept in memory here until its time is up; the sweep stands for that time.
        house.directory.forget_all();
        let refused = refusal(&house.directory, &token, Realm::Accounts).await;
        assert_eq!(refused, Refusal::Unknown);
        // What another process adds is there at once: absence is never kept.
        let new = shell.import(house.app(), crate::house::new_account("ben")).await.unwrap();
        assert!(house.directory.open(new.opened.id()).await.unwrap().is_some());
        shell.db().close().await;
        house.leave().await
    })
    .await;
}

#[tokio::test]
async fn a_token_gets_no_more_access_than_the_key_that_makes_it() {
    on_each_engine(|scratch| async {
        let house = House::on(scratch).await;
        let (directory, app) = (&house.directory, house.app());
        let account = house.connect("ana").await;
        let access = Access::parse(["storage:read", "storage:write@folder_a"]).unwrap();
        let new = NewKey { access: access.clone(), ..NewKey::default() };
        let key = directory.create_key(app, &new).await.unwrap();
        let header = format!("APIKey {}", key.key.expose_secret());
        let caller = directory.authenticate(Some(&header), Realm::Accounts).await.unwrap();
        let own = caller.access(account.id()).unwrap();
        assert_eq!(**own, access);

        let more = NewToken {
            access: Some(Access::parse(["storage:delete"]).unwrap()),
            ..NewToken::default()
        };
        let refused = directory.create_token(app, account.id(), own, more).await.unwrap_err();
        assert!(matches!(refused, Error::Invalid { ref field, .. } if field == "access"));
        let token =
            directory.create_token(app, account.id(), own, NewToken::default()).await.unwrap();
        let caller =
            directory.authenticate(Some(&bearer(&[&token.token])), Realm::Accounts).await.unwrap();
        let inherited = caller.access(account.id()).unwrap();
        assert_eq!(inherited.allows("storage", Verb::Delete), Allowance::No);
        let within = Allowance::Within(vec!["folder_a".into()]);
        assert_eq!(inherited.allows("storage", Verb::Write), within);
        house.leave().await
    })
    .await;
}

#[tokio::test]
async fn letting_a_caller_in_and_opening_an_account_write_nothing() {
    on_each_engine(|scratch| async {
        let house = House::on(scratch).await;
        let account = house.connect("ana").await;
        let token = bearer(&[&house.token(&account, NewToken::default()).await]);
        let meta = format!("Bearer {}", house.first.meta_token.expose_secret());
        let db = house.scratch.read_only().await;
        let masters = Masters::only(house.master.clone());
        let directory = directory_on(db.clone(), masters, &house.clock).await;
        for header in [&token, &house.api_key()] {
            let caller = directory.authenticate(Some(header), Realm::Accounts).await.unwrap();
            let opened = directory.account(&caller, account.id()).await.unwrap();
            assert_eq!(opened.account.credential.get("password"), Some("pa55-word"));
        }
        directory.authenticate(Some(&meta), Realm::Management).await.unwrap();
        let filter = tramontane_accounts::AccountFilter::default();
        let slice = tramontane_store::Slice::ALL;
        assert_eq!(directory.accounts(house.app(), &filter, slice).await.unwrap().1, 1);
        directory.api_keys(house.app()).await.unwrap();
        // The proof of the proof: a write is refused on these connections.
        assert!(directory.delete_account(house.app(), account.id()).await.is_err());
        db.close().await;
        house.leave().await
    })
    .await;
}
