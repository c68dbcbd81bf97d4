//! Deliveries at work: what arrives, in which order, how often, and what is kept of it.

use std::collections::{BTreeMap, BTreeSet};

use tramontane_activity::delivery::Status;
use tramontane_feeds::deliver::{Endpoint, Format, ReplayRequest, Wanted};
use tramontane_feeds::retention::{Tidied, tidy};
use tramontane_store::{deliveries, log, webhooks};
use tramontane_vault::{Scheme, webhook_signature};

use crate::stage::{Arrived, Stage, on_each_engine, until};

const URL: &str = "https://hooks.example.com/in";

fn standard() -> Endpoint {
    Endpoint { format: Format::Standard, ..Endpoint::default() }
}

/// What arrived, by account in the order of arrival.
fn by_account(arrived: &[Arrived]) -> BTreeMap<i64, Vec<i64>> {
    let mut found: BTreeMap<i64, Vec<i64>> = BTreeMap::new();
    for one in arrived {
        let (account, events) = one.events();
        found.entry(account).or_default().extend(events);
    }
    found
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_arrive_signed_in_order_once_and_are_not_sent_again_after_a_restart() {
    on_each_engine(3, |mut stage| async move {
        let accounts = stage.accounts.clone();
        stage.happen(accounts[0], 5).await;
        let hook = stage.webhook(URL, standard()).await;
        let running = stage.run();
        for _ in 0..20 {
            for account in &accounts {
                stage.happen(*account, 7).await;
            }
        }
        let receiver = stage.receiver.clone();
        until("all arrive", || receiver.arrived().len() >= 420).await;
        running.stop().await;
        let arrived = stage.receiver.arrived();
        let found = by_account(&arrived);
        // What happened before the webhook was there is not sent.
        assert_eq!(found[&accounts[0]], (6..=145).collect::<Vec<_>>());
        assert_eq!(found[&accounts[1]], (1..=140).collect::<Vec<_>>());
        assert_eq!(found[&accounts[2]], (1..=140).collect::<Vec<_>>());
        let ids: BTreeSet<_> = arrived.iter().map(|one| one.header("webhook-id")).collect();
        assert_eq!(ids.len(), 420);
        let one = &arrived[0];
        let secrets = stage.directory.webhook_secrets(&hook.id).await.unwrap();
        let at = one.header("webhook-timestamp").parse::<i64>().unwrap();
        let signed = secrets.sign(one.header("webhook-id"), at * 1_000_000, &one.body);
        assert_eq!(one.header("webhook-signature"), signed);
        assert_eq!(one.header("content-type"), "application/json");
        let body = one.json();
        assert_eq!(
            (&body["type"], &body["data"]["type"]),
            (&"storage.file.added".into(), &"add".into())
        );
        assert_eq!(body["data"]["application"], stage.application.as_str());

        stage.restarted();
        stage.receiver.forget();
        let running = stage.run();
        stage.happen(accounts[1], 1).await;
        let receiver = stage.receiver.clone();
        until("the new one arrives", || !receiver.arrived().is_empty()).await;
        running.stop().await;
        assert_eq!(
            by_account(&stage.receiver.arrived()),
            BTreeMap::from([(accounts[1], vec![141])])
        );

        let listed = stage.deliveries.list(&hook.id, &Wanted::default()).await.unwrap();
        assert_eq!(listed.len(), 421);
        assert!(
            listed.iter().all(|one| one.status == Status::Delivered && one.attempts.len() == 1)
        );
        let id = listed[0].key.delivery_id(&hook.id);
        assert_eq!(stage.deliveries.find(&hook, &id).await.unwrap().unwrap(), listed[0]);
        stage
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failing_stream_waits_for_its_retry_and_holds_up_no_other() {
    on_each_engine(2, |mut stage| async move {
        let (bad, good) = (stage.accounts[0], stage.accounts[1]);
        let hook = stage.webhook(URL, Endpoint { ordered: true, ..standard() }).await;
        stage.receiver.answers(
            move |one| {
                if one.events().0 == bad { (503, "retry 60") } else { (200, "") }
            },
        );
        let running = stage.run();
        stage.happen(bad, 3).await;
        stage.happen(good, 3).await;
        let receiver = stage.receiver.clone();
        until("the others arrive", || receiver.arrived().len() >= 4).await;
        let found = by_account(&stage.receiver.arrived());
        assert_eq!((&found[&good], &found[&bad]), (&vec![1, 2, 3], &vec![1]));
        running.stop().await;

        let listed = stage.deliveries.list(&hook.id, &Wanted::default()).await.unwrap();
        let waiting = listed.iter().find(|one| one.account == bad).unwrap();
        assert_eq!(waiting.status, Status::Retrying);
        assert!(waiting.next.unwrap() >= waiting.attempts[0].at + 60_000_000);
        assert_eq!(waiting.attempts[0].excerpt, "retry 60");
        // What waits behind it is known to wait.
        let second = tramontane_activity::delivery::MessageKey { feed: bad, first: 2, last: 2 };
        let second = second.delivery_id(&hook.id);
        let pending = stage.deliveries.find(&hook, &second).await.unwrap().unwrap();
        assert_eq!((pending.status, pending.attempts.len()), (Status::Pending, 0));

        // It is well again, and the process is another one.
        stage.receiver.answers(|_| (200, ""));
        stage.clock.turn_seconds(120);
        stage.restarted();
        let running = stage.run();
        let receiver = stage.receiver.clone();
        until("the stream is released", || receiver.taken().len() >= 6).await;
        running.stop().await;
        assert_eq!(by_account(&stage.receiver.taken())[&bad], [1, 2, 3]);
        let first: Vec<_> = stage
            .receiver
            .arrived()
            .into_iter()
            .filter(|one| one.events() == (bad, vec![1]))
            .collect();
        assert_eq!(first.len(), 2);
        assert_eq!(first[0].header("webhook-id"), first[1].header("webhook-id"));
        stage
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_endpoint_that_never_answers_delays_no_other() {
    on_each_engine(1, |stage| async move {
        let account = stage.accounts[0];
        stage.webhook("https://slow.example.com/", standard()).await;
        stage.webhook(URL, standard()).await;
        stage.receiver.hangs("https://slow.example.com/");
        let running = stage.run();
        stage.happen(account, 50).await;
        let receiver = stage.receiver.clone();
        until("the fast one gets all", || receiver.arrived().len() >= 50).await;
        assert!(stage.receiver.arrived().iter().all(|one| one.url == URL));
        drop(running);
        stage
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn gone_switches_a_webhook_off_with_the_reason() {
    on_each_engine(1, |stage| async move {
        let hook = stage.webhook(URL, standard()).await;
        stage.receiver.answers(|_| (410, "no more"));
        let running = stage.run();
        stage.happen(stage.accounts[0], 1).await;
        let receiver = stage.receiver.clone();
        until("it arrives", || !receiver.arrived().is_empty()).await;
        for _ in 0..500 {
            if !webhooks::by_id(&stage.db, &hook.id).await.unwrap().unwrap().active {
                break;
            }
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
        stage.happen(stage.accounts[0], 5).await;
        running.stop().await;
        let row = webhooks::by_id(&stage.db, &hook.id).await.unwrap().unwrap();
        assert!(!row.active);
        assert_eq!(Endpoint::of(&row).disabled_reason.unwrap(), "The endpoint answered 410 Gone.");
        assert_eq!(stage.receiver.arrived().len(), 1);
        stage
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_compatible_form_tells_once_that_there_is_something() {
    on_each_engine(2, |stage| async move {
        stage.webhook(URL, Endpoint::default()).await;
        stage.happen(stage.accounts[0], 500).await;
        stage.happen(stage.accounts[1], 1).await;
        let running = stage.run();
        let receiver = stage.receiver.clone();
        until("both are told", || receiver.arrived().len() >= 2).await;
        running.stop().await;
        let arrived = stage.receiver.arrived();
        let bodies: BTreeSet<_> =
            arrived.iter().map(|one| String::from_utf8(one.body.clone()).unwrap()).collect();
        let wanted = stage.accounts.iter().map(|account| format!("account={account}"));
        assert_eq!(bodies, wanted.collect());
        // A page of the log at most is a notice of its own.
        assert!(arrived.len() <= 4, "{}", arrived.len());
        let one = &arrived[0];
        assert_eq!(
            one.header("x-kloudless-signature"),
            webhook_signature(&stage.api_key, &one.body)
        );
        assert_eq!(one.header("content-type"), "application/x-www-form-urlencoded");
        assert_eq!(one.header("webhook-id"), "");
        stage
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn batches_filters_and_both_secrets_of_a_rotation() {
    on_each_engine(2, |stage| async move {
        let (one, other) = (stage.accounts[0], stage.accounts[1]);
        let batched = Endpoint { batch_size: 10, accounts: vec![one], ..standard() };
        let hook = stage.webhook(URL, batched).await;
        let deaf = Endpoint { events: vec!["account.*".into()], ..standard() };
        stage.webhook("https://deaf.example.com/", deaf).await;
        let before = stage.directory.webhook_secrets(&hook.id).await.unwrap();
        stage.clock.turn_seconds(1);
        stage.directory.rotate_webhook_secret(&hook.id, Scheme::Hmac).await.unwrap();
        stage.happen(one, 25).await;
        stage.happen(other, 5).await;
        let running = stage.run();
        let receiver = stage.receiver.clone();
        let count = move || by_account(&receiver.arrived()).get(&one).map_or(0, Vec::len);
        until("the batches arrive", || count() >= 25).await;
        running.stop().await;
        let arrived = stage.receiver.arrived();
        assert!(arrived.iter().all(|one| one.url == URL && one.json()["type"] == "events.batch"));
        assert_eq!(by_account(&arrived), BTreeMap::from([(one, (1..=25).collect())]));
        let message = &arrived[0];
        let id = message.header("webhook-id");
        let at = message.header("webhook-timestamp").parse::<i64>().unwrap();
        let signatures: Vec<_> = message.header("webhook-signature").split(' ').collect();
        let old = before.current().unwrap().sign(id, at, &message.body);
        assert!(signatures.len() == 2 && signatures.contains(&old.as_str()));
        stage
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_lost_a_shard_writes_nothing_and_the_next_holder_goes_on() {
    on_each_engine(1, |mut stage| async move {
        let account = stage.accounts[0];
        let hook = stage.webhook(URL, standard()).await;
        let running = stage.run();
        stage.happen(account, 3).await;
        let receiver = stage.receiver.clone();
        until("three arrive", || receiver.arrived().len() >= 3).await;
        stage.lose_shards().await;
        stage.happen(account, 2).await;
        running.stop().await;
        let shard = tramontane_feeds::shard::of(account);
        let kept = deliveries::positions(&stage.db, &hook.id).await.unwrap();
        let kept = kept.into_iter().find(|kept| kept.shard == shard).unwrap();
        assert!(kept.position <= 3, "{}", kept.position);

        stage.restarted();
        stage.hold_shards();
        let running = stage.run();
        let receiver = stage.receiver.clone();
        let distinct =
            move || receiver.arrived().iter().map(Arrived::events).collect::<BTreeSet<_>>().len();
        until("all five have arrived", || distinct() == 5).await;
        running.stop().await;
        let mut ids: BTreeMap<(i64, Vec<i64>), BTreeSet<String>> = BTreeMap::new();
        for one in stage.receiver.arrived() {
            ids.entry(one.events()).or_default().insert(one.header("webhook-id").to_owned());
        }
        assert_eq!(ids.len(), 5);
        assert!(ids.values().all(|ids| ids.len() == 1), "repeated under the same id");
        stage
    })
    .await;
}

async fn done(stage: &Stage, webhook: &str, id: &str) -> deliveries::Replay {
    for _ in 0..1_000 {
        let replay = deliveries::replay(&stage.db, webhook, id).await.unwrap().unwrap();
        if replay.state != "pending" {
            return replay;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    panic!("the replay never ends");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replays_send_what_matches_again_under_the_same_ids() {
    on_each_engine(2, |stage| async move {
        let hook = stage.webhook(URL, standard()).await;
        let bad = stage.accounts[1];
        stage
            .receiver
            .answers(move |one| if one.events().0 == bad { (500, "") } else { (200, "") });
        let running = stage.run();
        stage.happen(stage.accounts[0], 3).await;
        stage.happen(bad, 1).await;
        let receiver = stage.receiver.clone();
        until("all are tried", || receiver.arrived().len() >= 4).await;
        running.stop().await;
        let before = stage.receiver.arrived();
        stage.receiver.answers(|_| (200, ""));

        let listed = stage.deliveries.list(&hook.id, &Wanted::default()).await.unwrap();
        let one = listed.iter().find(|one| one.account == bad).unwrap();
        stage.receiver.forget();
        stage.clock.turn_seconds(1);
        assert!(stage.deliveries.replay(&hook, one.key).await.unwrap().is_some());
        let again = &stage.receiver.arrived()[0];
        let first = before.iter().find(|one| one.events().0 == bad).unwrap();
        assert_eq!(again.header("webhook-id"), first.header("webhook-id"));
        let found = stage.deliveries.find(&hook, &one.key.delivery_id(&hook.id)).await.unwrap();
        let found = found.unwrap();
        assert_eq!((found.status, found.attempts.len()), (Status::Delivered, 2));

        stage.receiver.forget();
        let request = ReplayRequest { since: 0, until: i64::MAX >> 1, ..ReplayRequest::default() };
        let replay = stage.deliveries.ask_replay(&hook, &request).await.unwrap();
        let running = stage.run();
        let replay = done(&stage, &hook.id, &replay.id).await;
        running.stop().await;
        assert_eq!((replay.state.as_str(), replay.failed), ("done", 0));
        let ids = |all: &[Arrived]| -> BTreeSet<String> {
            all.iter().map(|one| one.header("webhook-id").to_owned()).collect()
        };
        assert_eq!(ids(&stage.receiver.arrived()), ids(&before));
        stage
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_row_per_message_is_not_written() {
    on_each_engine(1, |stage| async move {
        let hook = stage.webhook(URL, standard()).await;
        let running = stage.run();
        stage.happen(stage.accounts[0], 1_000).await;
        let receiver = stage.receiver.clone();
        until("all arrive", || receiver.arrived().len() >= 1_000).await;
        running.stop().await;
        let rows = deliveries::positions(&stage.db, &hook.id).await.unwrap();
        assert_eq!(rows.len(), 64);
        let all = deliveries::batches(&stage.db, &hook.id, 0, i64::MAX >> 1, 10_000).await.unwrap();
        assert_eq!(all.iter().map(|batch| batch.attempts).sum::<i64>(), 1_000);
        assert!(all.len() <= 100, "{} rows for 1,000 attempts", all.len());
        stage
    })
    .await;
}

/// Types of what arrived for an account, with its number: the last one, of what was lost.
fn told(arrived: &[Arrived], account: i64) -> Vec<(String, i64)> {
    let one = |one: &Arrived| {
        let body = one.json();
        let data = &body["data"];
        let number = data["last"].as_i64().or(data["sequence"].as_i64()).unwrap();
        (data["account"].as_i64() == Some(account))
            .then(|| (body["type"].as_str().unwrap().to_owned(), number))
    };
    arrived.iter().filter_map(one).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_left_the_log_before_it_was_delivered_is_told_and_the_rest_follows() {
    on_each_engine(2, |mut stage| async move {
        let (one, other) = (stage.accounts[0], stage.accounts[1]);
        stage.webhook(URL, Endpoint { ordered: true, ..standard() }).await;
        stage.receiver.answers(move |arrived| {
            if arrived.events().0 == one { (503, "retry 60") } else { (200, "") }
        });
        let running = stage.run();
        // The first account's events wait for their retry, the other's were taken.
        stage.happen(one, 2).await;
        stage.happen(other, 1).await;
        let receiver = stage.receiver.clone();
        until("both were tried", || receiver.arrived().len() >= 2).await;
        running.stop().await;
        // Nobody delivers, for longer than events are kept.
        stage.happen(other, 3).await;
        stage.clock.turn_seconds(40 * 86_400);
        let now = stage.now();
        log::ensure_slice(&stage.db, log::slice_of(now), 1).await.unwrap();
        tidy(&stage.db, 30, now, &mut Tidied::default()).await.unwrap();
        stage.happen(one, 1).await;
        stage.receiver.forget();
        stage.receiver.answers(|_| (200, ""));
        stage.restarted();
        let running = stage.run();
        let receiver = stage.receiver.clone();
        until("all is told", || {
            told(&receiver.arrived(), one).iter().any(|(_, number)| *number == 3)
                && !told(&receiver.arrived(), other).is_empty()
        })
        .await;
        running.stop().await;
        let arrived = stage.receiver.arrived();
        let lost = "feed.truncated".to_owned();
        // What was tried is one message; the other may have been part of it.
        let first = told(&arrived, one);
        assert!(first.contains(&(lost.clone(), 2)), "{first:?}");
        assert_eq!(first.last().unwrap(), &("storage.file.added".to_owned(), 3));
        assert_eq!(told(&arrived, other), [(lost, 4)]);
        let ids: BTreeSet<_> = arrived.iter().map(|one| one.header("webhook-id")).collect();
        assert_eq!(ids.len(), arrived.len());
        stage
    })
    .await;
}
