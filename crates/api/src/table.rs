//! The rest of the table of routes: links, uploads in parts and by URL, tasks, tokens, and what is
//! open to whoever has a URL.

use http::StatusCode;

use crate::connect::{assets, chooser, form};
use crate::links;
use crate::multipart::{self, handlers as parts};
use crate::oauth;
use crate::objects::File;
use crate::public::{config, drop, link, upload};
use crate::route::{Content, Endpoint, Routes, delete, get, patch, post, put};
use crate::v1::{batch, download, tasks, tokens};

const OK: StatusCode = StatusCode::OK;
const CREATED: StatusCode = StatusCode::CREATED;
const PAGES: &[&str] = &["page", "page_size", "paging", "cursor"];
const WRITE: &[&str] = &["Idempotency-Key", "X-Kloudless-Async"];
const DROP: &[&str] = &["X-Drop-Account", "X-Drop-Folder", "X-Picker-Id", "X-Explorer-Id"];
/// What a link's page refuses with: a page, or JSON for direct links.
const REFUSED: Content = Content::Bytes(&["text/html", "application/json"]);

/// All of them.
pub(crate) fn routes() -> Routes {
    link_routes().with(part_routes()).with(task_routes()).with(token_routes()).with(public_routes())
}

fn link_routes() -> Routes {
    use links::handlers::{create, delete as remove, list, retrieve, update};
    Routes::default()
        .at(
            "/v1/accounts/{account}/storage/links",
            [
                get("listLinks", list)
                    .says("Links, the newest first; accepts several accounts.")
                    .takes(&["active"])
                    .takes(PAGES)
                    .lists::<links::LinkObject>(),
                post("createLink", create)
                    .says("Makes a link: the service's own if it can be all that is asked, else Tramontane's.")
                    .takes(WRITE)
                    .json::<links::NewLink>()
                    .gives::<links::LinkObject>(CREATED),
            ],
        )
        .at(
            "/v1/accounts/{account}/storage/links/{link}",
            [
                get("getLink", retrieve)
                    .says("One link; one of the service's own is looked for there.")
                    .takes(&["active"])
                    .gives::<links::LinkObject>(OK),
                patch("updateLink", update)
                    .says("Changes a link. What the service cannot make of its own has another URL then.")
                    .takes(WRITE)
                    .json::<links::LinkChange>()
                    .gives::<links::LinkObject>(OK),
                delete("deleteLink", remove).says("Removes a link, at the service too when it is the service's own.").takes(WRITE).empties(),
            ],
        )
}

fn part_routes() -> Routes {
    Routes::default()
        .at(
            "/v1/accounts/{account}/storage/files/upload_url",
            [post("createUploadUrl", upload::create)
                .says("A URL that takes the content by PUT, without credentials, once.")
                .takes(&["overwrite", "conflict"])
                .json::<multipart::NewMultipart>()
                .gives::<upload::UploadUrl>(OK)],
        )
        .at(
            "/v1/accounts/{account}/storage/multipart",
            [post("createMultipart", parts::create)
                .says("Begins an upload in parts.")
                .takes(&["overwrite", "conflict", "Idempotency-Key"])
                .json::<multipart::NewMultipart>()
                .gives::<multipart::Multipart>(CREATED)],
        )
        .at(
            "/v1/accounts/{account}/storage/multipart/{session}",
            [
                get("getMultipart", parts::retrieve)
                    .says("The upload and the parts that have come.")
                    .gives::<multipart::Multipart>(OK),
                put("putPart", parts::put)
                    .says("One part.")
                    .takes(&["part_number!"])
                    .bytes("application/octet-stream")
                    .gives::<multipart::PartAnswer>(OK),
                delete("abortMultipart", parts::abort).says("Gives the upload up.").empties(),
            ],
        )
        .at(
            "/v1/accounts/{account}/storage/multipart/{session}/complete",
            [post("completeMultipart", parts::complete)
                .says("Makes the file of the parts; asked again, gives the same file.")
                .takes(WRITE)
                .gives::<File>(CREATED)],
        )
}

fn task_routes() -> Routes {
    Routes::default()
        .at(
            "/v1/accounts/{account}/storage/batch",
            [post("runBatch", batch::run)
                .says("Up to 100 operations on metadata, in order, not atomic.")
                .takes(WRITE)
                .json::<batch::NewBatch>()
                .gives::<batch::BatchAnswer>(OK)],
        )
        .at(
            "/v1/accounts/{account}/tasks",
            [get("listTasks", tasks::list)
                .says("The account's tasks, the newest first.")
                .takes(&["state"])
                .takes(PAGES)
                .lists::<tasks::TaskObject>()],
        )
        .at(
            "/v1/accounts/{account}/tasks/{task}",
            [
                get("getTask", tasks::retrieve)
                    .says("The task while it is pending; then what it gave.")
                    .gives::<TaskOrResult>(OK)
                    .empties(),
                delete("cancelTask", tasks::cancel)
                    .says("Ends a task; what is done stays done.")
                    .empties(),
            ],
        )
        .at(
            "/v1/accounts/{account}/tasks/{task}/items",
            [get("listTaskItems", tasks::items)
                .says("The outcome of each item of the work.")
                .takes(&["status"])
                .takes(PAGES)
                .lists::<tasks::ItemObject>()],
        )
}

/// A task that is pending, or whatever the work gave.
#[derive(utoipa::ToSchema)]
#[expect(dead_code, reason = "describes the answer alone")]
#[schema(value_type = Object)]
struct TaskOrResult(serde_json::Value);

fn token_routes() -> Routes {
    Routes::default()
        .at(
            "/v1/accounts/{account}/tokens",
            [
                get("listTokens", tokens::list)
                    .says("The account's tokens, without their values.")
                    .takes(PAGES)
                    .lists::<tokens::TokenObject>(),
                post("createToken", tokens::create)
                    .says("Makes a token for the account.")
                    .json::<tokens::NewAccountToken>()
                    .gives::<tokens::TokenAnswer>(CREATED),
            ],
        )
        .at(
            "/v1/accounts/{account}/tokens/{token}",
            [delete("revokeToken", tokens::delete).says("Ends a token.").empties()],
        )
        .at(
            "/v1/oauth/token",
            [
                get("verifyToken", tokens::verify)
                    .says("Whose token this is.")
                    .gives::<tokens::Verified>(OK),
                post("createOauthToken", oauth::token::give)
                    .says("Exchanges an authorization code or a refresh token.")
                    .json::<oauth::token::OauthTokenRequest>()
                    .bytes("application/x-www-form-urlencoded")
                    .gives::<oauth::token::OauthToken>(OK)
                    .public(),
            ],
        )
        .with(connect_routes())
        .with(connect_pages())
}

fn connect_routes() -> Routes {
    Routes::default()
        .at(
            "/v1/oauth/revoke",
            [post("revokeOauthToken", oauth::token::revoke)
                .says("Ends a token and all that was given with it (RFC 7009).")
                .json::<oauth::token::OauthTokenNamed>()
                .bytes("application/x-www-form-urlencoded")
                .answers(OK, Content::Nothing)
                .public()],
        )
        .at(
            "/v1/oauth/introspect",
            [post("introspectOauthToken", oauth::token::introspect)
                .says("What a token is (RFC 7662).")
                .json::<oauth::token::OauthTokenNamed>()
                .bytes("application/x-www-form-urlencoded")
                .gives::<oauth::token::Introspected>(OK)
                .public()],
        )
        .at(
            "/.well-known/oauth-authorization-server",
            [get("getOauthServer", oauth::metadata::retrieve)
                .says("What this OAuth server is (RFC 8414).")
                .gives::<oauth::metadata::OauthServer>(OK)
                .public()],
        )
        .at(
            "/v1/connect_links",
            [post("createConnectLink", oauth::links::create)
                .says("Makes a one-time URL with which one end user connects an account.")
                .json::<oauth::links::NewConnectLink>()
                .gives::<oauth::links::ConnectLink>(CREATED)],
        )
        .at(
            "/v1/oauth",
            [get("authorize", oauth::authorize::begin)
                .says("Begins the connect handshake in a browser.")
                .takes(&["client_id!", "response_type", "redirect_uri", "scope", "oauth_state"])
                .takes(&["form_data", "custom_properties", "origin", "request_id"])
                .takes(&["code_challenge", "code_challenge_method", "access", "connect_link"])
                .answers(StatusCode::FOUND, Content::Nothing)
                .answers(OK, Content::Bytes(&["text/html"]))
                // What is wrong with the client or its redirect URI is told on a page.
                .answers(StatusCode::BAD_REQUEST, REFUSED)
                .answers(StatusCode::GONE, Content::Bytes(&["text/html"]))
                .public()],
        )
}

/// Pages that only browsers meet, on their way through the handshake.
fn connect_pages() -> Routes {
    let gone = || get("oldEntry", oauth::metadata::gone);
    Routes::default()
        .unlisted("/v1/oauth/callback", [get("oauthCallback", oauth::callback::receive)])
        .unlisted("/connect/{session}", [get("connectPage", chooser::show)])
        .unlisted("/connect/{session}/cancel", [post("connectCancel", chooser::cancel)])
        .unlisted(
            "/connect/{session}/{service}",
            [get("connectService", chooser::choose), post("connectForm", form::submit)],
        )
        .unlisted("/static/connect/{file}", [get("connectAsset", assets::serve)])
        .unlisted("/static/iexd.html", [get("connectRelay", assets::relay)])
        .unlisted("/services", [gone()])
        .unlisted("/services/{*name}", [gone()])
}

fn public_routes() -> Routes {
    Routes::default()
        .at("/file-picker/config", [widget("getPickerConfig")])
        .at("/file-explorer/config", [widget("getExplorerConfig")])
        .at(
            "/drop/{app_id}",
            [
                get("getDropConfig", drop::config)
                    .says("How to cut files.")
                    .takes(DROP)
                    .gives::<drop::DropConfig>(OK)
                    .public(),
                post("dropChunk", drop::receive)
                    .says("One chunk of a file, or a whole file.")
                    .takes(&["name", "file_id", "file_size", "chunk", "chunks", "offset", "total"])
                    .takes(&["link", "link_options"])
                    .takes(DROP)
                    .bytes("application/octet-stream")
                    .gives::<drop::DropProgress>(OK)
                    .gives::<File>(CREATED)
                    .public(),
                delete("abandonDrop", drop::abandon)
                    .says("Drops an upload.")
                    .takes(&["file_id"])
                    .takes(DROP)
                    .empties()
                    .public(),
            ],
        )
        .at(
            "/u/{token}",
            [put("uploadOnce", upload::take)
                .says("Takes the content that a one-time URL was made for.")
                .bytes("application/octet-stream")
                .gives::<File>(CREATED)
                .gives::<File>(OK)
                .public()],
        )
        .at(
            "/l/{link}",
            [
                get("showLink", link::show)
                    .says("The content of a direct link, the page of another.")
                    .takes(&["password", "Range", "If-None-Match", "If-Range"])
                    .answers(OK, Content::Bytes(download::ANY))
                    .public(),
                post("openLink", link::submit)
                    .says("The password of a link.")
                    .answers(OK, Content::Bytes(&["text/html"]))
                    .public(),
            ]
            .map(link_refusals),
        )
        .at(
            "/l/{link}/contents",
            [get("getLinkContents", link::contents)
                .says("The content of a link.")
                .takes(&["password", "Range", "If-None-Match", "If-Range"])
                .answers(OK, Content::Bytes(download::ANY))
                .public()]
            .map(link_refusals),
        )
}

/// How links refuse.
fn link_refusals(endpoint: Endpoint) -> Endpoint {
    const STATUSES: [StatusCode; 6] = [
        StatusCode::BAD_REQUEST,
        StatusCode::UNAUTHORIZED,
        StatusCode::FORBIDDEN,
        StatusCode::NOT_FOUND,
        StatusCode::TOO_MANY_REQUESTS,
        StatusCode::INTERNAL_SERVER_ERROR,
    ];
    STATUSES.into_iter().fold(endpoint, |endpoint, status| endpoint.answers(status, REFUSED))
}

fn widget(id: &'static str) -> Endpoint {
    get(id, config::retrieve)
        .says("The set-up of a widget.")
        .takes(&["app_id!", "origin"])
        .gives::<config::WidgetConfig>(OK)
        .public()
}
