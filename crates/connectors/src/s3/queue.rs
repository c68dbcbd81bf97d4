//! A queue (Amazon SQS) that buckets put their events into: a watch that says where to look.
//!
//! Events come at least once, in any order, sometimes minutes late. So nothing is believed of them but that
//! something may have changed in the folder of a key. A message is deleted when the next one is asked for, that is
//! when its folder was noted; a process that dies before it looked looks at everything when it comes back.
//!
//! <https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-content-structure.html>,
//! <https://docs.aws.amazon.com/AmazonS3/latest/userguide/ev-events.html>

use std::collections::BTreeSet;
use std::time::Duration;

use async_trait::async_trait;
use http::{HeaderName, Method, header};
use percent_encoding::percent_decode_str;
use serde::{Deserialize, Serialize};
use serde_json::json;
use sha2::{Digest, Sha256};
use tramontane_connector::changes::{Heard, Watch};
use tramontane_connector::error::Kind;
use tramontane_connector::http::Request;
use tramontane_connector::{Cx, Error, Repeat, Result};
use url::Url;

use super::place::parent_prefix;
use super::sign::PAYLOAD_HASH;
use super::target::Target;

/// Names the action of a call.
pub(super) const ACTION: HeaderName = HeaderName::from_static("x-amz-target");
/// What the names of all actions begin with.
pub(super) const SQS: &str = "AmazonSQS.";
/// How long a call waits for a message, in seconds: the longest that SQS does.
const WAIT: u64 = 20;
/// The most messages of one call.
const BATCH: usize = 10;
/// The most calls for messages that are there before what they say is passed on.
const ROUNDS: usize = 20;
/// The most folders that are named; beyond, everything is looked at.
const MAX_FOLDERS: usize = 1_000;
/// How long to wait after a call failed, at first and at most.
const PAUSE: Duration = Duration::from_secs(5);
const LONGEST_PAUSE: Duration = Duration::from_secs(300);
/// The most that is read of an answer: ten messages of 256 KiB, and what JSON adds.
const MAX_ANSWER_BYTES: usize = 8 << 20;

/// Listens at a queue for what happens in one account's buckets.
pub(super) struct QueueWatch {
    cx: Cx,
    target: Target,
    queue: Url,
    /// Receipts of the messages that were passed on.
    taken: Vec<String>,
    pause: Duration,
    hears: bool,
}

#[derive(Deserialize)]
struct Received {
    #[serde(rename = "Messages", default)]
    messages: Option<Vec<Message>>,
}

#[derive(Deserialize)]
struct Message {
    #[serde(rename = "ReceiptHandle")]
    receipt: String,
    #[serde(rename = "Body", default)]
    body: String,
}

impl QueueWatch {
    /// Listens at the queue that the account names; `None` when it names none.
    ///
    /// # Errors
    /// `Invalid` when the settings make no sense.
    pub(super) fn of(cx: &Cx) -> Result<Option<Self>> {
        let target = Target::of(&cx.account)?;
        let Some(queue) = target.queue.clone() else { return Ok(None) };
        let cx = cx.clone();
        Ok(Some(Self { cx, target, queue, taken: Vec::new(), pause: PAUSE, hears: true }))
    }

    async fn call(&self, action: &str, body: &impl Serialize, wait: u64) -> Result<Vec<u8>> {
        let bytes = serde_json::to_vec(body)
            .map_err(|error| Error::internal("The call cannot be written.").because(error))?;
        let mut url = self.queue.clone();
        // The JSON protocol has one address for all queues.
        url.set_path("/");
        let request = Request::new("sqs", Method::POST, url)
            .header(header::CONTENT_TYPE, "application/x-amz-json-1.0")
            .header(ACTION, format!("{SQS}{action}"))
            .header(PAYLOAD_HASH, hex::encode(Sha256::digest(&bytes)))
            .bytes(bytes)
            .repeat(Repeat::Yes);
        let cx = self.cx.waiting(Duration::from_secs(wait + 20));
        let answer = cx.send(request).await?;
        let status = answer.status;
        let bytes = answer.body.collect(MAX_ANSWER_BYTES).await?;
        if !status.is_success() {
            let said: String = String::from_utf8_lossy(&bytes).chars().take(200).collect();
            let kind = if status.as_u16() == 403 { Kind::Forbidden } else { Kind::Unavailable };
            return Err(Error::new(kind, format!("The queue answered {status}: {said}")));
        }
        Ok(bytes.to_vec())
    }

    async fn receive(&self, wait: u64) -> Result<Vec<Message>> {
        let asked = json!({
            "QueueUrl": self.queue.as_str(), "MaxNumberOfMessages": BATCH, "WaitTimeSeconds": wait,
        });
        let answer = self.call("ReceiveMessage", &asked, wait).await?;
        let received: Received = serde_json::from_slice(&answer).map_err(|error| {
            Error::new(Kind::Broken, "The queue's answer cannot be read.").because(error)
        })?;
        Ok(received.messages.unwrap_or_default())
    }

    /// Deletes what was passed on. What cannot be deleted comes again, which does no harm.
    async fn delete(&mut self) -> Result<()> {
        let taken = std::mem::take(&mut self.taken);
        for batch in taken.chunks(BATCH) {
            let entries: Vec<_> = batch
                .iter()
                .enumerate()
                .map(
                    |(number, receipt)| json!({"Id": number.to_string(), "ReceiptHandle": receipt}),
                )
                .collect();
            let asked = json!({"QueueUrl": self.queue.as_str(), "Entries": entries});
            self.call("DeleteMessageBatch", &asked, 0).await?;
        }
        Ok(())
    }

    async fn hear(&mut self) -> Result<Heard> {
        self.delete().await?;
        let mut folders = BTreeSet::new();
        for round in 0..ROUNDS {
            let messages = self.receive(if round == 0 { WAIT } else { 0 }).await?;
            if messages.is_empty() {
                break;
            }
            for message in messages {
                for (bucket, key) in keys(&message.body) {
                    folders.extend(folder(&self.target, &bucket, &key));
                }
                self.taken.push(message.receipt);
            }
        }
        if folders.len() > MAX_FOLDERS {
            return Ok(Heard::Everything);
        }
        Ok(Heard::Folders(folders.into_iter().collect()))
    }
}

/// Whether this is where calls to the account's queue go.
pub(super) fn is_at(target: &Target, url: &Url) -> bool {
    let queue = target.queue.as_ref();
    url.path() == "/" && queue.is_some_and(|queue| queue.origin() == url.origin())
}

#[async_trait]
impl Watch for QueueWatch {
    async fn next(&mut self) -> Option<Heard> {
        match self.hear().await {
            Ok(heard) => {
                (self.hears, self.pause) = (true, PAUSE);
                Some(heard)
            }
            Err(error) => {
                let account = self.cx.account.id.number();
                if self.hears {
                    tracing::warn!(account, %error, "the queue of a bucket's events cannot be read");
                    self.hears = false;
                    // That is worth knowing at once.
                    return Some(Heard::Folders(Vec::new()));
                }
                tokio::time::sleep(self.pause).await;
                self.pause = (self.pause * 2).min(LONGEST_PAUSE);
                Some(Heard::Folders(Vec::new()))
            }
        }
    }

    fn hears(&self) -> bool {
        self.hears
    }
}

#[derive(Deserialize)]
struct Body {
    /// As S3 sends it.
    #[serde(rename = "Records", default)]
    records: Vec<Record>,
    /// As EventBridge sends it.
    #[serde(default)]
    source: Option<String>,
    #[serde(default)]
    detail: Option<Place>,
    /// As SNS wraps it.
    #[serde(rename = "Message", default)]
    message: Option<String>,
}

#[derive(Deserialize)]
struct Record {
    #[serde(default)]
    s3: Option<Place>,
}

#[derive(Deserialize)]
struct Place {
    bucket: Bucket,
    object: Object,
}

#[derive(Deserialize)]
struct Bucket {
    name: String,
}

#[derive(Deserialize)]
struct Object {
    key: String,
}

/// The buckets and keys that a message names. S3's test event, and what is none of S3's, names none.
fn keys(body: &str) -> Vec<(String, String)> {
    let Ok(read) = serde_json::from_str::<Body>(body) else { return Vec::new() };
    let inner = read.message.as_deref().filter(|_| read.records.is_empty());
    let read = match inner.map(serde_json::from_str::<Body>) {
        Some(Ok(inner)) => inner,
        Some(Err(_)) => return Vec::new(),
        None => read,
    };
    let mut found = Vec::new();
    for place in read.records.into_iter().filter_map(|record| record.s3) {
        // As in a form: what is not ASCII is percent-encoded, a space is a plus.
        let spaced = place.object.key.replace('+', " ");
        if let Ok(key) = percent_decode_str(&spaced).decode_utf8() {
            found.push((place.bucket.name, key.into_owned()));
        }
    }
    // EventBridge gives keys as they are.
    if let (Some("aws.s3"), Some(place)) = (read.source.as_deref(), read.detail) {
        found.push((place.bucket.name, place.object.key));
    }
    found
}

/// The folder of a key, as a path below the account's root; `None` for what the account does not see.
fn folder(target: &Target, bucket: &str, key: &str) -> Option<String> {
    // A folder's marker tells of the folder that the folder is in.
    let key = key.strip_suffix('/').unwrap_or(key);
    let path = match &target.bucket {
        Some(only) if only == bucket => parent_prefix(key).strip_prefix(&target.prefix)?.to_owned(),
        Some(_) => return None,
        None => format!("{bucket}/{}", parent_prefix(key)),
    };
    let path = path.strip_suffix('/').unwrap_or(&path);
    Some(if path.is_empty() { String::new() } else { format!("/{path}") })
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::super::samples::account;
    use super::*;

    fn target(settings: &[(&str, &str)]) -> Target {
        Target::of(&account("s3", settings)).unwrap()
    }

    #[test]
    fn calls_go_to_the_queue_alone() {
        let queue = "https://sqs.eu-west-1.amazonaws.com/1/changes";
        let own = target(&[("bucket", "b"), ("sqs_queue_url", queue)]);
        let at = |url: &str| is_at(&own, &Url::parse(url).unwrap());
        assert!(at("https://sqs.eu-west-1.amazonaws.com/"));
        assert!(!at("https://sqs.eu-west-2.amazonaws.com/"));
        assert!(!at("http://sqs.eu-west-1.amazonaws.com/"));
        assert!(!is_at(&target(&[]), &Url::parse("https://s3.amazonaws.com/").unwrap()));
        assert_eq!(own.region_of(&Url::parse(queue).unwrap()), Some("eu-west-1"));
        assert!(!own.may_call(&Url::parse(queue).unwrap()));
    }

    #[test]
    fn messages_of_each_form_name_their_keys() {
        let s3 = r#"{"Records": [
            {"eventName": "ObjectCreated:Put", "s3": {"bucket": {"name": "b"},
             "object": {"key": "a/My+%C3%A4%2B1.txt", "sequencer": "0055AED6DCD90281E5"}}},
            {"eventName": "ObjectRemoved:Delete", "s3": {"bucket": {"name": "b"}, "object": {"key": "k"}}},
            {"eventName": "other"}]}"#;
        let expected = [("b".to_owned(), "a/My ä+1.txt".to_owned()), ("b".into(), "k".into())];
        assert_eq!(keys(s3), expected);
        let wrapped = json!({"Type": "Notification", "Message": s3}).to_string();
        assert_eq!(keys(&wrapped), expected);
        let bridge = r#"{"version": "0", "detail-type": "Object Created", "source": "aws.s3",
            "detail": {"bucket": {"name": "b"}, "object": {"key": "a/1+1%20.txt"}, "reason": "PutObject"}}"#;
        assert_eq!(keys(bridge), [("b".to_owned(), "a/1+1%20.txt".to_owned())]);
        let test = r#"{"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": "b"}"#;
        for nothing in
            [test, "", "nonsense", "[]", r#"{"Message": "hello"}"#, r#"{"Records": [{}]}"#]
        {
            assert!(keys(nothing).is_empty(), "{nothing}");
        }
    }

    #[test]
    fn a_key_is_looked_for_in_its_folder_below_the_root() {
        let all = target(&[]);
        assert_eq!(folder(&all, "b", "a/c/k").as_deref(), Some("/b/a/c"));
        assert_eq!(folder(&all, "b", "k").as_deref(), Some("/b"));
        let one = target(&[("bucket", "b")]);
        assert_eq!(folder(&one, "b", "k").as_deref(), Some(""));
        assert_eq!(folder(&one, "b", "a/new/").as_deref(), Some("/a"));
        assert_eq!(folder(&one, "c", "k"), None);
        let some = target(&[("bucket", "b"), ("prefix", "team/a")]);
        assert_eq!(folder(&some, "b", "team/a/x/k").as_deref(), Some("/x"));
        assert_eq!(folder(&some, "b", "team/a/k").as_deref(), Some(""));
        assert_eq!(folder(&some, "b", "team/b/k"), None);
    }
}
