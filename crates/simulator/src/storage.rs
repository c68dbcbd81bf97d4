//! The database of the simulation: what was committed, under a fence.

use tramontane_activity::Event;
use tramontane_activity::feed::{Item, Machine, Plan, Table};

use crate::mirror::Mirror;

/// What is kept.
#[derive(Debug)]
pub struct Storage {
    /// Who may write.
    pub epoch: u64,
    paths_are_ids: bool,
    /// The machine as it is kept: text, as in the database.
    machine: String,
    /// What is known of the collection.
    pub table: Table,
    /// The log.
    pub events: Vec<Event>,
    /// What was known when the first listing ended: what readers begin with.
    pub beginning: Option<Table>,
    /// What a reader of the log has at this commit.
    mirror: Option<Mirror>,
    /// The first commit after which a reader of the log did not have what was known.
    pub apart: Option<String>,
    /// How many commits there were.
    pub commits: u64,
}

impl Storage {
    /// With a machine that knows nothing.
    #[must_use]
    pub fn new(machine: &Machine) -> Self {
        Self {
            epoch: 1,
            paths_are_ids: machine.rules().path_ids,
            machine: serde_json::to_string(machine).expect("a machine can be written"),
            table: Table::default(),
            events: Vec::new(),
            beginning: None,
            mirror: None,
            apart: None,
            commits: 0,
        }
    }

    /// The machine that was committed last.
    #[must_use]
    pub fn load(&self) -> Machine {
        let machine: Machine = serde_json::from_str(&self.machine).expect("a machine is kept");
        machine.resumed()
    }

    /// Whether a reader who has taken all events has just what is known.
    fn compare(&mut self, plan: &Plan) -> Result<(), String> {
        let Some(mirror) = &mut self.mirror else { return Ok(()) };
        for event in &plan.events {
            // What cannot be applied is told at the end, with what was around it.
            let _ = mirror.apply(event);
        }
        let known = Mirror::of(&self.table, self.paths_are_ids);
        if mirror.entries == known.entries {
            return Ok(());
        }
        let differs = |one: &Mirror, other: &Mirror| {
            let own = one.entries.iter().filter(|(id, copy)| other.entries.get(*id) != Some(copy));
            own.map(|(id, copy)| format!("{id}: {copy:?}")).collect::<Vec<_>>().join(", ")
        };
        Err(format!(
            "after commit {} a reader has {}, and known is {}",
            self.commits,
            differs(mirror, &known),
            differs(&known, mirror)
        ))
    }

    /// Another owner takes over.
    pub fn take_over(&mut self) -> u64 {
        self.epoch += 1;
        self.epoch
    }

    /// Writes a plan, whole, or refuses it.
    pub fn commit(&mut self, epoch: u64, plan: &Plan) -> bool {
        if epoch != self.epoch {
            return false;
        }
        self.commits += 1;
        for (key, item) in &plan.writes {
            let item: Option<Item> = item.clone();
            self.table.put(key, item);
        }
        self.events.extend(plan.events.iter().cloned());
        self.machine =
            serde_json::to_string(&plan.next.stored()).expect("a machine can be written");
        if self.beginning.is_none() && plan.next.is_settled() {
            assert!(self.events.is_empty(), "events before the first listing ended");
            self.beginning = Some(self.table.clone());
            self.mirror = Some(Mirror::of(&self.table, self.paths_are_ids));
        } else if self.apart.is_none() {
            self.apart = self.compare(plan).err();
        }
        true
    }
}
