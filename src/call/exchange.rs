//! One request going out and its answer coming in, as far as it comes.

use std::future::poll_fn;

use crate::answer::{Answer, End};
use crate::client::Core;
use crate::error::ApiError;
use crate::request::Description;
use crate::transport::HttpRequest;

/// Sends the request and reads the answer into `answer`, where it also is if the time is up midway.
pub(super) async fn exchange(
    core: &Core,
    request: &Description,
    answer: &mut Option<Box<Answer>>,
) -> Result<End, ApiError> {
    let sent = core.transport.send(outgoing(core, request));
    let (begun, mut body) = sent.await.map(|response| Answer::begun(response, core.max_body))?;
    let begun = answer.insert(begun);
    if begun.is_too_long() {
        return Ok(End::TooLong);
    }
    Ok(poll_fn(|context| begun.poll_read(&mut body, context)).await)
}

/// The request with the headers that every request has.
fn outgoing(core: &Core, request: &Description) -> HttpRequest {
    let Description { method, url, headers, body, .. } = request;
    let mut all_headers = core.headers.clone();
    for (name, value) in headers {
        all_headers.insert(name, value.clone());
    }
    let body = body.clone().unwrap_or_default();
    HttpRequest { method: method.clone(), url: url.clone(), headers: all_headers, body }
}
