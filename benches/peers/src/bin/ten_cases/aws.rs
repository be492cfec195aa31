//! The runtime of the AWS SDKs: a custom operation with its standard retries and its HTTP client.

use std::fmt;

use aws_smithy_http_client::Builder;
use aws_smithy_runtime::client::orchestrator::operation::Operation;
use aws_smithy_runtime::client::retries::classifiers::{HttpStatusCodeClassifier, TransientErrorClassifier};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse, OrchestratorError};
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::retry::RetryConfig;

use crate::case::{BODY, Method, PATH};
use crate::library::{ATTEMPTS, Outcome};

/// The runtime's defaults, with the classifiers that it provides for any service.
#[derive(Clone)]
pub struct Aws(Operation<Method, (), ErrorResponse>);

impl Aws {
    pub fn new(url: &str, also_429: bool) -> Self {
        let statuses = if also_429 {
            HttpStatusCodeClassifier::new_from_codes(vec![429, 500, 502, 503, 504])
        } else {
            HttpStatusCodeClassifier::default()
        };
        let operation = Operation::builder()
            // Operations with the same service name share a retry quota; here each client has its own.
            .service_name(url.to_owned())
            .operation_name("call")
            .http_client(Builder::new().build_http())
            .endpoint_url(url)
            .no_auth()
            .standard_retry(&RetryConfig::standard().with_max_attempts(ATTEMPTS))
            .retry_classifier(TransientErrorClassifier::<ErrorResponse>::new())
            .retry_classifier(statuses)
            .with_connection_poisoning()
            .serializer(request)
            .deserializer(read);
        Self(operation.build())
    }

    pub async fn call(&self, method: Method) -> Outcome {
        self.0.invoke(method).await.map_err(|error| match error {
            SdkError::ServiceError(error) => error.raw().status().as_u16().to_string(),
            SdkError::DispatchFailure(_) => "dispatch failure".to_owned(),
            SdkError::ResponseError(_) => "response error".to_owned(),
            error => error.to_string(),
        })
    }
}

/// The error of an operation. A generated client has one for each operation, derived from the service's model.
#[derive(Debug)]
pub struct ErrorResponse;

impl fmt::Display for ErrorResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("error response")
    }
}

impl std::error::Error for ErrorResponse {}

fn request(method: Method) -> Result<HttpRequest, Box<dyn std::error::Error + Send + Sync>> {
    let (method, body) = match method {
        Method::Get => ("GET", SdkBody::empty()),
        Method::Post => ("POST", SdkBody::from(BODY)),
    };
    let mut request = HttpRequest::new(body);
    request.set_method(method)?;
    request.set_uri(PATH)?;
    Ok(request)
}

fn read(response: &HttpResponse) -> Result<(), OrchestratorError<ErrorResponse>> {
    if response.status().is_success() { Ok(()) } else { Err(OrchestratorError::operation(ErrorResponse)) }
}
