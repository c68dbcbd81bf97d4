//! Amazon S3 and servers that speak its protocol: buckets as top folders, keys as paths.

mod answer;
mod client;
mod copy;
mod delete;
mod fault;
#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod fuzz;
mod learned;
mod list;
mod operations;
mod place;
mod queue;
#[cfg(test)]
mod samples;
#[cfg(test)]
mod scenes;
mod sessions;
mod sign;
mod storage;
mod tags;
mod target;
mod uploads;
mod versions;
mod write;
mod xml;

use std::sync::Arc;

use async_trait::async_trait;
use tramontane_connector::changes::Watch;
use tramontane_connector::error::Kind;
use tramontane_connector::{
    Account, Category, Connector, Credential, Cx, Descriptor, Error, Field, FieldKind, Identity,
    Result, Settings, Sign, Storage,
};
use url::Url;

use client::Client;
use learned::Learned;
use operations::ListHow;
use sign::Signer;
use storage::S3Storage;
use target::{DEFAULT_REGION, Target};

const ACCESS_KEY: Field = Field::text(
    "access_key",
    "Access key ID",
    "The ID of an access key, such as AKIAIOSFODNN7EXAMPLE.",
)
.also(&["token", "access_key_id", "username"]);
const SECRET_KEY: Field =
    Field::secret("secret_key", "Secret access key", "The secret that belongs to the access key.")
        .also(&["token_secret", "secret_access_key", "password"]);
const SESSION_TOKEN: Field = Field::secret(
    "session_token",
    "Session token",
    "Only for temporary credentials: the token that came with them.",
)
.optional();
const REGION: Field = Field::text(
    "region",
    "Region",
    "The region to begin with, such as eu-west-1. The regions of buckets are found by themselves.",
)
.or(DEFAULT_REGION);
const ADDRESSING: Field = Field::text(
    "addressing",
    "Addressing",
    "How buckets are addressed: auto, path (https://host/bucket) or virtual (https://bucket.host).",
)
.or("auto");
const BUCKET: Field = Field::text(
    "bucket",
    "Bucket",
    "Show only this bucket, as the root. Needed when the key may not list buckets.",
)
.optional();
const PREFIX: Field =
    Field::text("prefix", "Folder", "Show only this folder of the bucket, as the root.").optional();
const QUEUE: Field = Field::text(
    "sqs_queue_url",
    "Event queue",
    "Optional: the URL of an SQS queue that the bucket's events go to, for this account alone. Changes are then noticed \
     within seconds.",
)
.of(FieldKind::Url)
.optional();
const ENDPOINT: Field =
    Field::text("endpoint", "Endpoint", "Where the service is, such as https://s3.example.com.")
        .of(FieldKind::Url);

const DOCUMENTATION: &str = "https://docs.aws.amazon.com/AmazonS3/latest/API/";

/// Amazon S3.
static AMAZON: Descriptor = Descriptor {
    name: "s3",
    friendly_name: "Amazon S3",
    category: Category::ObjectStore,
    apis: &["storage"],
    fields: &[
        ACCESS_KEY,
        SECRET_KEY,
        SESSION_TOKEN,
        REGION,
        BUCKET,
        PREFIX,
        ENDPOINT.optional(),
        ADDRESSING,
        QUEUE,
    ],
    documentation: DOCUMENTATION,
};

/// Servers that speak S3's protocol.
static COMPATIBLE: Descriptor = Descriptor {
    name: "s3_compatible",
    friendly_name: "S3-compatible storage",
    category: Category::ObjectStore,
    apis: &["storage"],
    fields: &[
        ENDPOINT,
        ACCESS_KEY,
        SECRET_KEY,
        SESSION_TOKEN,
        REGION,
        BUCKET,
        PREFIX,
        ADDRESSING,
        QUEUE,
    ],
    documentation: DOCUMENTATION,
};

/// The connector of S3.
pub struct S3 {
    descriptor: &'static Descriptor,
    learned: Arc<Learned>,
    storage: Arc<S3Storage>,
}

impl S3 {
    /// The connector of Amazon S3.
    #[must_use]
    pub fn amazon() -> Self {
        Self::described(&AMAZON)
    }

    /// The connector of servers that speak S3's protocol.
    #[must_use]
    pub fn compatible() -> Self {
        Self::described(&COMPATIBLE)
    }

    fn described(descriptor: &'static Descriptor) -> Self {
        let learned = Arc::new(Learned::default());
        let storage = Arc::new(S3Storage::new(Arc::clone(&learned)));
        Self { descriptor, learned, storage }
    }
}

/// So many buckets are asked whether they keep versions.
const MAX_ASKED: usize = 50;

impl S3 {
    /// Whether one of the account's buckets keeps versions. Where the key may not ask, it might be.
    async fn is_any_versioned(&self, client: &Client<'_>) -> Result<bool> {
        let buckets = match &client.target.bucket {
            Some(only) => vec![only.clone()],
            None => client.buckets().await?.into_iter().map(|bucket| bucket.name).collect(),
        };
        for bucket in buckets.iter().take(MAX_ASKED) {
            if client.is_versioned(bucket).await.unwrap_or(true) {
                return Ok(true);
            }
        }
        Ok(buckets.len() > MAX_ASKED)
    }
}

/// Who an access key is: the key itself, where it is used, and what it is let see. S3 tells the owner
/// of buckets only, who may have given out many keys with different powers.
fn identity(account: &Account, target: &Target) -> Identity {
    let key = account.setting("access_key").or_else(|| account.credential.get("access_key"));
    let key = key.unwrap_or_default();
    let place = match &target.endpoint {
        None => "s3.amazonaws.com".to_owned(),
        Some(url) => match url.port() {
            Some(port) => format!("{}:{port}", url.host_str().unwrap_or_default()),
            None => url.host_str().unwrap_or_default().to_owned(),
        },
    };
    let below = match &target.bucket {
        None => String::new(),
        Some(bucket) => format!("/{bucket}/{}", target.prefix).trim_end_matches('/').to_owned(),
    };
    let id = format!("{key}@{place}{below}");
    Identity { display: id.clone(), id }
}

#[async_trait]
impl Connector for S3 {
    fn descriptor(&self) -> &'static Descriptor {
        self.descriptor
    }

    fn normalize(&self, settings: &mut Settings, credential: &mut Credential) -> Result<()> {
        for value in settings.values_mut() {
            *value = value.trim().to_owned();
        }
        let key = settings.get("access_key").map(String::as_str).or(credential.get("access_key"));
        let fits = |text: &str| text.bytes().all(|byte| byte.is_ascii_graphic());
        if key.is_some_and(|key| !fits(key) || key.contains('/')) {
            return Err(Error::invalid("access_key must not contain spaces or \"/\"."));
        }
        if let Some(secret) = credential.get("secret_key") {
            // Pasted keys bring line ends along.
            let trimmed = secret.trim().to_owned();
            credential.set("secret_key", trimmed);
        }
        let account = Account {
            id: tramontane_model::AccountId::new(1)
                .ok_or_else(|| Error::internal("1 is an account number."))?,
            service: self.descriptor.name.into(),
            admin: false,
            settings: settings.clone(),
            credential: Credential::none(),
            revision: 0,
        };
        let target = Target::of(&account)?;
        if let Some(url) = &target.endpoint {
            settings.insert("endpoint".into(), url.as_str().trim_end_matches('/').to_owned());
        }
        if target.is_aws() {
            // An endpoint of AWS says the region and nothing else.
            settings.remove("endpoint");
            settings.insert("region".into(), target.region.clone());
        }
        if !target.prefix.is_empty() {
            settings.insert("prefix".into(), target.prefix.trim_end_matches('/').to_owned());
        }
        Ok(())
    }

    async fn identify(&self, cx: &Cx) -> Result<Identity> {
        let client = Client::of(cx, &self.learned)?;
        match &client.target.bucket {
            Some(bucket) => {
                let how = ListHow { prefix: &client.target.prefix, limit: 1, ..ListHow::default() };
                client.list(bucket, &how).await.map_err(|error| match error.kind {
                    Kind::NotFound => Error::invalid(format!("There is no bucket \"{bucket}\".")),
                    // The key is right; what it lacks is a permission.
                    Kind::Forbidden => Error::new(
                        Kind::Forbidden,
                        format!("The access key may not list the bucket \"{bucket}\"."),
                    ),
                    _ => error,
                })?;
            }
            None => {
                client.buckets().await.map_err(|error| match error.kind {
                    Kind::Forbidden => Error::new(
                        Kind::Forbidden,
                        "The access key may not list buckets: fill in the field \"bucket\".",
                    ),
                    _ => error,
                })?;
            }
        }
        Ok(identity(&cx.account, &client.target))
    }

    async fn settle(&self, cx: &Cx) -> Result<Settings> {
        let client = Client::of(cx, &self.learned)?;
        let mut facts = Settings::new();
        let server = match &client.target.bucket {
            Some(bucket) => {
                let server = client.head_bucket(bucket).await?;
                let authority = client.target.authority();
                let region = match self.learned.region(&authority, bucket) {
                    Some(region) => Some(region),
                    // Servers that do not say it by themselves may be asked; not every key may ask.
                    None => client.bucket_location(bucket).await.ok(),
                };
                if let Some(region) = region.filter(|region| target::is_region(region)) {
                    facts.insert("region".into(), region);
                }
                server
            }
            None => client.server().await?,
        };
        let versioned = self.is_any_versioned(&client).await?;
        facts.insert("versioning".into(), if versioned { "on" } else { "off" }.into());
        if let Some(server) = server {
            let short: String = server.chars().filter(|one| !one.is_control()).take(80).collect();
            facts.insert("server".into(), short);
        }
        Ok(facts)
    }

    fn signer(&self, account: &Account) -> Result<Option<Arc<dyn Sign>>> {
        Ok(Some(Arc::new(Signer::of(account, Arc::clone(&self.learned))?)))
    }

    fn base_url(&self, account: &Account) -> Result<Option<Url>> {
        Target::of(account)?.base().map(Some)
    }

    fn may_call(&self, account: &Account, url: &Url) -> bool {
        Target::of(account).is_ok_and(|target| target.may_call(url))
    }

    fn may_sign(&self, account: &Account, url: &Url) -> bool {
        let Ok(target) = Target::of(account) else { return false };
        target.may_call(url) || queue::is_at(&target, url)
    }

    fn storage(&self) -> Option<Arc<dyn Storage>> {
        Some(Arc::clone(&self.storage) as Arc<dyn Storage>)
    }

    fn watch(&self, cx: &Cx) -> Result<Option<Box<dyn Watch>>> {
        let watch = queue::QueueWatch::of(cx)?;
        Ok(watch.map(|watch| Box::new(watch) as Box<dyn Watch>))
    }
}
