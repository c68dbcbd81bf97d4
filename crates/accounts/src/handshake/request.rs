//! What an application asks for (wire API, section 18.1), after it was checked.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// What comes at the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Wants {
    /// An authorization code.
    Code,
    /// A token at once.
    Token,
    /// Nothing: the application looks at its accounts itself (connect links).
    Nothing,
}

/// How the end gets to the application.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Delivery {
    /// The browser is sent here.
    Redirect(String),
    /// A message to the page of this origin that opened the pop-up.
    Message {
        /// Scheme, host and port.
        origin: String,
        /// Echoed as the message's `id`.
        request_id: String,
        /// Milliseconds before it is posted.
        delay: u64,
    },
    /// A page shows it.
    Shown,
}

/// One authorization request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// What comes at the end.
    pub wants: Wants,
    /// How it gets there.
    pub delivery: Delivery,
    /// The redirect URI as it was sent; the token request must repeat it.
    pub redirect_uri: Option<String>,
    /// The scope, as it was sent.
    pub scope: String,
    /// Returned as it was sent.
    pub state: Option<String>,
    /// What connect forms are filled with beforehand.
    pub form_data: BTreeMap<String, String>,
    /// What is noted on the account.
    pub custom_properties: BTreeMap<String, String>,
    /// Parameters for the service's login page.
    pub raw: BTreeMap<String, String>,
    /// The PKCE challenge (`S256`).
    pub challenge: Option<String>,
    /// The access list of the token, in its stored form.
    pub access: Option<String>,
    /// The account that is connected again.
    pub account: Option<i64>,
}

impl Request {
    /// A request for nothing in particular.
    #[must_use]
    pub fn new(wants: Wants, delivery: Delivery) -> Self {
        Self {
            wants,
            delivery,
            redirect_uri: None,
            scope: "any".into(),
            state: None,
            form_data: BTreeMap::new(),
            custom_properties: BTreeMap::new(),
            raw: BTreeMap::new(),
            challenge: None,
            access: None,
            account: None,
        }
    }
}
