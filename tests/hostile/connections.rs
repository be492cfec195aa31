//! Over real sockets: pooled connections that died, froze, or belong to another runtime.

use std::sync::OnceLock;
use std::time::Duration;

use steadfast::{Abaco, ApiError, Client, ClientBuilder, Fault, Limit, RetryPolicy, StopReason, abaco};
use tokio::task::JoinSet;

use crate::support::raw_server::KeepAliveServer;

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}";
const MISDIRECTED: &str = "HTTP/1.1 421 Misdirected Request\r\ncontent-length: 0\r\n\r\n";

fn builder(url: impl Into<String>) -> ClientBuilder<Abaco> {
    Client::builder(abaco::ApiKey::new("abk_x", "canary-0123456789-secret").unwrap())
        .base_url(url)
        .attempt_timeout(Duration::from_secs(1))
        .retry(RetryPolicy::new().with_initial_delay(Duration::from_millis(10)))
}

/// Sends this many GETs at once. Returns the number of attempts that each of them made.
async fn get_at_once(client: &Client<Abaco>, calls: usize) -> Vec<usize> {
    let mut tasks = JoinSet::new();
    for _ in 0..calls {
        let call = client.get("/documents").send();
        tasks.spawn(async move { call.await.expect("a success").attempts().len() });
    }
    tasks.join_all().await
}

/// Starts a server, and a client with eight idle connections to it.
async fn with_eight_connections(
    builder: impl FnOnce(String) -> ClientBuilder<Abaco>,
) -> (KeepAliveServer, Client<Abaco>) {
    let server = KeepAliveServer::start(|_| OK).await;
    let client = builder(server.url()).build().unwrap();
    assert_eq!(get_at_once(&client, 8).await, [1; 8]);
    assert_eq!((server.connections(), server.requests()), (8, 8));
    (server, client)
}

/// The two ways in which the open connections of a server die.
const DEATHS: [fn(&KeepAliveServer); 2] = [KeepAliveServer::break_connections, KeepAliveServer::freeze_connections];

#[tokio::test]
async fn a_get_meets_one_of_eight_dead_connections_and_succeeds_on_a_new_one() {
    for die in DEATHS {
        let (server, client) = with_eight_connections(builder).await;
        die(&server);
        let response = client.get("/documents").send().await.unwrap();
        assert_eq!((response.attempts().len(), server.connections()), (2, 9), "{:?}", response.attempts());
        // The other dead connections are not used either.
        assert_eq!(get_at_once(&client, 3).await, [1; 3]);
        assert_eq!(server.requests(), 8 + 2 + 3);

        die(&server);
        let response = client.get("/documents").send().await.unwrap();
        assert_eq!(response.attempts().len(), 2, "once more: {:?}", response.attempts());
    }
}

#[tokio::test]
async fn many_calls_at_once_over_dead_connections_all_succeed() {
    for die in DEATHS {
        let (server, client) = with_eight_connections(builder).await;
        die(&server);
        let attempts = get_at_once(&client, 24).await;
        assert!(attempts.iter().all(|attempts| *attempts <= 2), "{attempts:?}");
        assert!(attempts.iter().filter(|attempts| **attempts == 2).count() <= 8, "{attempts:?}");
        assert_eq!(server.requests(), 8 + attempts.iter().sum::<usize>());
    }
}

#[tokio::test]
async fn after_a_post_that_met_a_broken_connection_the_next_one_uses_a_new_connection() {
    let (server, client) = with_eight_connections(builder).await;
    server.break_connections();
    let error = client.post("/documents").send().await.unwrap_err();
    assert!(matches!(&error, ApiError::Transport(error) if error.fault() == Fault::Reset), "{error}");
    assert_eq!((error.stop_reason(), server.requests()), (Some(StopReason::MayHaveActed), 9));
    for _ in 0..3 {
        client.post("/documents").send().await.unwrap();
    }
    assert_eq!((server.connections(), server.requests()), (9, 12));
}

#[tokio::test]
async fn a_slow_path_costs_the_other_calls_no_connection() {
    let (server, client) = with_eight_connections(builder).await;
    let error = client.get("/slow").send().await.unwrap_err();
    assert!(matches!(&error, ApiError::Timeout(error) if error.limit() == Limit::Attempt), "{error}");
    assert_eq!((error.attempts().len(), server.connections()), (3, 8 + 2), "a new connection for each retry");
    assert_eq!(get_at_once(&client, 7).await, [1; 7]);
    assert_eq!(server.connections(), 8 + 2, "the other seven connections are still in use");
}

#[tokio::test]
async fn changed_settings_of_reqwest_keep_the_recovery_and_a_given_builder_does_not() {
    let (server, client) = with_eight_connections(|url| {
        builder(url).reqwest_with(|builder| builder.tcp_nodelay(true).pool_idle_timeout(Duration::from_secs(5)))
    })
    .await;
    server.break_connections();
    assert_eq!(client.get("/documents").send().await.unwrap().attempts().len(), 2);

    let (server, client) = with_eight_connections(|url| builder(url).reqwest(reqwest::Client::builder())).await;
    server.break_connections();
    let error = client.get("/documents").send().await.unwrap_err();
    assert_eq!(error.stop_reason(), Some(StopReason::AttemptsExhausted), "{error}");
    assert_eq!((server.connections(), server.requests()), (8, 8 + 3), "documented at `ClientBuilder::reqwest`");
}

#[tokio::test]
async fn a_wrapped_transport_recovers_from_dead_connections_too() {
    let (server, client) = with_eight_connections(|url| builder(url).wrap(|inner| inner)).await;
    for die in DEATHS {
        let connections = server.connections();
        die(&server);
        assert_eq!(client.get("/documents").send().await.unwrap().attempts().len(), 2);
        assert_eq!(server.connections(), connections + 1);
        assert_eq!(get_at_once(&client, 8).await, [1; 8]);
    }
}

#[tokio::test]
async fn a_misdirected_request_is_resent_over_another_connection() {
    let server = KeepAliveServer::start(|connection| if connection == 0 { MISDIRECTED } else { OK }).await;
    let client = builder(server.url()).build().unwrap();
    let response = client.get("/documents").send().await.unwrap();
    assert_eq!((response.attempts().len(), server.connections()), (2, 2));
    client.post("/documents").send().await.unwrap();
    assert_eq!((server.requests(), server.connections()), (3, 2), "the connection that works is used from then on");
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

#[test]
fn a_client_in_a_static_works_in_every_runtime() {
    static CLIENT: OnceLock<Client<Abaco>> = OnceLock::new();
    let of_the_server = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let server = of_the_server.block_on(KeepAliveServer::start(|_| OK));
    let client = CLIENT.get_or_init(|| builder(server.url()).attempt_timeout(Duration::from_secs(10)).build().unwrap());
    let post = |runtime: &tokio::runtime::Runtime| {
        let response = runtime.block_on(client.post("/documents").send()).unwrap();
        assert_eq!(response.attempts().len(), 1);
    };
    let (first, second) = (runtime(), runtime());
    post(&first);
    post(&second); // the first runtime stands still, and so does its connection
    post(&first);
    post(&second);
    assert_eq!(server.connections(), 2, "one for each runtime");
    drop(first);
    for number in 1..=20 {
        post(&runtime());
        assert_eq!(server.connections(), 2 + number);
    }
    assert_eq!(server.requests(), 4 + 20);
}
