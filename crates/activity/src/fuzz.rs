//! Fuzz targets of what is read back from the database.

use tramontane_fuzz::fuzz;

use crate::delivery::{Checkpoint, MessageKey, attempt};
use crate::segment;

fuzz!(
    segments,
    [b"\x01\x00\x01\x00".as_slice(), b"\x01\x00\x0b\x01\x01\x01\x01\x01\x02\x01\x02{}[]"],
    |data| {
        if let Ok(groups) = segment::decode(data) {
            assert_eq!(segment::decode(&segment::seal(&groups)), Ok(groups.clone()));
            assert_eq!(segment::decode(&segment::encode(&groups)), Ok(groups));
        }
    }
);

fuzz!(
    checkpoints,
    [b"\x01\x05\x00\x01\x01\x04\x00\x07\x09".as_slice(), b"\x01\x00\x00\x00"],
    |data| {
        if let Ok(kept) = Checkpoint::decode(7, data) {
            assert_eq!(Checkpoint::decode(7, &kept.encode()), Ok(kept));
        }
    }
);

fuzz!(delivery_ids, [b"dlv_AAAAAAAAAQEA".as_slice()], |data| {
    if let Ok(text) = std::str::from_utf8(data)
        && let Some(key) = MessageKey::of_delivery(text, "whk_1")
    {
        assert_eq!(key.delivery_id("whk_1"), text);
    }
});

fuzz!(attempts, [b"\x01\x02\x28\xb5\x2f\xfd".as_slice()], |data| {
    if let Ok(batch) = attempt::decode(data) {
        assert_eq!(attempt::encode(&batch).and_then(|bytes| attempt::decode(&bytes)), Ok(batch));
    }
});
