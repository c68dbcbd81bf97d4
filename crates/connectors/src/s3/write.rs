//! Making objects: what may stand where, and content in one request.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, header};
use tramontane_connector::error::Kind;
use tramontane_connector::place::check_name;
use tramontane_connector::{
    Body, Conflict, ETag, Entry, EntryRef, Error, Place, Result, Retry, WriteOptions,
};
use tramontane_model::NativeId;

use super::client::{Client, Condition, Load, Written};
use super::fault::{is_not_implemented, is_precondition, says};
use super::place::{Facts, Folder, Object};
use super::target::MAX_KEY_BYTES;

/// Content up to this size is held in memory, so that the request can be sent again.
const SMALL: u64 = 256 << 10;
/// Content of known size up to this one goes in one request, beyond in parts: parts can be sent again.
const ONE_REQUEST: u64 = 256 << 20;
/// How long one step of a long upload may take.
pub(super) const STEP: Duration = Duration::from_secs(300);

/// Where a place is: the object, after all that can be said against it without its content.
pub(super) struct Spot {
    pub(super) object: Object,
    pub(super) condition: Condition,
}

impl Client<'_> {
    /// The object that a place means, if its folder is there.
    ///
    /// # Errors
    /// `ParentNotFound`, `NotAllowed`, `Invalid`.
    pub(super) async fn object_at(&self, at: &Place) -> Result<Object> {
        let (object, parent) = self.named(at)?;
        self.check_parent(&parent).await?;
        Ok(object)
    }

    fn named(&self, at: &Place) -> Result<(Object, Folder)> {
        check_name(&at.name)?;
        let parent = Folder::of(&self.target, &at.parent).map_err(|_| no_parent())?;
        let Folder::Prefix { bucket, prefix } = &parent else {
            return Err(Error::new(
                Kind::NotAllowed,
                "Buckets cannot be made here, and everything else is in a bucket.",
            ));
        };
        let key = format!("{prefix}{}", at.name);
        if key.len() >= MAX_KEY_BYTES {
            return Err(Error::invalid(format!(
                "name is too long: with the folders above it may have {} bytes.",
                MAX_KEY_BYTES - 1
            )));
        }
        if self.target.is_seaweed() {
            if at.name.contains('\\') {
                return Err(Error::invalid(
                    "name must not contain \"\\\": this server takes it for a \"/\".",
                ));
            }
            let most = self.target.max_name_bytes();
            if at.name.len() > most {
                let text = format!("name must be at most {most} bytes long on this server.");
                return Err(Error::invalid(text));
            }
        }
        Ok((Object { bucket: bucket.clone(), key }, parent))
    }

    async fn check_parent(&self, parent: &Folder) -> Result<()> {
        let found = match parent {
            // The root is there by decree; a bucket says so itself when something is written to it.
            _ if *parent == Folder::root(&self.target) => true,
            Folder::Buckets => true,
            Folder::Prefix { prefix, .. } if prefix.is_empty() => true,
            Folder::Prefix { bucket, prefix } => self.is_folder(bucket, prefix).await?,
        };
        if found { Ok(()) } else { Err(no_parent()) }
    }

    /// Whether a prefix is a folder: something is below it, or it has a marker.
    pub(super) async fn is_folder(&self, bucket: &str, prefix: &str) -> Result<bool> {
        match self.is_populated(bucket, prefix).await {
            Ok(true) => return Ok(true),
            Err(error) if !error.is_not_found() => return Err(error),
            _ => {}
        }
        let marker = Object { bucket: bucket.to_owned(), key: prefix.to_owned() };
        if marker.key.split('/').any(|part| part == "." || part == "..") {
            return Ok(false);
        }
        let Some(facts) = self.head(&marker).await? else { return Ok(false) };
        // In buckets with versions SeaweedFS keeps a directory of its own for every folder that ever
        // was; listings do not show it, and its etag counts no parts.
        let leftover = self.target.is_seaweed()
            && self.target.versioning == Some(true)
            && facts.etag.is_some_and(|etag| etag.value.ends_with("-0"));
        Ok(!leftover)
    }

    /// Looks what is at a place, before content is sent there.
    ///
    /// # Errors
    /// `Conflict`, `Precondition`, and what [`Client::object_at`] says.
    pub(super) async fn spot(
        &self,
        at: &Place,
        conflict: Conflict,
        if_match: Option<&ETag>,
    ) -> Result<Spot> {
        let (object, parent) = self.named(at)?;
        let condition = match (if_match, conflict) {
            (Some(etag), _) => Condition::Matches(etag.clone()),
            (None, Conflict::Fail) => Condition::Absent,
            (None, Conflict::Replace) => Condition::Any,
        };
        let below = format!("{}/", object.key);
        let there =
            async { if condition == Condition::Any { Ok(None) } else { self.head(&object).await } };
        let (parent, folder, there) = futures::join!(
            self.check_parent(&parent),
            self.is_populated(&object.bucket, &below),
            there
        );
        parent?;
        if folder.or_else(|error| if error.is_not_found() { Ok(false) } else { Err(error) })? {
            let folder = Folder::Prefix { bucket: object.bucket.clone(), prefix: below };
            return Err(Error::conflict(&at.name, Some(EntryRef::folder(folder.id()))));
        }
        check_condition(&object, there?.as_ref(), &condition)?;
        Ok(Spot { object, condition })
    }

    /// Writes content and gives the entry it made.
    pub(super) async fn write(&self, spot: &Spot, body: Body) -> Result<Entry> {
        let media_type = body.media_type().map(str::to_owned).or_else(|| guessed(&spot.object));
        let body = body.checked();
        let sent = body.len();
        let written = match body.len() {
            Some(len) if len <= SMALL => {
                let limit = usize::try_from(SMALL).unwrap_or(usize::MAX);
                let whole = body.collect(limit).await?;
                self.put_bytes(spot, whole, media_type.as_deref()).await
            }
            Some(len) if len <= ONE_REQUEST => {
                let put = self.put(
                    &spot.object,
                    Load::Stream(body),
                    media_type.as_deref(),
                    &spot.condition,
                );
                put.await.map_err(|error| not_conditional(error, &spot.condition))
            }
            len => self.write_parts(spot, body, len, media_type.as_deref()).await,
        };
        let written = written.map_err(|error| write_error(error, spot))?;
        self.entry_of(&spot.object, written, sent, media_type).await
    }

    /// Writes content that is in memory: a server that does not know conditions is asked again
    /// without.
    pub(super) async fn put_bytes(
        &self,
        spot: &Spot,
        bytes: Bytes,
        media_type: Option<&str>,
    ) -> Result<Written> {
        let put =
            || self.put(&spot.object, Load::Bytes(bytes.clone()), media_type, &spot.condition);
        match put().await {
            Err(error) if spot.condition != Condition::Any && is_not_implemented(&error) => {
                put().await
            }
            done => done,
        }
    }

    /// The entry of what was just written. Another request, because S3 does not tell the time.
    pub(super) async fn entry_of(
        &self,
        object: &Object,
        written: Written,
        size: Option<u64>,
        media_type: Option<String>,
    ) -> Result<Entry> {
        let step = self.within(STEP);
        let facts = match step.head_version(object, written.version.as_deref()).await {
            Ok(Some((facts, _))) => facts,
            // It is written, whatever this says: a key may be allowed to write and not to read.
            _ => Facts {
                size,
                etag: written.etag,
                version: written.version,
                media_type,
                ..Facts::default()
            },
        };
        Ok(facts.entry(&self.target, object))
    }
}

/// The headers that describe an object.
pub(super) fn described(media_type: Option<&str>) -> HeaderMap {
    let mut headers = HeaderMap::new();
    if let Some(value) = media_type.and_then(|text| HeaderValue::from_str(text).ok()) {
        headers.insert(header::CONTENT_TYPE, value);
    }
    headers
}

/// The media type that an object's name suggests.
pub(super) fn guessed(object: &Object) -> Option<String> {
    mime_guess::from_path(object.name()).first().map(|kind| kind.to_string())
}

fn no_parent() -> Error {
    Error::new(Kind::ParentNotFound, "The folder to write into is not there.")
}

/// Whether what is there is what the condition wants.
pub(super) fn check_condition(
    object: &Object,
    there: Option<&Facts>,
    condition: &Condition,
) -> Result<()> {
    match (condition, there) {
        (Condition::Absent, Some(_)) => {
            Err(Error::conflict(object.name(), Some(EntryRef::file(object.id()))))
        }
        (Condition::Matches(wanted), facts) => {
            let etag = facts.and_then(|facts| facts.etag.as_ref());
            if etag.is_some_and(|etag| etag.value == wanted.value) {
                return Ok(());
            }
            Err(Error::new(Kind::Precondition, "The file has changed in the meantime."))
        }
        _ => Ok(()),
    }
}

/// A refused condition in the caller's words.
pub(super) fn write_error(error: Error, spot: &Spot) -> Error {
    if says(&error, "NoSuchBucket") {
        return no_parent();
    }
    if is_precondition(&error) && spot.condition == Condition::Absent {
        return Error::conflict(spot.object.name(), Some(EntryRef::file(spot.object.id())));
    }
    if error.is_not_found() && matches!(spot.condition, Condition::Matches(_)) {
        return Error::new(Kind::Precondition, "The file has changed in the meantime.");
    }
    error
}

/// A stream cannot be sent again without its condition; the next call will leave it out.
fn not_conditional(error: Error, condition: &Condition) -> Error {
    if *condition == Condition::Any || !is_not_implemented(&error) {
        return error;
    }
    let text = "The service does not know conditional writes; try again, it will be left out.";
    Error::new(Kind::Unavailable, text).retry(Retry::Soon)
}

/// The marker object that keeps an empty folder.
pub(super) fn marker(bucket: &str, prefix: &str) -> Object {
    Object { bucket: bucket.to_owned(), key: prefix.to_owned() }
}

impl Client<'_> {
    /// Makes a folder: an object with no content, whose key ends in `/`.
    pub(super) async fn make_folder(&self, at: &Place) -> Result<Entry> {
        let spot = self.spot(at, Conflict::Fail, None).await?;
        let prefix = format!("{}/", spot.object.key);
        let marker = marker(&spot.object.bucket, &prefix);
        let folder = Folder::Prefix { bucket: marker.bucket.clone(), prefix };
        let taken = || Error::conflict(&at.name, Some(EntryRef::folder(folder.id())));
        // A folder that only its marker keeps does not show in every server's listing.
        if self.head(&marker).await?.is_some() {
            return Err(taken());
        }
        let spot = Spot { object: marker, condition: Condition::Absent };
        match self.put_bytes(&spot, Bytes::new(), Some("application/x-directory")).await {
            Ok(_) => Ok(folder.entry(&self.target)),
            Err(error) if is_precondition(&error) => Err(taken()),
            Err(error) => Err(write_error(error, &spot)),
        }
    }

    /// The object of a file that is there, with what is known of it.
    pub(super) async fn existing(&self, file: &NativeId) -> Result<(Object, Facts)> {
        let object = Object::of(&self.target, file)?;
        match self.head(&object).await? {
            Some(facts) => Ok((object, facts)),
            None => Err(super::place::missing(file)),
        }
    }

    /// Replaces the content of a file that is there.
    pub(super) async fn replace(
        &self,
        file: &NativeId,
        body: Body,
        if_match: Option<&ETag>,
    ) -> Result<Entry> {
        let (object, facts) = self.existing(file).await?;
        let condition = if_match.map_or(Condition::Any, |etag| Condition::Matches(etag.clone()));
        check_condition(&object, Some(&facts), &condition)?;
        // The type that it was given stays unless the new content brings one.
        let media_type = body.media_type().map(str::to_owned).or(facts.media_type);
        let body = body.with_media_type(media_type);
        self.write(&Spot { object, condition }, body).await
    }

    /// Writes content to a place.
    pub(super) async fn make_file(
        &self,
        at: &Place,
        body: Body,
        how: &WriteOptions,
    ) -> Result<Entry> {
        let spot = self.spot(at, how.conflict, how.if_match.as_ref()).await?;
        self.write(&spot, body).await
    }
}
