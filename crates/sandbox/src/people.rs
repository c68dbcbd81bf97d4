//! Who lives in the sandbox: the same people at every service.

/// Someone with an account at every service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Person {
    /// A short name, also their id where a service has no form of its own.
    pub id: &'static str,
    /// What they are called.
    pub name: &'static str,
    /// Their address.
    pub email: &'static str,
    /// Whether they administer the organisation `example.com`.
    pub admin: bool,
}

/// Everyone. All belong to the organisation `example.com`.
pub const PEOPLE: &[Person] = &[
    Person { id: "ana", name: "Ana Alves", email: "ana@example.com", admin: false },
    Person { id: "ben", name: "Ben Bauer", email: "ben@example.com", admin: false },
    Person { id: "ada", name: "Ada Admin", email: "ada@example.com", admin: true },
];

/// The person with this short name or address.
#[must_use]
pub fn find(name: &str) -> Option<&'static Person> {
    PEOPLE.iter().find(|person| person.id == name || person.email.eq_ignore_ascii_case(name))
}
