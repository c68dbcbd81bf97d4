//! What an account or a service can do, as the API tells it (wire API, sections 15, 51, appendix A).

use serde_json::{Map, Value, json};
use tramontane_connector::{Abilities, Connector};
use tramontane_fill::support_of;
use tramontane_model::capability::ACCOUNT_CAPABILITIES;
use tramontane_model::{Op, Reason, Support};

const NO_CATEGORY: Reason = Reason::lacks("The service has no API of this kind.");
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
    let known = op.as_str().starts_with("storage.") || op == Op::Raw;
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

/// Every operation with its two rules (section 15.1).
#[must_use]
pub fn rules(abilities: Option<&Abilities>) -> Map<String, Value> {
    let every = Op::ALL.iter().copied().filter(|op| *op != Op::FileCreateUnsized);
    every
        .map(|op| {
            let mut normal = member("result", &of(abilities, op));
            let mut admin = member("result", &Support::Unsupported(NOT_ADMIN));
            for (rule, is_admin) in [(&mut normal, false), (&mut admin, true)] {
                if let Value::Object(members) = rule {
                    members.insert("admin".into(), is_admin.into());
                }
            }
            (op.as_str().to_owned(), json!([normal, admin]))
        })
        .collect()
}

/// What a service can do before any account of it is connected: as an account without settings would.
#[must_use]
pub fn of_service(connector: &dyn Connector) -> Option<Abilities> {
    let storage = connector.storage()?;
    let account = tramontane_connector::Account {
        id: tramontane_model::AccountId::new(1)?,
        service: connector.descriptor().name.into(),
        admin: false,
        settings: Default::default(),
        credential: tramontane_connector::Credential::none(),
        revision: 0,
    };
    Some(storage.abilities(&account))
}
