//! Copies within the service, whole or in parts.

use futures::{StreamExt, TryStreamExt, stream};
use http::{HeaderMap, header};
use tramontane_connector::{Conflict, Entry, Error, Place, Result};
use tramontane_model::NativeId;

use super::client::{Client, Condition, Written};
use super::fault::is_not_implemented;
use super::place::Object;
use super::uploads::Unfinished;
use super::write::{STEP, Spot, write_error};

/// The largest object that S3 copies in one request.
const ONE_COPY: u64 = 5 << 30;
/// The size of the parts that larger ones are copied in.
const COPY_PART: u64 = 1 << 30;
/// So many parts are copied at once.
const COPIES_AT_ONCE: usize = 4;

impl Client<'_> {
    /// Copies a file to a place.
    pub(super) async fn copy_file(
        &self,
        file: &NativeId,
        to: &Place,
        conflict: Conflict,
    ) -> Result<Entry> {
        let (from, facts) = self.existing(file).await?;
        let spot = self.spot(to, conflict, None).await?;
        if spot.object == from {
            // Only `Replace` comes so far: the file takes its own place.
            return Ok(facts.entry(&self.target, &from));
        }
        let size = facts.size.unwrap_or(0);
        let written = self.copy_object(&from, None, size, &spot).await;
        let written = written.map_err(|error| match error.is_not_found() {
            true if super::fault::says(&error, "NoSuchKey") => super::place::missing(file),
            _ => write_error(error, &spot),
        })?;
        self.entry_of(&spot.object, written, facts.size, facts.media_type).await
    }

    /// Copies an object, or one version of it.
    pub(super) async fn copy_object(
        &self,
        from: &Object,
        version: Option<&str>,
        size: u64,
        spot: &Spot,
    ) -> Result<Written> {
        if size > ONE_COPY {
            return self.copy_parts(from, version, size, spot).await;
        }
        match self.copy(from, version, &spot.object, &spot.condition).await {
            Err(error) if spot.condition != Condition::Any && is_not_implemented(&error) => {
                self.copy(from, version, &spot.object, &Condition::Any).await
            }
            done => done,
        }
    }

    async fn copy_parts(
        &self,
        from: &Object,
        version: Option<&str>,
        size: u64,
        spot: &Spot,
    ) -> Result<Written> {
        let step = self.within(STEP);
        let head = step.head_version(from, version).await?;
        let Some((facts, headers)) = head else { return Err(super::place::missing(&from.id())) };
        // Parts must all come from the same content.
        let pinned = version.map(str::to_owned).or(facts.version);
        let upload = step.begin_upload(&spot.object, &kept(&headers)).await?;
        let upload = Unfinished::new(step, &spot.object, upload);
        let id = upload.id();
        let numbers = 1..=u32::try_from(size.div_ceil(COPY_PART)).unwrap_or(u32::MAX);
        let parts = stream::iter(numbers).map(|number| {
            let step = self.within(STEP);
            let pinned = pinned.as_deref();
            async move {
                let first = u64::from(number - 1) * COPY_PART;
                let last = (first + COPY_PART).min(size) - 1;
                let range = (first, last);
                let etag = step.copy_part(&spot.object, id, number, from, pinned, range).await?;
                Ok::<_, Error>((number, etag))
            }
        });
        let parts: Vec<_> = parts.buffered(COPIES_AT_ONCE).try_collect().await?;
        let step = self.within(STEP);
        let written = step.finish_upload(&spot.object, id, &parts, &spot.condition).await?;
        upload.finished();
        Ok(written)
    }

    /// Makes an old version the newest content.
    pub(super) async fn restore(&self, file: &NativeId, version: &str) -> Result<Entry> {
        let object = Object::of(&self.target, file)?;
        let old = self.head_version(&object, Some(version)).await?;
        let Some((old, _)) = old else {
            return Err(Error::not_found(format!("The file has no version \"{version}\".")));
        };
        let now = self.head(&object).await?;
        if let Some(now) = now
            && (now.version.as_deref() == Some(version)
                || (now.version.is_none() && version == "null"))
        {
            return Ok(now.entry(&self.target, &object));
        }
        let size = old.size.unwrap_or(0);
        let spot = Spot { object: object.clone(), condition: Condition::Any };
        let written = self.copy_object(&object, Some(version), size, &spot).await?;
        self.entry_of(&object, written, old.size, old.media_type).await
    }
}

/// The headers of an object that a copy keeps; S3 does this itself for copies in one request.
fn kept(headers: &HeaderMap) -> HeaderMap {
    let mut kept = HeaderMap::new();
    for (name, value) in headers {
        let described = [
            header::CONTENT_TYPE,
            header::CONTENT_DISPOSITION,
            header::CONTENT_ENCODING,
            header::CONTENT_LANGUAGE,
            header::CACHE_CONTROL,
        ]
        .contains(name);
        if described || name.as_str().starts_with("x-amz-meta-") {
            kept.append(name.clone(), value.clone());
        }
    }
    kept
}
