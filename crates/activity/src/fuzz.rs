//! Fuzz targets of what is read back from the database.

use tramontane_fuzz::fuzz;

use crate::segment;

fuzz!(
    segments,
    [b"\x01\x00\x01\x00".as_slice(), b"\x01\x00\x0b\x01\x01\x01\x01\x01\x02\x01\x02{}[]"],
    |data| {
        if let Ok(groups) = segment::decode(data) {
            assert_eq!(segment::decode(&segment::encode(&groups)), Ok(groups));
        }
    }
);
