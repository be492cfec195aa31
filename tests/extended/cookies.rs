//! A cookie store, which a `reqwest` builder has only with one of its features.

use steadfast::{ApiError, BuildErrorKind, Client, Stayforge, stayforge};

#[test]
fn a_reqwest_builder_with_a_cookie_store_is_rejected() {
    let key = stayforge::ApiKey::new("sk_org_the-key").unwrap();
    let builder = reqwest::Client::builder().cookie_store(true);
    // A loopback address, so that the test needs no TLS.
    let client = Client::<Stayforge>::builder(key).base_url("http://127.0.0.1").reqwest(builder);
    let error = client.build().expect_err("an invalid builder");
    assert!(matches!(&error, ApiError::Build(error) if error.kind() == BuildErrorKind::Configuration), "{error}");
    assert!(error.to_string().contains("a cookie store"), "{error}");
}
