//! Several calls in one request ("Combine multiple HTTP requests using JSON batching").

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use serde_json::{Map, Value, json};

use super::call::{Answer, Call, Outcome};
use super::fault::bad;
use super::{Face, dispatch};

/// "JSON batch requests are currently limited to 20 individual requests".
const MAX: usize = 20;

pub(super) async fn run(face: &Face, call: &Call) -> Outcome {
    let body = call.json()?;
    let requests = body.get("requests").and_then(Value::as_array).cloned();
    let requests = requests.ok_or_else(|| bad("requests is required"))?;
    if requests.len() > MAX {
        return Err(bad("Number of batch request steps exceeds the maximum value of '20'."));
    }
    let mut responses = Vec::new();
    for request in &requests {
        let text = |name: &str| request.get(name).and_then(Value::as_str).unwrap_or_default();
        let (path, query) = text("url").split_once('?').unwrap_or((text("url"), ""));
        if path.trim_start_matches('/').starts_with("$batch") {
            return Err(bad("A batch cannot hold a batch."));
        }
        let mut headers = HeaderMap::new();
        let given = request.get("headers").and_then(Value::as_object).cloned().unwrap_or_default();
        for (name, value) in &given {
            if let (Ok(name), Some(Ok(value))) =
                (HeaderName::try_from(name.as_str()), value.as_str().map(HeaderValue::from_str))
            {
                headers.insert(name, value);
            }
        }
        let inner = Call {
            method: Method::from_bytes(text("method").as_bytes()).unwrap_or(Method::GET),
            query: url::form_urlencoded::parse(query.as_bytes()).into_owned().collect(),
            headers,
            body: request.get("body").map_or_else(Bytes::new, |body| body.to_string().into()),
            path: format!("/v1.0/{}", path.trim_start_matches('/')),
            ..call.clone()
        };
        let outcome = dispatch(face, &inner).await;
        let answer = outcome.unwrap_or_else(|fault| fault.answer(call.now));
        let mut told = Map::new();
        for (name, value) in &answer.headers {
            told.insert(name.as_str().into(), value.as_str().into());
        }
        responses.push(json!({
            "id": request.get("id"), "status": answer.status.as_u16(), "headers": told, "body": answer.body,
        }));
    }
    Ok(Answer::json(json!({"responses": responses})))
}
