//! What the server itself does: requests to its API and to its store.

use std::{sync::Arc, time::Duration};

use axum::{
    extract::{MatchedPath, Request, State},
    middleware::Next,
    response::Response,
};
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, histogram::Histogram},
    registry::Registry,
};

use crate::app::App;

/// Upper ends of the classes of durations, in seconds.
const BUCKETS_S: [f64; 10] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 2.5, 10.0];

/// Labels have few values each: patterns of paths, never paths.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Answered {
    method: &'static str,
    path: String,
    status: u16,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Asked {
    method: &'static str,
    path: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Operation {
    operation: &'static str,
}

type Durations<L> = Family<L, Histogram, fn() -> Histogram>;

fn histogram() -> Histogram {
    Histogram::new(BUCKETS_S)
}

/// Counters and durations since the server started. Clones are the same ones.
#[derive(Clone)]
pub struct Requests {
    answers: Family<Answered, Counter>,
    durations: Durations<Asked>,
    store: Durations<Operation>,
}

impl Default for Requests {
    fn default() -> Self {
        Self {
            answers: Family::default(),
            durations: Family::new_with_constructor(histogram),
            store: Family::new_with_constructor(histogram),
        }
    }
}

impl Requests {
    pub fn store(&self, operation: &'static str, took: Duration) {
        self.store.get_or_create(&Operation { operation }).observe(took.as_secs_f64());
    }

    pub fn register(&self, registry: &mut Registry) {
        registry.register(
            "tabane_api_requests",
            "Requests to the API, by pattern of path and by status",
            self.answers.clone(),
        );
        registry.register(
            "tabane_api_request_duration_seconds",
            "Time until the API began to answer; streams and watches go on after that",
            self.durations.clone(),
        );
        registry.register(
            "tabane_store_operation_duration_seconds",
            "Time that the store took; txn is until it was durable",
            self.store.clone(),
        );
    }
}

/// Counts a request and measures its duration.
pub async fn observe(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let method = match request.method().as_str() {
        "GET" => "GET",
        "POST" => "POST",
        "PUT" => "PUT",
        "PATCH" => "PATCH",
        "DELETE" => "DELETE",
        _ => "other",
    };
    let path = request.extensions().get::<MatchedPath>().map_or("other", MatchedPath::as_str).to_owned();
    let began = std::time::Instant::now();
    let response = next.run(request).await;
    let requests = &app.metrics.requests;
    let took = began.elapsed().as_secs_f64();
    let status = response.status().as_u16();
    requests.answers.get_or_create(&Answered { method, path: path.clone(), status }).inc();
    requests.durations.get_or_create(&Asked { method, path }).observe(took);
    response
}
