//! Fuzz targets: credentials as they are presented, and access lists.

use tramontane_fuzz::fuzz;

use crate::access::Access;
use crate::caller::Presented;

fuzz!(
    authorization_headers,
    ["Bearer tmb_3kXo,tmb_4lYp", "APIKey tmk_9fQ2vExampleKey", "developerkey tmm_x", "Basic YTpi"],
    |data| {
        let text = String::from_utf8_lossy(data);
        let fits = |word: &str| {
            (1..=255).contains(&word.len())
                && word.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
        };
        match Presented::parse(Some(&text)) {
            Ok(Presented::ApiKey(key) | Presented::DeveloperKey(key)) => assert!(fits(key)),
            Ok(Presented::Bearer(tokens)) => {
                assert!(!tokens.is_empty() && tokens.iter().all(|token| fits(token)));
            }
            Err(_) => {}
        }
    }
);

fuzz!(
    access_lists,
    [
        "storage:read storage:write@folder_L1JlcG9ydHM",
        "*",
        "*@calendar_YW5h",
        "events:events crm:raw",
        "calendar:delete@x=%3D",
    ],
    |data| {
        let text = String::from_utf8_lossy(data);
        if let Ok(access) = Access::from_stored(Some(&text)) {
            let written = access.to_stored();
            let again = Access::from_stored(written.as_deref()).ok();
            assert_eq!(again, Some(access), "{text:?} became {written:?}");
        }
    }
);
