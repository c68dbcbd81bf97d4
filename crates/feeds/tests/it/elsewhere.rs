//! Readers are woken by what other processes commit.

use futures::FutureExt as _;
use tramontane_feeds::elsewhere::look;
use tramontane_feeds::{Live, Log};

use crate::house::on_each_engine;

#[tokio::test]
async fn a_look_at_the_database_wakes_who_waits() {
    on_each_engine(|house| async {
        // Another process: it is told of nothing that the first one commits.
        let other = Log::new(house.db.clone(), Live::default());
        let (mut one, mut two) = (other.live().feed(1), other.live().feed(2));
        let mut shard = other.live().shard(0);
        house.append(1, 1, 0, &["a"]).await;
        assert!(one.changed().now_or_never().is_none(), "nothing is told between processes");
        look(&other).await.unwrap();
        assert!(one.changed().now_or_never().is_some());
        assert!(shard.changed().now_or_never().is_some());
        assert!(two.changed().now_or_never().is_none(), "nothing happened there");
        look(&other).await.unwrap();
        assert!(one.changed().now_or_never().is_none(), "it is known by now");
        house.append(2, 1, 1, &["b"]).await;
        drop((one, shard));
        look(&other).await.unwrap();
        assert!(two.changed().now_or_never().is_some());
        house
    })
    .await;
}
