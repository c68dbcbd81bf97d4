//! What an account or a service can do, as the API tells it (wire API, sections 15, 51, appendix A).

use serde_json::{Map, Value, json};
use tramontane_connector::{Abilities, Account, Connector};
use tramontane_fill::support_of;
use tramontane_model::capability::ACCOUNT_CAPABILITIES;
use tramontane_model::{Op, Reason, Support};

const NO_CATEGORY: Reason = Reason::lacks("The service has no API of this kind.");
const NEEDS_ADMIN: Reason =
    Reason { code: "admin_required", message: "Teams need an administrator's account." };
const NOT_ADMIN: Reason = Reason {
    code: "admin_required",
    message: "The connector has no accounts with organisation-wide access.",
};

/// One operation with its support, as `501` bodies carry it.
#[must_use]
pub fn rendered(op: Op, support: &Support) -> Value {
    let mut one = member("result", support);
    if let Value::Object(members) = &mut one {
        members.insert("operation".into(), op.as_str().into());
    }
    one
}

fn member(name: &str, support: &Support) -> Value {
    let mut members = Map::new();
    members.insert(name.to_owned(), support.is_supported().into());
    members.insert("support".into(), support.as_str().into());
    if let Some(reason) = support.reason() {
        let reason = json!({"code": reason.code, "message": reason.message});
        members.insert("reason".into(), reason);
    }
    members.into()
}

/// How an operation is supported where this is what the service can do; `None` is no files at all.
#[must_use]
pub fn of(abilities: Option<&Abilities>, op: Op) -> Support {
    let Some(abilities) = abilities else { return Support::Unsupported(NO_CATEGORY) };
    let named = |category| op.as_str().starts_with(category);
    let known = named("storage.") || named("team.") || op == Op::Raw;
    if known || abilities.native.has(op) {
        support_of(abilities, op)
    } else {
        Support::Unsupported(NO_CATEGORY)
    }
}

/// Every operation of appendix A with its support (section 51).
#[must_use]
pub fn operations(abilities: Option<&Abilities>) -> Map<String, Value> {
    let every = Op::ALL.iter().copied().filter(|op| *op != Op::FileCreateUnsized);
    every.map(|op| (op.as_str().to_owned(), member("result", &of(abilities, op)))).collect()
}

/// Every account capability (section 15.2).
#[must_use]
pub fn account(abilities: Option<&Abilities>) -> Map<String, Value> {
    let every = ACCOUNT_CAPABILITIES.iter().map(|(name, ops)| {
        let supports: Vec<Support> = ops.iter().map(|op| of(abilities, *op)).collect();
        let worst = supports.iter().copied().max_by_key(|support| match support {
            Support::Native => 0,
            Support::Emulated(_) => 1,
            Support::Unsupported(_) => 2,
        });
        let worst = worst.unwrap_or(Support::Unsupported(NO_CATEGORY));
        ((*name).to_owned(), member("value", &worst))
    });
    every.collect()
}

/// Every operation with its two rules (section 15.1): what a user's own account can do, and what an
/// administrator's can; `None` where the connector has none of the kind.
#[must_use]
pub fn rules(normal: Option<&Abilities>, admin: Option<&Abilities>) -> Map<String, Value> {
    let every = Op::ALL.iter().copied().filter(|op| *op != Op::FileCreateUnsized);
    every
        .map(|op| {
            let of_admin = match admin {
                Some(abilities) => of(Some(abilities), op),
                None => Support::Unsupported(NOT_ADMIN),
            };
            let mut normal = member("result", &of(normal, op));
            let mut admin = member("result", &of_admin);
            for (rule, is_admin) in [(&mut normal, false), (&mut admin, true)] {
                if let Value::Object(members) = rule {
                    members.insert("admin".into(), is_admin.into());
                }
            }
            (op.as_str().to_owned(), json!([normal, admin]))
        })
        .collect()
}

/// What an account can do, its team included.
#[must_use]
pub fn of_account(connector: &dyn Connector, account: &Account) -> Option<Abilities> {
    const TEAM: [Op; 5] = [
        Op::TeamUsersList,
        Op::TeamUsersRead,
        Op::TeamGroupsList,
        Op::TeamGroupsRead,
        Op::TeamGroupsMembers,
    ];
    let mut abilities = connector.storage()?.abilities(account);
    if connector.team().is_some() {
        for op in TEAM {
            if account.admin {
                abilities.native = abilities.native.with(op);
            } else {
                abilities.reasons.push((op, NEEDS_ADMIN));
            }
        }
    }
    Some(abilities)
}

/// What a service can do before any account of it is connected: as an account without settings would.
/// Administrators' accounts are those of services with teams.
#[must_use]
pub fn of_service(connector: &dyn Connector, admin: bool) -> Option<Abilities> {
    if admin && connector.team().is_none() {
        return None;
    }
    let account = Account {
        id: tramontane_model::AccountId::new(1)?,
        service: connector.descriptor().name.into(),
        admin,
        settings: Default::default(),
        credential: tramontane_connector::Credential::none(),
        revision: 0,
    };
    of_account(connector, &account)
}
