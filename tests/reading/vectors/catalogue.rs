//! The catalogue: services, routes, rows, and the statuses without a row.

use http::StatusCode;
use serde_json::{Value, json};
use steadfast::{Abaco, Category, CodeInfo, Effect, ErrorCode, FsmNavigator, Retry, RouteInfo, Service, Stayforge};

use super::snake;

pub(super) fn vectors() -> Vec<Value> {
    let mut vectors = Vec::new();
    service::<Abaco>(&mut vectors);
    service::<FsmNavigator>(&mut vectors);
    service::<Stayforge>(&mut vectors);
    vectors.extend((300..600).map(status));
    vectors
}

fn service<S: Service>(vectors: &mut Vec<Value>) {
    let limits = S::LIMITS.iter().map(|limit| json!({"requests": limit.requests, "seconds": limit.window.as_secs()}));
    vectors.push(json!({
        "kind": "service",
        "name": S::NAME,
        "base_url": S::BASE_URL,
        "sources": S::Code::SOURCES,
        "limits": limits.collect::<Vec<_>>(),
    }));
    vectors.extend(S::Code::ALL.iter().map(|code| row("code", code.info())));
    vectors.extend(S::Code::ANSWERS.iter().map(|info| row("response", info)));
    vectors.extend(S::Code::NO_ANSWER.map(|info| row("no_response", info)));
    vectors.extend(S::ROUTES.iter().map(|info| route::<S>(info)));
}

fn row(kind: &str, info: &CodeInfo) -> Value {
    let mut statuses = Vec::new();
    if !info.statuses.is_empty() {
        statuses.push([*info.statuses.start(), *info.statuses.end()]);
    }
    statuses.extend(info.other_statuses.iter().map(|status| [*status, *status]));
    let label = info.code.map_or_else(|| format!("{kind} {statuses:?}"), str::to_owned);
    let (retry, seconds) = match &info.retry {
        Retry::Never => ("never", None),
        Retry::Backoff => ("backoff", None),
        Retry::After(seconds) => ("after", Some([*seconds.start(), *seconds.end()])),
        Retry::Unstated => ("unstated", None),
    };
    json!({
        "kind": kind,
        "name": format!("{}: {label}", info.service),
        "service": info.service,
        "code": info.code,
        "statuses": statuses,
        "category": snake(info.category),
        "retry": retry,
        "retry_after_s": seconds,
        "effect": info.effect.to_string(),
        "meaning": info.meaning,
        "fix": info.fix,
        "source": info.source,
    })
}

fn route<S: Service>(info: &RouteInfo) -> Value {
    json!({
        "kind": "route",
        "name": format!("{}: {} {}", S::NAME, info.method, info.template),
        "service": S::NAME,
        "method": info.method.as_str(),
        "template": info.template,
        "scope": info.scope.map(|scope| scope.name),
        "lane": info.lane.map(steadfast::Lane::name),
        "list": info.list,
        "source": info.source,
    })
}

/// The rules for an error response without a row.
fn status(status: u16) -> Value {
    let code = StatusCode::from_u16(status).expect("a status");
    json!({
        "kind": "status",
        "name": format!("status {status}"),
        "status": status,
        "category": snake(Category::of_status(code)),
        "effect": Effect::of_status(code).to_string(),
        "retryable": Retry::Unstated.is_retryable(code),
    })
}
