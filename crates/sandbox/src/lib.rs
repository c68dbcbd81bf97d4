//! Simulated services: stateful, in memory, each on its own path of one server, with OAuth and consent
//! pages, changes and pushes, and faults on demand. They ship (`tramontane sandbox`), so that anyone
//! can go through the whole product without an account anywhere; tests use them too. They share no
//! code with the connectors, so that a misreading of a service shows.
//!
//! The doors:
//! - [`Sandbox`]: the world with its people; [`Sandbox::router`] serves every service, each below its
//!   name (`/gdrive`, `/dropbox`, ...); [`Sandbox::start`] listens on a free port of this machine.
//! - [`Sandbox::grant`]: tokens of a person at a service, without the consent page.
//! - [`Faults`]: what goes wrong, when and how often; over HTTP at `/_sandbox/faults`.
//! - [`Issuer`]: the OAuth server of one service.
//! - [`Pushes`]: messages that services send to their subscribers.

mod boxcloud;
mod control;
mod dropbox;
mod faults;
mod gdrive;
mod graph;
mod issuer;
mod page;
mod people;
mod push;
mod quirks;
mod robots;
mod world;

pub use faults::{Fault, FaultRule, Faults};
pub use issuer::{Bearer, CLIENT_ID, CLIENT_SECRET, Grant, Issuer, IssuerRules, Params, params};
pub use people::{PEOPLE, Person, find};
pub use push::{Post, Pushed, Pushes};
pub use robots::{ROBOT, robot_key};
pub use world::{Config, Dice, Lent, Running, Sandbox, Service};
