//! The routes of activity.

use http::StatusCode;

use crate::route::{Content, Endpoint, Routes, delete, get, patch, post};

use super::{explain, health, read, stream, subscriptions, ticket, whole};

const OK: StatusCode = StatusCode::OK;
const CREATED: StatusCode = StatusCode::CREATED;
/// What a page of events is asked by.
const PAGE: &[&str] = &["events_cursor", "page_size", "wait", "X-Kloudless-Raw-Data"];
/// What a stream is asked by.
const STREAM: &[&str] = &["events_cursor", "events_types", "categories", "Last-Event-ID"];

/// All of them.
pub(crate) fn routes() -> Routes {
    events().with(watched()).with(streams())
}

fn events() -> Routes {
    Routes::default()
        .at(
            "/v1/accounts/{account}/events",
            [page("listEvents", "The account's activity, in order.", read::list)],
        )
        .at(
            "/v1/accounts/{account}/events/latest",
            [get("getLatestCursor", read::latest)
                .says("The place after the newest event.")
                .gives::<read::Cursor>(OK)],
        )
        .at(
            "/v1/accounts/{account}/events/{event}",
            [get("getEvent", read::retrieve)
                .says("One event, while it is kept.")
                .takes(&["X-Kloudless-Raw-Data"])
                .gives::<super::view::One>(OK)],
        )
        .at(
            "/v1/accounts/{account}/events/health",
            [get("getFeedHealth", health::retrieve)
                .says("Where the account's changes come from, when it was read, and what is known of it.")
                .gives::<health::FeedHealth>(OK)],
        )
        .at(
            "/v1/accounts/{account}/events/explain",
            [get("explainFeed", explain::retrieve)
                .says("Why something was not told: what was heard, read, compared, filtered and delivered.")
                .takes(&["explained_event", "explained_object"])
                .gives::<explain::Explanation>(OK)],
        )
        .at(
            "/v1/accounts/{account}/events/digest",
            [get("getDigest", super::digest::retrieve)
                .says("Counts and hashes of what is in the account, to compare a mirror by.")
                .takes(&["ranges"])
                .gives::<super::digest::Digest>(OK)],
        )
}

fn page<H, T>(id: &'static str, says: &'static str, handler: H) -> Endpoint
where
    H: axum::handler::Handler<T, crate::state::App>,
    T: 'static,
{
    get(id, handler).says(says).takes(PAGE).gives::<read::Events>(OK)
}

fn watched() -> Routes {
    use subscriptions::{Change, One};
    Routes::default()
        .at(
            "/v1/accounts/{account}/subscriptions",
            [
                get("listSubscriptions", subscriptions::list)
                    .says("What is watched in the account.")
                    .takes(&["page", "page_size", "paging", "cursor"])
                    .lists::<One>(),
                post("createSubscription", subscriptions::create)
                    .says("Makes the default subscription, or with a body another.")
                    .takes(&["Idempotency-Key"])
                    .json::<Change>()
                    .gives::<One>(CREATED)
                    .gives::<One>(OK),
            ],
        )
        .at(
            "/v1/accounts/{account}/subscriptions/{subscription}",
            [
                get("getSubscription", subscriptions::retrieve)
                    .says("One subscription.")
                    .gives::<One>(OK),
                patch("updateSubscription", subscriptions::update)
                    .says("Changes what is watched, or switches it on or off.")
                    .takes(&["Idempotency-Key"])
                    .json::<Change>()
                    .gives::<One>(OK),
                delete("deleteSubscription", subscriptions::delete)
                    .says("Ends a subscription; without the default one, events are off.")
                    .takes(&["Idempotency-Key"])
                    .empties(),
            ],
        )
        .at(
            "/v1/accounts/{account}/subscriptions/{subscription}/activity",
            [page("listActivity", "A subscription's activity, in order.", subscriptions::activity)],
        )
        .at(
            "/v1/accounts/{account}/subscriptions/{subscription}/activity/latest",
            [get("getLatestActivityCursor", subscriptions::latest)
                .says("The place after the subscription's newest event.")
                .gives::<read::Cursor>(OK)],
        )
}

fn streams() -> Routes {
    let stream = Content::Bytes(&["text/event-stream"]);
    Routes::default()
        .at(
            "/v1/accounts/{account}/events/stream",
            [get("streamEvents", stream::open)
                .says("The account's activity as it happens, as server-sent events.")
                .takes(STREAM)
                .takes(&["stream_token"])
                .answers(OK, stream.clone())],
        )
        .at(
            "/v1/accounts/{account}/events/stream_token",
            [post("createStreamToken", ticket::create)
                .says("A token with which a browser opens the account's stream.")
                .gives::<ticket::StreamToken>(OK)],
        )
        .at(
            "/v1/events/stream",
            [get("streamAllEvents", whole::open)
                .says("The activity of all accounts of the application, as server-sent events.")
                .takes(STREAM)
                .answers(OK, stream)],
        )
}
