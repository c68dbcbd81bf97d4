//! What is known of a service before any feed of it was watched, as data.

const SECOND: i64 = 1_000;
const MINUTE: i64 = 60 * SECOND;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

/// The constants of a service, or of one of its plans. Times are milliseconds where not said otherwise.
///
/// Session gap and length need not be exact: wrong by two to four times they lengthened the mean delay by a
/// sixth at most in the traces of docs/performance.md.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Class {
    /// The service's id, as in the connectors.
    pub service: &'static str,
    /// Mean time between two changes while somebody works, in seconds (one over the rate within a session).
    pub session_gap: f32,
    /// Mean length of such a session, in seconds.
    pub session_length: f32,
    /// Changes a day that are assumed of a feed of which nothing is known: about a fifth of the mean of
    /// such feeds, because most change less than the mean.
    pub prior_rate: f32,
    /// Never poll oftener than this for the price's sake.
    pub shortest: i64,
    /// Never leave a feed unpolled for longer: a third of what the service keeps a cursor for, or less.
    pub longest: i64,
    /// The least time between two polls that nudges cause, while nudges are rare.
    pub debounce: i64,
    /// How rarely a feed is polled at least while its push is healthy: a floor under the interval.
    pub backstop: i64,
    /// How late a push may come and still count as having announced a change.
    pub push_lag: i64,
    /// The share of changes that push is assumed to announce, until it was measured.
    pub push_share: f32,
    /// Whether the service offers a connection that is held until something changes.
    pub long_poll: bool,
}

/// Where nothing better is known. Only the idea of a session is ours: a change each half minute for
/// twenty minutes, as people work on files.
const PLAIN: Class = Class {
    service: "",
    session_gap: 30.0,
    session_length: 1_200.0,
    prior_rate: 0.5,
    shortest: 5 * SECOND,
    longest: DAY,
    debounce: SECOND,
    backstop: 10 * MINUTE,
    push_lag: MINUTE,
    push_share: 0.9,
    long_poll: false,
};

/// Microsoft Graph says that apps should use webhooks and call delta at most once a day behind them
/// ("Best practices for discovering files and detecting changes at scale"). It documents a push as
/// less than a minute late on average and five at most ("Set up notifications for changes in resource data").
const GRAPH_DRIVE: Class = Class {
    service: "onedrive",
    backstop: DAY,
    longest: 2 * DAY,
    push_lag: 5 * MINUTE,
    push_share: 0.95,
    ..PLAIN
};

/// A listing of the whole is what a poll means here, so none follows another at once.
const SCANNED: Class = Class {
    service: "s3",
    shortest: 30 * SECOND,
    debounce: 5 * SECOND,
    backstop: HOUR,
    push_lag: 5 * MINUTE,
    ..PLAIN
};

/// The classes that ship. The rates and sessions are first guesses until they are fitted to events.
pub const CLASSES: &[Class] = &[
    // Start page tokens of Drive do not expire (changes.getStartPageToken).
    Class { service: "gdrive", longest: 2 * DAY, ..PLAIN },
    // Google calls Calendar's push "not 100% reliable" (Calendar API, "Push notifications").
    Class { service: "google_calendar", session_length: 300.0, ..PLAIN },
    // History is kept for a week as a rule and sometimes less (Gmail API, "Synchronizing clients").
    Class { service: "gmail", session_gap: 120.0, prior_rate: 4.0, longest: DAY, ..PLAIN },
    GRAPH_DRIVE,
    Class { service: "onedrivebiz", ..GRAPH_DRIVE },
    Class { service: "sharepoint", prior_rate: 2.0, ..GRAPH_DRIVE },
    // Push is less than a minute late on average and three at most.
    Class {
        service: "outlook",
        session_gap: 120.0,
        prior_rate: 4.0,
        backstop: 6 * HOUR,
        push_lag: 3 * MINUTE,
        ..PLAIN
    },
    // A cursor that is not used may be reset; weekly use is safe, so a third of that.
    Class { service: "dropbox", longest: 2 * DAY, long_poll: true, ..PLAIN },
    // User events are kept for two weeks at least (Box, "User events"), a third of that.
    Class { service: "box", longest: 4 * DAY, long_poll: true, ..PLAIN },
    Class { service: "slack", session_gap: 20.0, prior_rate: 20.0, backstop: 30 * MINUTE, ..PLAIN },
    Class { backstop: HOUR, ..SCANNED },
    Class { service: "s3_compatible", ..SCANNED },
    Class { service: "azure", ..SCANNED },
    Class { service: "webdav", ..PLAIN },
    // Its push is documented as best effort (notify_push, README).
    Class { service: "nextcloud", push_share: 0.8, ..PLAIN },
    Class { service: "sftp", ..SCANNED },
    Class { service: "ftp", ..SCANNED },
    Class { service: "smb", ..SCANNED },
    // The file system tells at once and costs nothing but our own time.
    Class { service: "local", shortest: SECOND, debounce: 20, push_lag: 5 * SECOND, ..PLAIN },
    // Change events are kept for 72 hours.
    Class { service: "salesforce", longest: DAY, ..PLAIN },
];

impl Class {
    /// The class of a service; a cautious one for a service that is not in the table.
    #[must_use]
    pub fn of(service: &str) -> &'static Class {
        CLASSES.iter().find(|class| class.service == service).unwrap_or(&PLAIN)
    }

    /// Changes a second within a session.
    pub(super) fn busy_rate(&self) -> f64 {
        1.0 / f64::from(self.session_gap.max(0.001))
    }

    /// Ends of sessions a second.
    pub(super) fn end_rate(&self) -> f64 {
        1.0 / f64::from(self.session_length.max(0.001))
    }
}
