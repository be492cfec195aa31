//! A noticeboard on a Redis or Valkey server.

use std::pin::pin;
use std::time::Duration;

use ::redis::aio::MultiplexedConnection;
use ::redis::{
    AsyncConnectionConfig, Client, ConnectionAddr, ErrorKind, IntoConnectionInfo, ProtocolVersion, PushInfo, PushKind,
    RedisError, ServerErrorKind, Value,
};
use tokio::sync::mpsc;

use super::talk::{Attendance, Either, Lost, Notice, Noticeboard, Talk, first};
use crate::error::{BuildError, BuildErrorKind};

/// The prefix of the channel and of the keys, with the version of the notices.
const PREFIX: &str = "steadfast:1:";
const FORM: &str = "use the form rediss://user:password@host:port";
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// A Redis or Valkey server.
pub(super) struct Redis(Client);

impl Redis {
    /// Parses a URL. Also returns the host, if the URL would send the password unencrypted to another machine.
    pub(super) fn open(url: &str) -> Result<(Self, Option<Box<str>>), Box<BuildError>> {
        let invalid = |problem: &str| {
            BuildError::new(BuildErrorKind::Configuration, format!("invalid URL of the shared limiter: {problem}"))
        };
        let parsed = url::Url::parse(url).map_err(|error| invalid(&format!("{error}; {FORM}")))?;
        if parsed.fragment().is_some() {
            return Err(invalid("it has a fragment; remove it"));
        }
        // The message of the error may contain parts of the URL.
        let info = url.into_connection_info().map_err(|_| invalid(&format!("it is not a Redis URL; {FORM}")))?;
        let plain_host = match info.addr() {
            ConnectionAddr::Tcp(host, _) if !is_loopback(host) => Some(host.as_str().into()),
            ConnectionAddr::TcpTls { .. } if !cfg!(feature = "rustls") => {
                return Err(invalid("rediss requires TLS; enable the feature `rustls` of steadfast"));
            }
            _ => None,
        };
        let settings = info.redis_settings().clone().set_protocol(ProtocolVersion::RESP3).set_skip_set_lib_name();
        let info = info.set_redis_settings(settings);
        let client = Client::open(info).map_err(|_| invalid(&format!("it cannot be used; {FORM}")))?;
        Ok((Self(client), plain_host))
    }

    async fn connect(&self, pushes: mpsc::UnboundedSender<PushInfo>) -> Result<MultiplexedConnection, RedisError> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECT_TIMEOUT))
            .set_response_timeout(None)
            .set_push_sender(pushes);
        self.0.get_multiplexed_async_connection_with_config(&config).await
    }
}

/// Returns true if a connection to `host` stays on this machine.
fn is_loopback(host: &str) -> bool {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || host.parse().is_ok_and(|address: std::net::IpAddr| address.is_loopback())
}

fn key(name: &str, lane: u8) -> String {
    // In a cluster, the braces put the keys of all lanes on one node.
    format!("{PREFIX}{{{name}}}:{lane}")
}

impl Noticeboard for Redis {
    fn attend<'a>(&'a self, name: &'a str, talk: &'a mut Talk) -> Attendance<'a> {
        Box::pin(async move {
            match self.exchange(name, talk).await {
                Ok(lost) => lost,
                Err(error) => Lost::because(reason(&error)),
            }
        })
    }
}

impl Redis {
    async fn exchange(&self, name: &str, talk: &mut Talk) -> Result<Lost, RedisError> {
        let channel = format!("{PREFIX}{name}");
        let (sender, mut pushes) = mpsc::unbounded_channel();
        let mut connection = self.connect(sender).await?;
        // First subscribe, then read what is kept: a notice between the two would be lost the other way round.
        connection.subscribe(&channel).await?;
        self.read_kept(&mut connection, name, talk).await?;
        talk.joined();
        loop {
            let next = first(pin!(talk.next()), pin!(pushes.recv())).await;
            match next {
                Either::Left(notice) => publish(&mut connection, &channel, name, notice).await?,
                Either::Right(Some(PushInfo { kind: PushKind::Message, data })) => {
                    if let Some(Value::BulkString(text)) = data.last() {
                        talk.heard(text);
                    }
                }
                Either::Right(Some(PushInfo { kind: PushKind::Disconnection, .. }) | None) => {
                    return Ok(Lost::because("disconnected"));
                }
                Either::Right(Some(_)) => {}
            }
        }
    }

    /// Reads what is kept for clients that join.
    async fn read_kept(
        &self,
        connection: &mut MultiplexedConnection,
        name: &str,
        talk: &mut Talk,
    ) -> Result<(), RedisError> {
        let mut pipeline = ::redis::pipe();
        for lane in 0..Talk::LANES {
            let key = key(name, lane);
            pipeline.cmd("GET").arg(&key).cmd("PTTL").arg(&key);
        }
        let answers: Vec<Value> = match pipeline.query_async(connection).await {
            Ok(answers) => answers,
            // A node of a cluster has the channel, but not the keys.
            Err(error) if error.kind() == ErrorKind::Server(ServerErrorKind::Moved) => return Ok(()),
            Err(error) => return Err(error),
        };
        for (lane, answer) in (0..Talk::LANES).zip(answers.chunks_exact(2)) {
            if let [Value::BulkString(text), Value::Int(lasts)] = answer {
                talk.kept(lane, text, Duration::from_millis(u64::try_from(*lasts).unwrap_or(0)));
            }
        }
        Ok(())
    }
}

async fn publish(
    connection: &mut MultiplexedConnection,
    channel: &str,
    name: &str,
    notice: Notice,
) -> Result<(), RedisError> {
    let mut pipeline = ::redis::pipe();
    pipeline.cmd("PUBLISH").arg(channel).arg(notice.text).ignore();
    if let Some(keep) = notice.keep {
        let lasts = u64::try_from(keep.lasts.as_millis()).unwrap_or(u64::MAX).max(1);
        pipeline.cmd("SET").arg(key(name, keep.lane)).arg(keep.text).arg("PX").arg(lasts).ignore();
    }
    match pipeline.query_async(connection).await {
        Err(error) if error.kind() == ErrorKind::Server(ServerErrorKind::Moved) => Ok(()),
        result => result,
    }
}

/// Returns the reason of an error. The text of the error is not used, because it may contain parts of the URL.
fn reason(error: &RedisError) -> &'static str {
    match error.kind() {
        ErrorKind::AuthenticationFailed => "wrong user name or password",
        ErrorKind::RESP3NotSupported => "the server is older than version 6",
        ErrorKind::Server(ServerErrorKind::NoPerm) => "the user lacks a permission; see the guide for the ACL rule",
        ErrorKind::Server(ServerErrorKind::BusyLoading) => "the server is loading its data",
        ErrorKind::Server(ServerErrorKind::ReadOnly) => "the server is a read-only replica",
        ErrorKind::Server(ServerErrorKind::ClusterDown | ServerErrorKind::MasterDown) => "the cluster is down",
        _ if error.code() == Some("NOAUTH") => "the server requires a password",
        _ if error.code() == Some("WRONGPASS") => "wrong user name or password",
        ErrorKind::Server(_) | ErrorKind::Extension => "the server rejected a command",
        _ if error.is_timeout() => "the connection timed out",
        _ if error.is_connection_refusal() => "the connection was refused",
        _ if error.is_connection_dropped() => "disconnected",
        ErrorKind::Io => "the connection failed",
        _ => "the server sent an unexpected response",
    }
}
