//! Operations, what an account can do of them, and the names under which the API tells.
//!
//! Source: the wire API, section 51 and appendix A.

use std::fmt;

use serde::Serialize;

macro_rules! ops {
    ($($(#[doc = $doc:literal])* $name:ident = $wire:literal;)*) => {
        /// One operation of the unified API.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u8)]
        pub enum Op { $($(#[doc = $doc])* $name,)* }

        impl Op {
            /// Every operation, in the order of the wire API's appendix A.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The operation's name on the wire.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$name => $wire,)* }
            }
        }
    };
}

ops! {
    /// Make a file from a body.
    FileCreate = "storage.files.create";
    /// Make a file from a body whose length is not known beforehand.
    FileCreateUnsized = "storage.files.create_unsized";
    /// Replace a file's content, keeping its place.
    FileUpdate = "storage.files.update_content";
    /// Read a file's metadata.
    FileRead = "storage.files.read";
    /// Give a file another name.
    FileRename = "storage.files.rename";
    /// Put a file into another folder.
    FileMove = "storage.files.move";
    /// Copy a file within the account.
    FileCopy = "storage.files.copy";
    /// Delete a file (into the trash, where there is one).
    FileDelete = "storage.files.delete";
    /// Delete a file past the trash.
    FileDeletePermanently = "storage.files.delete_permanently";
    /// Read a file's content.
    FileDownload = "storage.files.download";
    /// Read part of a file's content.
    FileRange = "storage.files.range";
    /// Writes that fail atomically when the name is taken or the etag has changed.
    FileConditional = "storage.files.conditional";
    /// A preview picture of a file.
    FileThumbnail = "storage.files.thumbnail";
    /// A content hash of a file.
    FileHash = "storage.files.hash";
    /// Make a folder.
    FolderCreate = "storage.folders.create";
    /// Give a folder another name.
    FolderRename = "storage.folders.rename";
    /// Put a folder into another folder.
    FolderMove = "storage.folders.move";
    /// Copy a folder and all below it.
    FolderCopy = "storage.folders.copy";
    /// Delete a folder and all below it.
    FolderDelete = "storage.folders.delete";
    /// List one level of a folder.
    FolderList = "storage.folders.list";
    /// Read a folder's metadata.
    FolderRead = "storage.folders.read";
    /// List everything below a folder.
    FolderListRecursively = "storage.folders.list_recursively";
    /// Find by name.
    SearchName = "storage.search.name";
    /// Find by content.
    SearchContent = "storage.search.content";
    /// The files that changed last.
    RecentList = "storage.recent.list";
    /// Who may see a file or folder.
    PermissionsList = "storage.permissions.list";
    /// Change who may see a file.
    FilePermissionsWrite = "storage.file_permissions.write";
    /// Change who may see a folder.
    FolderPermissionsWrite = "storage.folder_permissions.write";
    /// Read the properties set on an object.
    PropertiesList = "storage.properties.list";
    /// Set and remove properties.
    PropertiesUpdate = "storage.properties.update";
    /// Remove all properties.
    PropertiesDeleteAll = "storage.properties.delete_all";
    /// Upload a file in parts.
    MultipartCreate = "storage.multipart.create";
    /// A URL that takes or gives content without our credentials.
    UploadUrlCreate = "storage.upload_url.create";
    /// A link that opens a file for whoever has it.
    LinkCreate = "storage.links.create";
    /// What is in the trash.
    TrashList = "storage.trash.list";
    /// Bring back from the trash.
    TrashRestore = "storage.trash.restore";
    /// Earlier contents of a file.
    VersionsList = "storage.versions.list";
    /// How much space is used and left.
    QuotaRead = "storage.quota.read";
    /// List the people of a team.
    TeamUsersList = "team.users.list";
    /// Read one person of a team.
    TeamUsersRead = "team.users.read";
    /// List the groups of a team.
    TeamGroupsList = "team.groups.list";
    /// Read one group of a team.
    TeamGroupsRead = "team.groups.read";
    /// List who is in a group.
    TeamGroupsMembers = "team.groups.members";
    /// Make, change and delete calendars.
    CalendarsWrite = "calendar.calendars.write";
    /// Make, change and delete calendar events.
    CalendarEventsWrite = "calendar.events.write";
    /// Find free times.
    CalendarAvailability = "calendar.availability.read";
    /// Write CRM accounts.
    CrmAccountsWrite = "crm.accounts.write";
    /// Write CRM contacts.
    CrmContactsWrite = "crm.contacts.write";
    /// Write CRM leads.
    CrmLeadsWrite = "crm.leads.write";
    /// Write CRM opportunities.
    CrmOpportunitiesWrite = "crm.opportunities.write";
    /// Write CRM campaigns.
    CrmCampaignsWrite = "crm.campaigns.write";
    /// Write CRM tasks.
    CrmTasksWrite = "crm.tasks.write";
    /// Write CRM objects of any kind.
    CrmObjectsWrite = "crm.objects.write";
    /// Several CRM writes in one request.
    CrmBatch = "crm.batch";
    /// Find CRM objects.
    CrmSearch = "crm.search";
    /// Read the CRM's schemas.
    CrmSchemas = "crm.schemas.read";
    /// List conversations.
    ConversationsList = "messaging.conversations.list";
    /// List chat messages.
    MessagesList = "messaging.messages.list";
    /// Send chat messages.
    MessagesCreate = "messaging.messages.create";
    /// List emails.
    EmailList = "email.messages.list";
    /// Send emails.
    EmailCreate = "email.messages.create";
    /// Follow what changes in the account.
    ChangesRead = "events.changes.read";
    /// Pass a request through to the service.
    Raw = "core.raw";
}

impl fmt::Display for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The account capabilities of section 15.2, each with the operations that it stands for: it is true
/// when all of them are.
pub const ACCOUNT_CAPABILITIES: &[(&str, &[Op])] = &[
    ("can_upload_file", &[Op::FileCreate]),
    ("can_update_file_content", &[Op::FileUpdate]),
    ("can_rename_file", &[Op::FileRename]),
    ("can_move_file", &[Op::FileMove]),
    ("can_copy_file", &[Op::FileCopy]),
    ("can_delete_file", &[Op::FileDelete]),
    ("can_delete_file_permanently", &[Op::FileDeletePermanently]),
    ("can_download_file", &[Op::FileDownload]),
    ("can_retrieve_thumbnail", &[Op::FileThumbnail]),
    ("can_create_folder", &[Op::FolderCreate]),
    ("can_rename_folder", &[Op::FolderRename]),
    ("can_move_folder", &[Op::FolderMove]),
    ("can_copy_folder", &[Op::FolderCopy]),
    ("can_delete_folder", &[Op::FolderDelete]),
    ("can_list_folder", &[Op::FolderList]),
    ("can_retrieve_folder", &[Op::FolderRead]),
    ("can_list_recursively", &[Op::FolderListRecursively]),
    ("can_search_file_name", &[Op::SearchName]),
    ("can_search_file_content", &[Op::SearchContent]),
    ("can_list_recent", &[Op::RecentList]),
    ("permissions_supported_for_files", &[Op::FilePermissionsWrite]),
    ("permissions_supported_for_folders", &[Op::FolderPermissionsWrite]),
    ("can_list_permissions", &[Op::PermissionsList]),
    ("can_list_properties", &[Op::PropertiesList]),
    ("properties_supported_for_files", &[Op::PropertiesUpdate]),
    ("can_delete_all_properties", &[Op::PropertiesDeleteAll]),
    ("multipart_uploads_supported_for_files", &[Op::MultipartCreate]),
    ("can_create_upload_url", &[Op::UploadUrlCreate]),
    ("can_create_link", &[Op::LinkCreate]),
    ("can_list_trash", &[Op::TrashList]),
    ("can_restore", &[Op::TrashRestore]),
    ("can_list_versions", &[Op::VersionsList]),
    ("conditional_writes", &[Op::FileConditional]),
    ("range_reads", &[Op::FileRange]),
    ("can_list_users", &[Op::TeamUsersList]),
    ("can_retrieve_user", &[Op::TeamUsersRead]),
    ("can_list_groups", &[Op::TeamGroupsList]),
    ("can_retrieve_group", &[Op::TeamGroupsRead]),
    ("can_list_group_members", &[Op::TeamGroupsMembers]),
    ("can_crud_calendars", &[Op::CalendarsWrite]),
    ("can_crud_calendar_events", &[Op::CalendarEventsWrite]),
    ("can_find_availability", &[Op::CalendarAvailability]),
    ("can_crud_crm_accounts", &[Op::CrmAccountsWrite]),
    ("can_crud_crm_contacts", &[Op::CrmContactsWrite]),
    ("can_crud_crm_leads", &[Op::CrmLeadsWrite]),
    ("can_crud_crm_opportunities", &[Op::CrmOpportunitiesWrite]),
    ("can_crud_crm_campaigns", &[Op::CrmCampaignsWrite]),
    ("can_crud_crm_tasks", &[Op::CrmTasksWrite]),
    ("can_crud_crm_objects", &[Op::CrmObjectsWrite]),
    ("can_crm_batch", &[Op::CrmBatch]),
    ("can_crm_search", &[Op::CrmSearch]),
    ("can_crm_schema", &[Op::CrmSchemas]),
    ("can_list_conversations", &[Op::ConversationsList]),
    ("can_list_messages", &[Op::MessagesList]),
    ("can_send_message", &[Op::MessagesCreate]),
    ("can_list_emails", &[Op::EmailList]),
    ("can_send_email", &[Op::EmailCreate]),
    ("can_track_events", &[Op::ChangesRead]),
    ("can_pass_through", &[Op::Raw]),
];

/// Why something is emulated or cannot be done: a stable code and a sentence for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Reason {
    /// One of the codes of the wire API, section 51.
    pub code: &'static str,
    /// What a person should know.
    pub message: &'static str,
}

impl Reason {
    /// The service has nothing of the kind.
    #[must_use]
    pub const fn lacks(message: &'static str) -> Self {
        Self { code: "service_lacks_feature", message }
    }

    /// The service could, but our connector cannot yet.
    #[must_use]
    pub const fn incomplete(message: &'static str) -> Self {
        Self { code: "connector_incomplete", message }
    }
}

/// Whether an account can do an operation, and what it costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Support {
    /// The service does it itself.
    Native,
    /// Tramontane builds it from what is there.
    Emulated(Reason),
    /// It cannot be done.
    Unsupported(Reason),
}

impl Support {
    /// The word on the wire.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Native => "native",
            Self::Emulated(_) => "emulated",
            Self::Unsupported(_) => "unsupported",
        }
    }

    /// Whether a caller may ask for it.
    #[must_use]
    pub fn is_supported(&self) -> bool {
        !matches!(self, Self::Unsupported(_))
    }

    /// Why it is not native.
    #[must_use]
    pub fn reason(&self) -> Option<Reason> {
        match self {
            Self::Native => None,
            Self::Emulated(reason) | Self::Unsupported(reason) => Some(*reason),
        }
    }
}

/// A set of operations.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Ops(u128);

impl Ops {
    /// The empty set.
    pub const NONE: Self = Self(0);

    /// The set of these operations.
    #[must_use]
    pub const fn of(ops: &[Op]) -> Self {
        let mut bits = 0;
        let mut rest = ops;
        while let [op, tail @ ..] = rest {
            bits |= 1 << (*op as u8);
            rest = tail;
        }
        Self(bits)
    }

    /// Whether the operation is in the set.
    #[must_use]
    pub const fn has(self, op: Op) -> bool {
        self.0 & (1 << (op as u8)) != 0
    }

    /// This set and one more.
    #[must_use]
    pub const fn with(self, op: Op) -> Self {
        Self(self.0 | (1 << (op as u8)))
    }

    /// This set but one.
    #[must_use]
    pub const fn without(self, op: Op) -> Self {
        Self(self.0 & !(1 << (op as u8)))
    }

    /// Both sets together.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// The operations in the set, in the order of [`Op::ALL`].
    pub fn iter(self) -> impl Iterator<Item = Op> {
        Op::ALL.iter().copied().filter(move |op| self.has(*op))
    }
}

impl fmt::Debug for Ops {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter().map(Op::as_str)).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_operations_fit_into_the_set() {
        assert!(Op::ALL.len() <= 128);
        let all = Ops::of(Op::ALL);
        assert_eq!(all.iter().count(), Op::ALL.len());
        assert!(!all.without(Op::Raw).has(Op::Raw));
    }

    #[test]
    fn every_capability_stands_for_something() {
        assert!(ACCOUNT_CAPABILITIES.iter().all(|(_, ops)| !ops.is_empty()));
    }
}
