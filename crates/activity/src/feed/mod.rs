//! From observations to events: what was known of a collection, what was seen of it, what happened.

pub mod compare;
pub mod item;
mod kept;
pub mod known;
pub mod machine;
mod matching;
pub mod observation;
mod order;
pub mod remembered;
mod seen;

pub use compare::{Compared, Moment, Orphans, Rules, compare};
pub use item::{Item, ItemKind};
pub use known::{Known, Stretch, Table};
pub use machine::{Ask, Machine, Phase, Plan, Room, Told};
pub use observation::{Hint, Observation, Seen, There};
pub use remembered::Remembered;
