//! No notice of another process breaks a client, or holds its calls back for more than an hour.

use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use http::{Response, StatusCode};
use steadfast::sharing::{Lost, Noticeboard, Talk};
use steadfast::transport::{Body, HttpRequest, SendFuture};
use steadfast::{Client, SharedLimiter, Stayforge, Transport, stayforge};
use tokio::time::{Instant, sleep};

use super::{SEPARATOR, run};

/// The longest pause, with a margin for the waits between the calls.
const LONGEST: Duration = Duration::from_secs(3600 + 150);

/// A noticeboard on which others have written the parts of an input. The first part is kept for the first lanes.
struct Board(Vec<Vec<u8>>);

impl Noticeboard for Board {
    fn attend<'a>(&'a self, _: &'a str, talk: &'a mut Talk) -> Pin<Box<dyn Future<Output = Lost> + Send + 'a>> {
        Box::pin(async move {
            for (lane, text) in self.0.iter().take(1).enumerate() {
                talk.kept(u8::try_from(lane).unwrap_or(0), text, Duration::from_secs(30));
            }
            talk.joined();
            for text in self.0.iter().skip(1) {
                talk.heard(text);
            }
            loop {
                let notice = talk.next().await;
                assert!(notice.text.len() <= 96 && notice.text.is_ascii(), "{notice:?}");
                talk.heard(notice.text.as_bytes());
            }
        })
    }
}

/// A service that throttles each tenth request.
#[derive(Default)]
struct Service(AtomicUsize);

impl Transport for Service {
    fn send(&self, _: HttpRequest) -> SendFuture<'_> {
        let is_throttled = self.0.fetch_add(1, Ordering::Relaxed) % 10 == 9;
        Box::pin(async move {
            sleep(Duration::from_millis(5)).await;
            let (status, wait) =
                if is_throttled { (StatusCode::TOO_MANY_REQUESTS, "1") } else { (StatusCode::OK, "0") };
            Ok(Response::builder()
                .status(status)
                .header("retry-after", wait)
                .body(Body::from("{}"))
                .expect("a response"))
        })
    }
}

/// Makes calls while others have written the parts of the input on the noticeboard.
pub fn notice(input: &[u8]) {
    let texts = input.split(|byte| *byte == SEPARATOR).take(64).map(<[u8]>::to_vec).collect();
    run(async {
        let key = stayforge::ApiKey::new("sk_example").expect("a key");
        let client = Client::<Stayforge>::builder(key)
            .transport(Service::default())
            .shared_limiter(SharedLimiter::new(Board(texts)))
            .retry(steadfast::RetryPolicy::new().with_max_wait(Duration::MAX))
            .deadline(Duration::MAX)
            .build()
            .expect("a client");
        for _ in 0..12 {
            let began = Instant::now();
            client.get("/v1/branches").send().await.expect("a response");
            assert!(began.elapsed() <= LONGEST, "the call took {:?}", began.elapsed());
            for lane in client.limits() {
                assert!(lane.paused_for.is_none_or(|pause| pause <= LONGEST), "{lane:?}");
                assert!(lane.processes <= 1025, "{lane:?}");
            }
        }
    });
}
