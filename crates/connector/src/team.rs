//! The people of an organisation, for accounts with organisation-wide access.

use async_trait::async_trait;
use serde_json::Value;
use tramontane_model::{NativeId, Page, PageRequest, Timestamp};

use crate::cx::Cx;
use crate::error::Result;

/// How a service takes "act as this member" (wire API, section 12).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AsUser {
    /// Data of an organisation's account can only be reached as one of its members.
    Needed,
    /// The administrator has files as well; a member may be named.
    Optional,
    /// The administrator sees everything; naming a member is refused.
    Refused,
}

/// A member of the organisation.
#[derive(Clone, Debug, PartialEq)]
pub struct TeamUser {
    /// The service's id: what [`Cx::as_user`] takes.
    pub id: NativeId,
    /// What they are called.
    pub name: String,
    /// Their address.
    pub email: Option<String>,
    /// Their other addresses.
    pub emails: Vec<String>,
    /// `admin`, `member`, or the service's word.
    pub role: String,
    /// When they came.
    pub created: Option<Timestamp>,
    /// When they were last changed.
    pub modified: Option<Timestamp>,
    /// What the service said of them, when the caller asked for it.
    pub raw: Option<Value>,
}

/// A group of members.
#[derive(Clone, Debug, PartialEq)]
pub struct TeamGroup {
    /// The service's id.
    pub id: NativeId,
    /// What it is called.
    pub name: String,
    /// The service's word for what it may do.
    pub role: Option<String>,
    /// What it is for.
    pub description: Option<String>,
    /// What the service said of it, when the caller asked for it.
    pub raw: Option<Value>,
}

/// The people of an organisation. An unknown id is `NotFound`; a cursor that cannot be read is
/// `CursorExpired`. An operation that the service lacks is `Unsupported`.
#[async_trait]
pub trait Team: Send + Sync {
    /// The members.
    async fn users(&self, cx: &Cx, page: &PageRequest) -> Result<Page<TeamUser>>;
    /// One member.
    async fn user(&self, cx: &Cx, id: &NativeId) -> Result<TeamUser>;
    /// The groups that a member is in.
    async fn memberships(
        &self,
        cx: &Cx,
        user: &NativeId,
        page: &PageRequest,
    ) -> Result<Page<TeamGroup>>;
    /// The groups.
    async fn groups(&self, cx: &Cx, page: &PageRequest) -> Result<Page<TeamGroup>>;
    /// One group.
    async fn group(&self, cx: &Cx, id: &NativeId) -> Result<TeamGroup>;
    /// The members of a group.
    async fn members(
        &self,
        cx: &Cx,
        group: &NativeId,
        page: &PageRequest,
    ) -> Result<Page<TeamUser>>;
}
