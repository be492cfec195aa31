//! Error responses are read without loss and without a panic.

use serde_json::Value;
use steadfast::{Abaco, ApiError, Category, ErrorCode, FsmNavigator, MAX_ERROR_BODY, Retry, Service, Stayforge};

use super::check_one_line;
use super::message::{Message, row};

/// Reads one response as that of each service.
pub fn bodies(input: &[u8]) {
    let message = Message::read(input);
    check::<Abaco>(&message, "code");
    check::<FsmNavigator>(&message, "error");
    check::<Stayforge>(&message, "code");
}

fn check<S: Service>(message: &Message<'_>, code_member: &str) {
    let error = message.error::<S>();
    check_one_line(&error);
    let rejection = error.rejection().expect("an error response");
    let kept = message.body.len().min(MAX_ERROR_BODY);
    assert_eq!(rejection.body, message.body[..kept]);
    assert_eq!((rejection.service, rejection.status), (S::NAME, message.status));
    assert_eq!((error.service(), error.status()), (S::NAME, Some(message.status)));

    // The code is the one in the body; a number keeps its digits. A listed code is recognized, and no other.
    match message.member(code_member) {
        Some(Value::String(text)) if !text.trim().is_empty() => assert_eq!(error.code(), Some(text.trim())),
        Some(Value::Number(number)) => {
            let code = error.code().map(serde_json::from_str::<Value>);
            assert_eq!(code.and_then(Result::ok), Some(Value::Number(number)));
        }
        _ => {}
    }
    let listed = error.code().and_then(S::Code::from_wire);
    let found: Vec<_> = S::Code::ALL.iter().copied().filter(|code| error.is(*code)).collect();
    assert_eq!(found, Vec::from_iter(listed));

    // Everything that depends on the code and the status agrees with the table.
    let row = row::<S>(&error);
    let category = row.map_or_else(|| Category::of_status(message.status), |row| row.category);
    assert_eq!(error.category(), Some(category));
    assert_eq!(variant(&error), Some(category));
    assert_eq!(rejection.info, row.filter(|_| listed.is_some() || error.code().is_none()));
    assert_eq!(error.help(), row.map(|row| row.fix));
    let retry = row.map_or(&Retry::Unstated, |row| &row.retry);
    assert_eq!(error.is_retryable(), retry.is_retryable(message.status));

    // Texts from the body are trimmed and not empty; the number of field errors is limited.
    for text in [&rejection.code, &rejection.message, &rejection.request_id].into_iter().flatten() {
        assert!(!text.is_empty() && text.trim() == &**text, "{text:?}");
    }
    assert!(rejection.fields.len() <= 100);
    assert!(rejection.fields.is_empty() || matches!(category, Category::InvalidRequest | Category::Conflict));
    assert!(
        rejection
            .fields
            .iter()
            .all(|error| !error.field.is_empty() && (!error.message.is_empty() || error.code.is_some()))
    );
    assert_ne!(rejection.details, Some(Value::Null));
}

/// Returns the category that corresponds to the error's variant.
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
