//! Every documented code, from the vendor's documentation to the retry decision.

use http::{HeaderMap, Method, StatusCode};
use serde_json::{Value, json};
use steadfast::testing::MockServer;
use steadfast::{
    Abaco, ApiError, CallState, Category, Client, Decision, Effect, ErrorCode, FsmNavigator, Retry, RetryPolicy,
    Service, Stayforge, StopReason, abaco, fsm_navigator, stayforge,
};
use tokio::net::TcpSocket;

/// The expectations of a code: wire code, status, category, and whether a GET and a POST are resent.
type Row = (&'static str, u16, Category, bool, bool);

const ABACO: [Row; 14] = [
    ("TOKEN_MISSING", 401, Category::Unauthenticated, false, false),
    ("INVALID_API_KEY", 401, Category::Unauthenticated, false, false),
    ("API_KEY_EXPIRED", 401, Category::Unauthenticated, false, false),
    ("API_KEY_NO_USER", 401, Category::Unauthenticated, false, false),
    ("TOKEN_EXPIRED", 401, Category::Unauthenticated, false, false),
    ("INVALID_TOKEN", 401, Category::Unauthenticated, false, false),
    ("SESSION_EXPIRED", 401, Category::Unauthenticated, false, false),
    ("CSRF_ORIGIN", 403, Category::Forbidden, false, false),
    ("CSRF_NO_ORIGIN", 403, Category::Forbidden, false, false),
    ("CSRF_API_KEY_ERROR", 403, Category::Unavailable, true, true),
    ("WEB_SESSION_REQUIRED", 403, Category::Forbidden, false, false),
    ("API_KEY_MANAGEMENT_FORBIDDEN", 403, Category::Forbidden, false, false),
    ("API_KEY_DELETE_FORBIDDEN", 403, Category::Forbidden, false, false),
    ("RATE_LIMIT_EXCEEDED", 429, Category::RateLimited, true, true),
];

const FSM_NAVIGATOR: [Row; 13] = [
    ("validation_failed", 400, Category::InvalidRequest, false, false),
    ("missing_required_field", 400, Category::InvalidRequest, false, false),
    ("invalid_status_transition", 400, Category::InvalidRequest, false, false),
    ("meter_not_found", 400, Category::InvalidRequest, false, false),
    ("unauthorized", 401, Category::Unauthenticated, false, false),
    ("forbidden", 403, Category::Forbidden, false, false),
    ("ip_not_allowed", 403, Category::Forbidden, false, false),
    ("scope_not_authorized", 403, Category::Forbidden, false, false),
    ("not_found", 404, Category::NotFound, false, false),
    ("method_not_allowed", 405, Category::InvalidRequest, false, false),
    ("duplicate_customer", 409, Category::Conflict, false, false),
    ("rate_limit_exceeded", 429, Category::RateLimited, true, true),
    ("server_error", 500, Category::Unavailable, true, false),
];

const STAYFORGE: [Row; 8] = [
    ("missing_api_key", 401, Category::Unauthenticated, false, false),
    ("invalid_api_key", 401, Category::Unauthenticated, false, false),
    ("apikey_verify_error", 403, Category::Unavailable, true, true),
    ("apikey_not_verified", 403, Category::Forbidden, false, false),
    ("apikey_insufficient_permissions", 403, Category::Forbidden, false, false),
    ("ip_range_fetch_error", 403, Category::Unavailable, true, true),
    ("ip_validation_error", 403, Category::Forbidden, false, false),
    ("ip_not_allowed", 403, Category::Forbidden, false, false),
];

const MESSAGE: &str = "the service's message";

#[tokio::test]
async fn every_documented_code_becomes_its_variant_code_category_and_decision() {
    served::<Abaco>(&ABACO, |code| json!({"message": MESSAGE, "code": code})).await;
    let fsm_navigator = |code: &str| json!({"success": false, "error": code, "message": MESSAGE});
    served::<FsmNavigator>(&FSM_NAVIGATOR, fsm_navigator).await;
    served::<Stayforge>(&STAYFORGE, |code| json!({"message": MESSAGE, "code": code})).await;
}

/// Sends each row's code in the documented format of errors, which `body` writes, and reads it back.
async fn served<S: Service>(rows: &[Row], body: impl Fn(&str) -> Value) {
    let in_table: Vec<_> = S::Code::ALL.iter().map(|code| code.info().code.expect("a code")).collect();
    let expected: Vec<_> = rows.iter().map(|row| row.0).collect();
    assert_eq!(in_table, expected, "the table of {} lists the documented codes in the documented order", S::NAME);

    let server = MockServer::<S>::start().await;
    for row in rows {
        server.get("/things").raw(row.1, "application/json", body(row.0).to_string());
    }
    let client = server.builder().retry(RetryPolicy::disabled()).build().unwrap();

    for (code, &(wire, status, category, get_is_resent, post_is_resent)) in S::Code::ALL.iter().zip(rows) {
        let error = client.get("/things").send().await.unwrap_err();
        assert_eq!(error.code(), Some(wire));
        assert_eq!(error.status().map(|status| status.as_u16()), Some(status), "{wire}");
        assert_eq!(error.category(), Some(category), "{wire}");
        assert_eq!(variant(&error), Some(category), "{wire}");
        assert!(error.is(*code), "{wire}");
        assert_eq!(S::Code::ALL.iter().filter(|other| error.is(**other)).count(), 1, "{wire}");
        assert_eq!(error.rejection().and_then(|rejection| rejection.message.as_deref()), Some(MESSAGE));
        assert_eq!(error.help(), Some(code.info().fix), "{wire}");
        for (method, is_resent) in [(Method::GET, get_is_resent), (Method::POST, post_is_resent)] {
            let decision = RetryPolicy::new().decide(&error, &CallState::new(&method));
            assert_eq!(matches!(decision, Decision::Wait { .. }), is_resent, "{method} {wire}: {decision:?}");
        }
    }
    assert_eq!(server.request_count(), rows.len());
}

/// Returns the category of the error's variant.
fn variant(error: &ApiError) -> Option<Category> {
    match error {
        ApiError::InvalidRequest(_) => Some(Category::InvalidRequest),
        ApiError::Unauthenticated(_) => Some(Category::Unauthenticated),
        ApiError::Forbidden(_) => Some(Category::Forbidden),
        ApiError::NotFound(_) => Some(Category::NotFound),
        ApiError::Conflict(_) => Some(Category::Conflict),
        ApiError::RateLimited(_) => Some(Category::RateLimited),
        ApiError::Unavailable(_) => Some(Category::Unavailable),
        ApiError::Unrecognized(_) => Some(Category::Unrecognized),
        _ => None,
    }
}

#[test]
fn every_row_has_a_meaning_and_a_fix() {
    fn check<C: ErrorCode>() {
        let rows = C::ALL.iter().map(|code| code.info()).chain(C::ANSWERS).chain(C::NO_ANSWER);
        for row in rows {
            assert_eq!(row.service, C::SERVICE);
            for text in [row.meaning, row.fix] {
                assert!(text.len() > 10 && text.ends_with('.') && text.trim() == text, "{row:?}");
            }
        }
        for code in C::ALL {
            assert_eq!(C::from_wire(code.info().code.unwrap()), Some(*code));
            assert!(code.info().status().is_some());
        }
        assert_eq!(C::from_wire("NO_SUCH_CODE"), None);
    }
    check::<abaco::Code>();
    check::<fsm_navigator::Code>();
    check::<stayforge::Code>();
}

#[test]
fn a_code_without_a_documented_retry_is_unstated_and_not_never() {
    assert_eq!(abaco::Code::ApiKeyExpired.info().retry, Retry::Unstated);
    assert_eq!(abaco::Code::CsrfApiKeyError.info().retry, Retry::Backoff);
    assert_eq!(fsm_navigator::Code::Forbidden.info().retry, Retry::Unstated);
    assert_eq!(fsm_navigator::Code::ServerError.info().retry, Retry::After(5..=10));
    assert_eq!(fsm_navigator::Code::ServerError.info().effect, Effect::Possible);
}

#[test]
fn documented_responses_without_a_code_have_help() {
    fn help<S: Service>(status: u16) -> Option<&'static str> {
        let status = StatusCode::from_u16(status).unwrap();
        ApiError::from_response::<S>(status, &HeaderMap::new(), br#"{"message": "no code"}"#).help()
    }
    for status in [400, 403, 404, 500, 502, 503, 504, 521] {
        assert!(help::<Abaco>(status).is_some(), "{status}");
    }
    for status in [400, 401, 403, 404, 405, 409, 429, 500] {
        assert!(help::<FsmNavigator>(status).is_some(), "{status}");
    }
    for status in [401, 403] {
        assert!(help::<Stayforge>(status).is_some(), "{status}");
    }
    assert_eq!(help::<Stayforge>(418), None);
}

#[tokio::test]
async fn a_refused_connection_to_abaco_has_the_documented_help() {
    // A port that is bound and not listening refuses connections.
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let key = abaco::ApiKey::new("abk_local", "not-a-real-secret").unwrap();
    let client = Client::<Abaco>::builder(key)
        .base_url(format!("http://{}", socket.local_addr().unwrap()))
        .retry(RetryPolicy::disabled())
        .build()
        .unwrap();
    let error = client.get("/business-partners").send().await.unwrap_err();
    assert!(matches!(error, ApiError::Transport(_)), "{error}");
    assert!(error.help().unwrap().contains("https://api.abaco.hn"));
}

#[test]
fn a_wire_code_that_two_services_share_is_two_codes() {
    let status = StatusCode::FORBIDDEN;
    let ours = ApiError::from_response::<FsmNavigator>(status, &HeaderMap::new(), br#"{"error": "ip_not_allowed"}"#);
    let theirs = ApiError::from_response::<Stayforge>(status, &HeaderMap::new(), br#"{"code": "ip_not_allowed"}"#);
    assert_eq!(ours.code(), theirs.code());

    assert!(ours.is(fsm_navigator::Code::IpNotAllowed) && !ours.is(stayforge::Code::IpNotAllowed));
    assert!(theirs.is(stayforge::Code::IpNotAllowed) && !theirs.is(fsm_navigator::Code::IpNotAllowed));
    assert_eq!(fsm_navigator::Code::of(&ours), Some(fsm_navigator::Code::IpNotAllowed));
    assert_eq!(stayforge::Code::of(&ours), None);
    assert_eq!(fsm_navigator::Code::of(&theirs), None);
}

#[test]
fn an_unlisted_code_falls_back_to_the_status_and_stays_readable() {
    let body = br#"{"code": "room_on_fire", "message": "leave"}"#;
    let read = |status| ApiError::from_response::<Stayforge>(status, &HeaderMap::new(), body);

    let error = read(StatusCode::CONFLICT);
    assert!(matches!(error, ApiError::Conflict(_)));
    assert_eq!(error.code(), Some("room_on_fire"));
    assert_eq!(stayforge::Code::of(&error), None);
    assert!(error.rejection().unwrap().info.is_none());

    assert!(matches!(read(StatusCode::FORBIDDEN), ApiError::Forbidden(_)));
    assert!(read(StatusCode::FORBIDDEN).rejection().unwrap().info.is_none());
    assert!(read(StatusCode::BAD_GATEWAY).is_retryable());
    assert!(!read(StatusCode::NOT_IMPLEMENTED).is_retryable());
}

#[test]
fn a_listed_code_under_another_status_keeps_its_meaning_but_proves_nothing() {
    let body = br#"{"code": "RATE_LIMIT_EXCEEDED"}"#;
    let error = ApiError::from_response::<Abaco>(StatusCode::SERVICE_UNAVAILABLE, &HeaderMap::new(), body);
    assert!(matches!(error, ApiError::RateLimited(_)));
    assert!(error.is(abaco::Code::RateLimitExceeded));
    assert_eq!(error.status(), Some(StatusCode::SERVICE_UNAVAILABLE));
    let post = RetryPolicy::new().decide(&error, &CallState::new(&Method::POST));
    assert_eq!(post, Decision::Stop(StopReason::MayHaveActed));

    let body = br#"{"error": "server_error"}"#;
    let error = ApiError::from_response::<FsmNavigator>(StatusCode::TOO_MANY_REQUESTS, &HeaderMap::new(), body);
    let post = RetryPolicy::new().decide(&error, &CallState::new(&Method::POST));
    assert_eq!(post, Decision::Stop(StopReason::MayHaveActed));
}

mod several_statuses {
    steadfast::error_codes! {
        /// The codes of a depot.
        pub enum Code of "depot" {
            /// Too many parcels are at the depot.
            /// Retry later.
            Full   =  "full"    403 | 429 | 503  RateLimited  Backoff  None

            /// The sorting machine is jammed.
            /// Check the parcel before you send the request again.
            Jammed =  "jammed"  500              Unavailable  Backoff  Possible
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_code_can_be_documented_under_several_statuses() {
    use several_statuses::Code;
    use steadfast::testing::MockService;

    #[derive(Debug)]
    struct Depot;

    impl Service for Depot {
        type Code = Code;
        type Key = steadfast::Bearer<Self>;
        const BASE_URL: &'static str = "https://depot.example";
        const ENV: &'static str = "DEPOT";

        fn read_error(_: StatusCode, _: &HeaderMap, body: &[u8]) -> Option<steadfast::ErrorBody> {
            steadfast::ErrorBody::from_json(body, "code")
        }
    }

    let row = Code::Full.info();
    assert_eq!((row.status(), row.other_statuses), (Some(StatusCode::FORBIDDEN), [429, 503].as_slice()));
    let documented = (100..600).filter(|status| row.is_documented_under(StatusCode::from_u16(*status).unwrap()));
    assert_eq!(documented.collect::<Vec<_>>(), [403, 429, 503]);
    assert!(Code::Jammed.info().other_statuses.is_empty());

    // The row proves that the request had no effect, so a POST is resent under each of the statuses.
    let service = MockService::<Depot>::new();
    let full = json!({"code": "full"});
    service.post("/parcels").fail(Code::Full).json(&full).status(429).json(&7);
    assert_eq!(service.client().post("/parcels").fetch::<u32>().await.unwrap(), 7);
    service.post("/parcels").json(&full).status(500);
    let error = service.client().post("/parcels").send().await.unwrap_err();
    assert_eq!(error.effect(), Effect::Possible, "the row proves nothing under another status");
    assert_eq!(service.received()[0].headers["authorization"], "Bearer mock-key:not-a-secret");
}
