//! A service that stops answering at a chosen point: a process that dies there leaves what it left.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use tokio::sync::Notify;
use tramontane_connector::descriptor::{Descriptor, Field};
use tramontane_connector::storage::{Content, DeleteOptions, ReadOptions};
use tramontane_connector::{
    Abilities, Account, Body, Category, Conflict, Connector, Cx, ETag, Entry, EntryRef, Identity,
    Place, Result, Storage, WriteOptions,
};
use tramontane_model::{NativeId, Op, Page, PageRequest};
use tramontane_testkit::Memory;

static DESCRIPTOR: Descriptor = Descriptor {
    name: "stuck",
    friendly_name: "Stuck",
    category: Category::FileStore,
    apis: &["storage"],
    fields: &[Field::text("drive", "Drive", "Any name.").optional()],
    documentation: "https://example.com",
};

/// Where the service stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Point {
    /// Before the write is done.
    Before(Op),
    /// After it is done, and before it says so.
    After(Op),
}

/// Memory that stops at a point, once.
#[derive(Clone)]
pub(crate) struct Stuck {
    inner: Arc<dyn Storage>,
    point: Arc<Mutex<Option<Point>>>,
    stopped: Arc<Notify>,
}

impl Stuck {
    pub(crate) fn new() -> Self {
        let inner = Memory::new().storage().unwrap();
        Self { inner, point: Arc::default(), stopped: Arc::default() }
    }

    /// The next write of this kind stops there, for ever.
    pub(crate) fn stop_at(&self, point: Point) {
        *self.point.lock().unwrap() = Some(point);
    }

    /// Returns when it has stopped.
    pub(crate) async fn stopped(&self) {
        self.stopped.notified().await;
    }

    async fn pass(&self, point: Point) {
        let here = self.point.lock().unwrap().take_if(|own| *own == point).is_some();
        if here {
            self.stopped.notify_one();
            std::future::pending::<()>().await;
        }
    }

    async fn around<T>(&self, op: Op, work: impl Future<Output = Result<T>> + Send) -> Result<T> {
        self.pass(Point::Before(op)).await;
        let done = work.await;
        self.pass(Point::After(op)).await;
        done
    }
}

#[async_trait]
impl Connector for Stuck {
    fn descriptor(&self) -> &'static Descriptor {
        &DESCRIPTOR
    }

    async fn identify(&self, _: &Cx) -> Result<Identity> {
        Ok(Identity { id: "x".into(), display: "x".into() })
    }

    fn storage(&self) -> Option<Arc<dyn Storage>> {
        Some(Arc::new(self.clone()))
    }
}

#[async_trait]
impl Storage for Stuck {
    fn abilities(&self, account: &Account) -> Abilities {
        self.inner.abilities(account)
    }

    fn root(&self, account: &Account) -> NativeId {
        self.inner.root(account)
    }

    async fn get(&self, cx: &Cx, of: &EntryRef) -> Result<Entry> {
        self.inner.get(cx, of).await
    }

    async fn list(&self, cx: &Cx, folder: &NativeId, page: &PageRequest) -> Result<Page<Entry>> {
        self.inner.list(cx, folder, page).await
    }

    async fn read(&self, cx: &Cx, file: &NativeId, how: &ReadOptions) -> Result<Content> {
        self.inner.read(cx, file, how).await
    }

    async fn create(&self, cx: &Cx, at: &Place, body: Body, how: &WriteOptions) -> Result<Entry> {
        self.around(Op::FileCreate, self.inner.create(cx, at, body, how)).await
    }

    async fn update(
        &self,
        cx: &Cx,
        file: &NativeId,
        body: Body,
        if_match: Option<&ETag>,
    ) -> Result<Entry> {
        self.around(Op::FileUpdate, self.inner.update(cx, file, body, if_match)).await
    }

    async fn create_folder(&self, cx: &Cx, at: &Place) -> Result<Entry> {
        self.around(Op::FolderCreate, self.inner.create_folder(cx, at)).await
    }

    async fn relocate(
        &self,
        cx: &Cx,
        what: &EntryRef,
        to: &Place,
        conflict: Conflict,
    ) -> Result<Entry> {
        self.around(Op::FileMove, self.inner.relocate(cx, what, to, conflict)).await
    }

    async fn copy(
        &self,
        cx: &Cx,
        what: &EntryRef,
        to: &Place,
        conflict: Conflict,
    ) -> Result<Entry> {
        self.around(Op::FileCopy, self.inner.copy(cx, what, to, conflict)).await
    }

    async fn delete(&self, cx: &Cx, what: &EntryRef, how: &DeleteOptions) -> Result<()> {
        self.around(Op::FileDelete, self.inner.delete(cx, what, how)).await
    }
}
