//! Durable background tasks: work that outlives the request that asked for it, and the process that
//! does it.
//!
//! The doors:
//! - [`Tasks`]: submit, show, list, cancel; [`Tasks::serve`] runs them.
//! - [`Operation`]: what a task does, as it is stored.
//! - [`Executor`]: who does it; [`Work`]: what the executor is given.
//!
//! A task is a row. Whoever runs it holds a lease on the row, with an epoch that grows whenever the
//! lease changes hands; everything the holder writes names its epoch, so a process that lost its lease
//! (it hung, it was cut off) can write nothing more, whatever it believes. A cancelled task is a task
//! whose lease was taken away. When a process dies its leases run out, or end at once when it comes
//! back under the same name, and another one goes on: [`operation::Again`] says how for each kind of
//! work. What cannot be done twice notes where it will write before it writes ([`Work::note`]) and
//! looks there first when it is resumed.

pub mod error;
pub mod operation;
pub mod progress;
pub mod runner;
pub mod task;
pub mod tasks;
pub mod work;

mod rows;

pub use error::{Error, Result};
pub use operation::{Again, Kind, Operation, Payload};
pub use progress::{Counts, Progress};
pub use runner::Executor;
pub use task::{Item, ItemStatus, Outcome, State, Task};
pub use tasks::{Settings, Tasks};
pub use work::Work;
