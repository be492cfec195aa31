//! The settings of the transport.

use std::sync::Arc;

use super::ClientBuilder;
use crate::service::Service;
use crate::transport::Transport;
use crate::transport::reqwest::ReqwestSettings;

impl<S: Service> ClientBuilder<S> {
    /// Sets the transport that sends the requests. Defaults to reqwest.
    ///
    /// The settings [`reqwest`](Self::reqwest), [`reqwest_with`](Self::reqwest_with) and
    /// [`connect_timeout`](Self::connect_timeout) then have no effect.
    pub fn transport(mut self, transport: impl Transport) -> Self {
        self.transport = Some(Arc::new(transport));
        self
    }

    /// Wraps the transport, for example to record, sign or replay requests, to add trace headers, or to inject faults.
    ///
    /// `wrap` receives the transport of the client and returns the one that replaces it. The wrapper runs once for each
    /// attempt of a call. It runs after the rate limiter admitted the attempt and before the response is classified, so
    /// it sees each request as it is sent, and each response or fault as it arrives. Retries, time limits, the limiter
    /// and `max_body` apply to what it returns. The inner transport has the client's safety settings, whatever it is
    /// sent: it follows no redirects and stores no cookies. A second `wrap` surrounds the first one.
    ///
    /// # Warning
    ///
    /// A wrapper is trusted. The client does not check what it changes:
    ///
    /// - The header with the key is in the request, marked as sensitive. `Debug` does not show it, but a wrapper that
    ///   copies the values of headers copies the key.
    /// - A changed URL sends the key to another origin, and a removed header sends the request without the key.
    /// - A wrapper that sends a request twice can cause its effect twice, and the limiter counts one request.
    /// - A response body that the wrapper read must be put back, as in the example.
    ///
    /// A wrapper must return [`Effect::None`](crate::Effect::None) only for a request of which no byte was sent.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use steadfast::testing::MockService;
    /// use steadfast::transport::{Body, HttpRequest, SendFuture};
    /// use steadfast::{Abaco, Transport};
    ///
    /// /// Prints each request, and the length of its response.
    /// struct Audit(Arc<dyn Transport>);
    ///
    /// impl Transport for Audit {
    ///     fn send(&self, request: HttpRequest) -> SendFuture<'_> {
    ///         Box::pin(async move {
    ///             let line = format!("{} {}", request.method, request.url.path());
    ///             let (head, body) = self.0.send(request).await?.into_parts();
    ///             let body = body.collect().await?;
    ///             println!("{line}: {}, {} bytes", head.status, body.len());
    ///             Ok(http::Response::from_parts(head, Body::from(body)))
    ///         })
    ///     }
    /// }
    ///
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() -> Result<(), steadfast::ApiError> {
    /// let service = MockService::<Abaco>::new();
    /// service.get("/documents").json(&serde_json::json!([]));
    /// let client = service.builder().wrap(Audit).build()?;
    /// client.get("/documents").send().await?;
    /// # Ok(()) }
    /// ```
    pub fn wrap<T: Transport>(mut self, wrap: impl FnOnce(Arc<dyn Transport>) -> T + Send + Sync + 'static) -> Self {
        self.wrappers.push(Box::new(move |inner| Arc::new(wrap(inner))));
        self
    }

    /// Sets the reqwest 0.13 builder that the HTTP client is made from. Has no effect if a
    /// [`transport`](Self::transport) is set. To change single settings, use [`reqwest_with`](Self::reqwest_with),
    /// which keeps the defaults of this crate.
    ///
    /// The builder replaces these defaults with its own settings or those of reqwest:
    ///
    /// - Idle connections are closed after reqwest's 90 s instead of 30 s. Load balancers often close them after 60 s,
    ///   and a POST that is sent at that moment fails and is not resent.
    /// - HTTP/2 connections are not pinged.
    /// - All retries and all runtimes share one connection pool, because a builder makes only one client. A GET that
    ///   meets several broken connections in a row can use up its attempts.
    /// - TLS comes from the builder, so the features `rustls` and `native-tls` of this crate are not required.
    ///
    /// The client in turn overrides the builder's settings that would break its guarantees. It disables redirects, the
    /// `Referer` header, decompression, verbose logs of connections and reqwest's own retries, and replaces the
    /// timeouts with its own. If the base URL is plain `http`, it also disables proxies and trusts no certificate.
    ///
    /// [`build`](Self::build) rejects a builder with a cookie store, or with a default header that
    /// [`Request::header`](crate::Request::header) would reject.
    ///
    /// ```
    /// use std::time::Duration;
    /// use steadfast::{Abaco, Client, abaco};
    ///
    /// let builder = reqwest::Client::builder().pool_idle_timeout(Duration::from_secs(10));
    /// let client = Client::<Abaco>::builder(abaco::ApiKey::new("abk_abc123", "your-secret")?)
    ///     .reqwest(builder)
    ///     .build()?;
    /// # Ok::<(), steadfast::ApiError>(())
    /// ```
    pub fn reqwest(mut self, builder: reqwest::ClientBuilder) -> Self {
        self.reqwest = ReqwestSettings::Builder(Box::new(builder));
        self
    }

    /// Changes the reqwest 0.13 builder that the HTTP client is made from, for example to configure proxies,
    /// certificates or a local address. Has no effect if a [`transport`](Self::transport) is set. Replaces a builder
    /// that was set with [`reqwest`](Self::reqwest).
    ///
    /// `change` receives a builder with the defaults of this crate, which it may change:
    ///
    /// - Idle connections are closed after 30 s, because load balancers close them after 60 s or more. A request that
    ///   is sent at that moment fails, and a POST is not resent.
    /// - HTTP/2 connections are pinged every 10 s, also while they are idle, and closed if no response arrives within
    ///   10 s.
    ///
    /// It is called once for each connection pool. A client has a pool for each runtime that uses it, and makes another
    /// one after a connection broke or a request timed out, so that the retry gets a new connection.
    ///
    /// [`reqwest`](Self::reqwest) lists the settings that the client overrides or rejects.
    ///
    /// ```
    /// use steadfast::{Abaco, Client, abaco};
    ///
    /// let proxy = reqwest::Proxy::https("http://proxy.example:3128").expect("a proxy");
    /// let client = Client::<Abaco>::builder(abaco::ApiKey::new("abk_abc123", "your-secret")?)
    ///     .reqwest_with(move |builder| builder.proxy(proxy.clone()))
    ///     .build()?;
    /// # Ok::<(), steadfast::ApiError>(())
    /// ```
    pub fn reqwest_with(
        mut self,
        change: impl Fn(reqwest::ClientBuilder) -> reqwest::ClientBuilder + Send + Sync + 'static,
    ) -> Self {
        self.reqwest = ReqwestSettings::Changed(Box::new(change));
        self
    }
}
