//! Calls of the API.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use reqwest::{Method, RequestBuilder, Response, StatusCode, header};
use rustls::pki_types::{CertificateDer, pem::PemObject};
use serde::{Serialize, de::DeserializeOwned};
use sha2::Digest;
use tabane_model::{
    Metrics, Problem, Resource, Series, Statistic, Token, TokenSpec, UsageList, Vm,
    api::{
        CloneRequest, ExecRequest, ExportRequest, HostReport, JoinAnswer, JoinRequest, LeavingPart, List,
        NewToken, RevertRequest,
    },
    planning::{CollectionReport, CollectionWishes, PlanComparison, Trial, TrialRequest},
};

use crate::{Error, Events, Result, Stream, Target};

/// A connection to one server, cheap to clone.
#[derive(Clone)]
pub struct Client {
    http: reqwest::Client,
    base: String,
    token: Option<Arc<str>>,
    target: Target,
}

/// The body of a request, such as a file.
pub type Content = reqwest::Body;

/// What every change understands.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Call {
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub dry_run: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wait: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout_s: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub labels: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fields: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<usize>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub watch: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resume: Option<u64>,
}

/// A stretch of time: each end in seconds since 1970 or in RFC 3339.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Question {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub step_s: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub statistic: Option<Statistic>,
}

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Names in request lines on the local socket; nobody looks it up.
const LOCAL_BASE: &str = "http://tabane.local";
const CA_BYTES_MAX: usize = 64 << 10;

fn tls_failed(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    Error::Tls { source: source.into() }
}

/// Chooses the cryptography of this process's HTTP clients; to be called before one is made.
pub fn prepare_tls() {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
}

fn tls(ca: CertificateDer<'static>) -> Result<rustls::ClientConfig> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(ca).map_err(tls_failed)?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider);
    let builder = builder.with_safe_default_protocol_versions().map_err(tls_failed)?;
    let mut config = builder.with_root_certificates(roots).with_no_client_auth();
    // Byte streams are upgrades, which HTTP/2 does not have.
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

impl Client {
    /// Prepares the client; for a remote server it fetches the authority and compares it with the fingerprint.
    pub async fn connect(target: Target, token: Option<String>) -> Result<Self> {
        // reqwest asks for a process-wide provider even where a configuration is given.
        prepare_tls();
        let builder = || reqwest::Client::builder().connect_timeout(CONNECT_TIMEOUT).http1_only().no_proxy();
        let (http, base) = match &target {
            Target::Local(path) => (builder().unix_socket(path.clone()), LOCAL_BASE.to_owned()),
            Target::Remote { url, fingerprint } => {
                let ca = fetch_authority(&target, url, fingerprint).await?;
                (builder().tls_backend_preconfigured(tls(ca)?), url.clone())
            }
        };
        let http = http.build().map_err(tls_failed)?;
        Ok(Self { http, base, token: token.map(Into::into), target })
    }

    pub fn target(&self) -> &Target {
        &self.target
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let mut request = self.http.request(method, format!("{}{path}", self.base));
        if let Some(token) = &self.token {
            let mut value = header::HeaderValue::from_str(&format!("Bearer {token}"))
                .unwrap_or(header::HeaderValue::from_static("Bearer invalid"));
            value.set_sensitive(true);
            request = request.header(header::AUTHORIZATION, value);
        }
        request
    }

    async fn send(&self, request: RequestBuilder) -> Result<Response> {
        let unreachable = |e: reqwest::Error| Error::Unreachable {
            target: self.target.to_string(),
            source: Box::new(e.without_url()),
        };
        let response = request.send().await.map_err(unreachable)?;
        if response.status().is_success() || response.status() == StatusCode::SWITCHING_PROTOCOLS {
            return Ok(response);
        }
        let status = response.status();
        let bytes = response.bytes().await.map_err(answer)?;
        match serde_json::from_slice::<Problem>(&bytes) {
            Ok(problem) => Err(Error::Problem(Box::new(problem))),
            Err(_) => {
                let text: String = String::from_utf8_lossy(&bytes).chars().take(200).collect();
                Err(Error::Answer { source: format!("{status}: {text}").into() })
            }
        }
    }

    async fn json<T: DeserializeOwned>(&self, request: RequestBuilder) -> Result<T> {
        let bytes = self.send(request).await?.bytes().await.map_err(answer)?;
        serde_json::from_slice(&bytes).map_err(|e| Error::Answer { source: Box::new(e) })
    }

    pub async fn get<R: Resource>(&self, name: &str, call: &Call) -> Result<R> {
        self.json(self.request(Method::GET, &path::<R>(name)).query(call)).await
    }

    /// One page.
    pub async fn page<R: Resource>(&self, call: &Call) -> Result<List<R>> {
        let path = format!("/v1/{}", R::KIND.plural());
        self.json(self.request(Method::GET, &path).query(call)).await
    }

    /// All pages.
    pub async fn list<R: Resource>(&self, call: &Call) -> Result<Vec<R>> {
        let mut call = Call { limit: Some(call.limit.unwrap_or(1000)), ..call.clone() };
        let mut items = Vec::new();
        loop {
            let page: List<R> = self.page(&call).await?;
            items.extend(page.items);
            match page.cursor {
                Some(cursor) => call.cursor = Some(cursor),
                None => return Ok(items),
            }
        }
    }

    pub async fn create<R: Resource>(&self, object: &R, call: &Call) -> Result<R> {
        let path = format!("/v1/{}", R::KIND.plural());
        self.json(self.request(Method::POST, &path).query(call).json(object)).await
    }

    /// As `create`; the same key makes the object once, however often it is sent.
    pub async fn create_once<R: Resource>(&self, object: &R, call: &Call, key: &str) -> Result<R> {
        let path = format!("/v1/{}", R::KIND.plural());
        self.json(self.request(Method::POST, &path).query(call).header("idempotency-key", key).json(object))
            .await
    }

    pub async fn put<R: Resource>(&self, object: &R, call: &Call) -> Result<R> {
        let path = path::<R>(object.meta().name.as_str());
        self.json(self.request(Method::PUT, &path).query(call).json(object)).await
    }

    pub async fn patch<R: Resource>(&self, name: &str, patch: &serde_json::Value, call: &Call) -> Result<R> {
        self.json(self.request(Method::PATCH, &path::<R>(name)).query(call).json(patch)).await
    }

    /// Deletes; the object while its host cleans up, or `None` when it is gone.
    pub async fn delete<R: Resource>(&self, name: &str, call: &Call) -> Result<Option<R>> {
        let response = self.send(self.request(Method::DELETE, &path::<R>(name)).query(call)).await?;
        if response.status() == StatusCode::NO_CONTENT {
            return Ok(None);
        }
        let bytes = response.bytes().await.map_err(answer)?;
        serde_json::from_slice(&bytes).map(Some).map_err(|e| Error::Answer { source: Box::new(e) })
    }

    /// `start`, `shutdown`, `force-off`, `pause`, `resume`, `reset`.
    pub async fn act<R: Resource>(&self, name: &str, verb: &str, call: &Call) -> Result<R> {
        let path = format!("{}/{verb}", path::<R>(name));
        self.json(self.request(Method::POST, &path).query(call)).await
    }

    pub async fn clone_vm(&self, vm: &str, request: &CloneRequest, call: &Call) -> Result<Vec<Vm>> {
        let path = format!("{}/clone", path::<Vm>(vm));
        let list: List<Vm> = self.json(self.request(Method::POST, &path).query(call).json(request)).await?;
        Ok(list.items)
    }

    pub async fn revert(&self, vm: &str, request: &RevertRequest, call: &Call) -> Result<Vm> {
        let path = format!("{}/revert", path::<Vm>(vm));
        self.json(self.request(Method::POST, &path).query(call).json(request)).await
    }

    /// Follows objects of a kind.
    pub async fn watch<R: Resource>(&self, call: &Call) -> Result<Events> {
        let call = Call { watch: true, ..call.clone() };
        let path = format!("/v1/{}", R::KIND.plural());
        Ok(Events::new(self.send(self.request(Method::GET, &path).query(&call)).await?))
    }

    pub async fn create_token(&self, name: &str, spec: &TokenSpec) -> Result<NewToken> {
        let body = serde_json::json!({ "meta": { "name": name }, "spec": spec });
        self.json(self.request(Method::POST, &format!("/v1/{}", Token::KIND.plural())).json(&body)).await
    }

    pub async fn openapi(&self) -> Result<serde_json::Value> {
        self.json(self.request(Method::GET, "/v1/openapi.json")).await
    }

    pub async fn health(&self) -> Result<serde_json::Value> {
        self.json(self.request(Method::GET, "/v1/health")).await
    }

    /// What was measured of a VM or host over time.
    pub async fn metrics<R: Resource>(&self, name: &str, question: &Question) -> Result<Metrics> {
        let path = format!("{}/metrics", path::<R>(name));
        self.json(self.request(Method::GET, &path).query(question)).await
    }

    /// What all VMs or hosts use now, the most of `sort` first.
    pub async fn usage<R: Resource>(&self, sort: Option<Series>, limit: Option<usize>) -> Result<UsageList> {
        let path = format!("/v1/metrics/{}", R::KIND.plural());
        let sort = sort.map(|sort| ("sort", sort.to_string()));
        let limit = limit.map(|limit| ("limit", limit.to_string()));
        let query: Vec<_> = sort.into_iter().chain(limit).collect();
        self.json(self.request(Method::GET, &path).query(&query)).await
    }

    /// What Prometheus scrapes.
    pub async fn exposition(&self) -> Result<String> {
        let bytes = self.send(self.request(Method::GET, "/metrics")).await?.bytes().await.map_err(answer)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// A ticket for the display's websocket, as the server words it.
    pub async fn vnc_ticket(&self, vm: &str) -> Result<serde_json::Value> {
        self.json(self.request(Method::POST, &format!("/v1/vms/{}/vnc-tickets", segment(vm)))).await
    }

    pub async fn screenshot(&self, vm: &str) -> Result<Bytes> {
        let path = format!("/v1/vms/{}/screenshot", segment(vm));
        self.send(self.request(Method::GET, &path)).await?.bytes().await.map_err(answer)
    }

    pub async fn console(&self, vm: &str) -> Result<Stream> {
        self.stream(self.request(Method::GET, &format!("/v1/vms/{}/console", segment(vm)))).await
    }

    pub async fn exec(&self, vm: &str, request: &ExecRequest) -> Result<Stream> {
        self.stream(self.request(Method::POST, &format!("/v1/vms/{}/exec", segment(vm))).json(request)).await
    }

    /// A stream into an image that waits for its content, from this offset on.
    pub async fn upload(&self, image: &str, offset_bytes: u64) -> Result<Stream> {
        let path = format!("/v1/images/{}/content", segment(image));
        self.stream(self.request(Method::PUT, &path).query(&[("offset_bytes", offset_bytes)])).await
    }

    /// Sends a file of a survey. Returns when the server has it on its disk.
    pub async fn send_survey_file(&self, survey: &str, file: &str, content: Content) -> Result<()> {
        let path = format!("/v1/surveys/{}/files/{}", segment(survey), segment(file));
        self.send(self.request(Method::PUT, &path).body(content)).await.map(drop)
    }

    /// What a collector says of a collection; answered is what is wished for.
    pub async fn report_collection(
        &self,
        collection: &str,
        report: &CollectionReport,
    ) -> Result<CollectionWishes> {
        let path = format!("/v1/collections/{}/report", segment(collection));
        self.json(self.request(Method::POST, &path).json(report)).await
    }

    /// A plan's document, as it is kept.
    pub async fn plan_document(&self, plan: &str) -> Result<Bytes> {
        let path = format!("/v1/plans/{}/document", segment(plan));
        self.send(self.request(Method::GET, &path)).await?.bytes().await.map_err(answer)
    }

    /// What would be if servers of a plan were on other hosts.
    pub async fn try_plan(&self, plan: &str, request: &TrialRequest) -> Result<Trial> {
        let path = format!("/v1/plans/{}/try", segment(plan));
        self.json(self.request(Method::POST, &path).json(request)).await
    }

    pub async fn compare_plans(&self, plan: &str, other: &str) -> Result<PlanComparison> {
        let path = format!("/v1/plans/{}/compare/{}", segment(plan), segment(other));
        self.json(self.request(Method::GET, &path)).await
    }

    pub async fn image_files(&self, image: &str) -> Result<Stream> {
        self.stream(self.request(Method::GET, &format!("/v1/images/{}/files", segment(image)))).await
    }

    /// A snapshot as a file for other systems, in frames.
    pub async fn export(&self, snapshot: &str, request: &ExportRequest) -> Result<Stream> {
        let path = format!("/v1/snapshots/{}/export", segment(snapshot));
        self.stream(self.request(Method::GET, &path).query(request)).await
    }

    /// A part of a VM that moves to the host that asks.
    pub async fn leaving(&self, vm: &str, part: &LeavingPart) -> Result<Stream> {
        let path = format!("/v1/vms/{}/leaving", segment(vm));
        self.stream(self.request(Method::POST, &path).json(part)).await
    }

    async fn stream(&self, request: RequestBuilder) -> Result<Stream> {
        let request = request.header(header::CONNECTION, "Upgrade").header(header::UPGRADE, "tabane-stream");
        let response = self.send(request).await?;
        if response.status() != StatusCode::SWITCHING_PROTOCOLS {
            return Err(Error::Answer {
                source: format!("{} instead of a stream", response.status()).into(),
            });
        }
        response.upgrade().await.map_err(answer)
    }

    // What only a host's agent calls.

    pub async fn join(&self, request: &JoinRequest) -> Result<JoinAnswer> {
        self.json(self.request(Method::POST, "/v1/join").json(request)).await
    }

    pub async fn watch_host(&self, host: &str) -> Result<Events> {
        Ok(Events::new(
            self.send(self.request(Method::GET, &format!("/v1/hosts/{}/watch", segment(host)))).await?,
        ))
    }

    pub async fn report(&self, host: &str, report: &HostReport) -> Result<()> {
        let path = format!("/v1/hosts/{}/report", segment(host));
        self.send(self.request(Method::POST, &path).json(report)).await.map(drop)
    }

    pub async fn answer_stream(&self, host: &str, id: tabane_model::Uid) -> Result<Stream> {
        self.stream(self.request(Method::POST, &format!("/v1/hosts/{}/streams/{id}", segment(host)))).await
    }

    pub async fn refuse_stream(&self, host: &str, id: tabane_model::Uid, problem: &Problem) -> Result<()> {
        let path = format!("/v1/hosts/{}/streams/{id}/refusal", segment(host));
        self.send(self.request(Method::POST, &path).json(problem)).await.map(drop)
    }
}

fn answer(error: reqwest::Error) -> Error {
    Error::Answer { source: Box::new(error.without_url()) }
}

fn path<R: Resource>(name: &str) -> String {
    format!("/v1/{}/{}", R::KIND.plural(), segment(name))
}

/// A name as one segment of a path: whatever is no name character is escaped, and the server then refuses it.
fn segment(name: &str) -> String {
    let mut text = String::new();
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_' {
            text.push(byte.into());
        } else {
            text.push_str(&format!("%{byte:02X}"));
        }
    }
    if text.is_empty() { "%20".into() } else { text }
}

/// Fetches the authority's certificate over a connection that proves nothing, and believes it only if it has the
/// fingerprint that we were given. No token is sent on that connection.
async fn fetch_authority(target: &Target, url: &str, fingerprint: &str) -> Result<CertificateDer<'static>> {
    let unreachable = |e: reqwest::Error| Error::Unreachable {
        target: target.to_string(),
        source: Box::new(e.without_url()),
    };
    let http = reqwest::Client::builder()
        .connect_timeout(CONNECT_TIMEOUT)
        .timeout(CONNECT_TIMEOUT)
        .http1_only()
        .no_proxy()
        .tls_danger_accept_invalid_certs(true)
        .build()
        .map_err(tls_failed)?;
    let response = http.get(format!("{url}/v1/ca.pem")).send().await.map_err(unreachable)?;
    let pem = response.bytes().await.map_err(unreachable)?;
    if pem.len() > CA_BYTES_MAX {
        return Err(Error::Answer { source: "the authority's certificate is too large".into() });
    }
    let der = CertificateDer::from_pem_slice(&pem).map_err(|e| Error::Answer { source: Box::new(e) })?;
    let found: String = sha2::Sha256::digest(&der).iter().map(|byte| format!("{byte:02x}")).collect();
    if found != fingerprint {
        return Err(Error::OtherAuthority { expected: fingerprint.into(), found });
    }
    Ok(der.into_owned())
}
