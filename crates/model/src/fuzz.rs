//! Fuzz targets: ids and times, as callers and services write them.

use tramontane_fuzz::fuzz;

use crate::id::{AccountId, ResourceId};
use crate::time::Timestamp;

fuzz!(
    resource_ids,
    [
        "file_L1JlcG9ydHMvcTEucGRm",
        "folder_L1JlcG9ydHM",
        "fL1JlcG9ydHMvcTEucGRm",
        "file_ZG9jIDEvw6kudHh0==",
        "calendar_YW5hQGV4YW1wbGUuY29t",
        "root",
        "F3yE",
    ],
    |data| {
        let text = String::from_utf8_lossy(data);
        if let Some(id) = ResourceId::parse(&text) {
            let written = id.to_string();
            let again = ResourceId::parse(&written);
            // Older forms have no kind; written anew, they get one.
            let native = again.map(|again| again.native);
            assert_eq!(native, Some(id.native), "{text:?} became {written:?}");
        }
    }
);

fuzz!(account_ids, ["412345678", "0", "2147483648", "-1", "+1", " 7"], |data| {
    if let Some(id) = AccountId::parse(&String::from_utf8_lossy(data)) {
        assert!((1..=2_147_483_647).contains(&id.number()));
        assert_eq!(AccountId::parse(&id.to_string()), Some(id));
    }
});

fuzz!(
    times,
    [
        "2026-03-02T09:15:00.123456Z",
        "2026-03-02",
        "2026-03-02T09:15:00+02:00",
        "20260302T091500Z",
        "Fri, 27 Feb 2026 16:40:02 GMT",
        "Sunday, 06-Nov-94 08:49:37 GMT",
        "Sun Nov  6 08:49:37 1994",
    ],
    |data| {
        let text = String::from_utf8_lossy(data);
        for time in
            [Timestamp::parse(&text), Timestamp::parse_http_date(&text)].into_iter().flatten()
        {
            let written = time.to_string();
            let again = Timestamp::parse(&written).map(Timestamp::micros);
            assert_eq!(again, Some(time.micros()), "{text:?} became {written:?}");
        }
    }
);
