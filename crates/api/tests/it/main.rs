//! The API over a service in memory, asked as clients ask it.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

mod activity;
mod connect;
mod connect_links;
mod events;
mod faults;
mod files;
mod folders;
mod grants;
mod house;
mod idempotency;
mod links;
mod listing;
mod login;
mod management;
mod oauth;
mod raw;
mod reads;
mod refusals;
mod remembered;
mod requests;
mod responses;
mod sockets;
mod streams;
mod stuck;
mod subscriptions;
mod tasks;
mod team;
mod tokens;
mod uploads;
mod webhooks;
