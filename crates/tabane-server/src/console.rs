//! The web console's files, built from `web/` and kept in the binary, compressed.
//!
//! Files with a hash in their name never change and are kept by browsers; everything else is asked for each time. Paths
//! that are neither files nor the API's are the console's own: they get its first page. Without the files, which is how
//! `cargo build` alone leaves it, that page says how to make them.

use axum::{
    extract::Request,
    http::{HeaderValue, Method, StatusCode, header},
    response::{Html, IntoResponse, Response},
};
use rust_embed::Embed;

use crate::Error;

#[derive(Embed)]
#[folder = "../../web/dist"]
#[allow_missing = true]
struct Files;

const FIRST_PAGE: &str = "index.html";

const NOT_BUILT: &str = "<!doctype html><meta charset=utf-8><title>Tabane</title>\
    <h1>Tabane is up; its web console is not in this build</h1>\
    <p>Build it with Node 20 or later: <code>cargo xtask console</code>, then <code>cargo build</code>. \
    The API is at <a href=\"/v1/openapi.json\">/v1/openapi.json</a>.";

/// Scripts come from us alone. Styles may be inline: the terminal and the display write theirs at run time.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; \
    font-src 'self'; connect-src 'self'; worker-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'self'; \
    frame-ancestors 'none'";

/// Whatever is no path of the API.
pub async fn serve(request: Request) -> Response {
    let path = request.uri().path().trim_start_matches('/');
    let reads = matches!(*request.method(), Method::GET | Method::HEAD);
    if !reads || path == "v1" || path.starts_with("v1/") {
        return Error::NoPath.into_response();
    }
    if !path.is_empty()
        && path != FIRST_PAGE
        && !path.ends_with(".br")
        && let Some(response) = file(path, &request)
    {
        return response;
    }
    let accepts = |value: &HeaderValue| value.to_str().is_ok_and(|v| v.contains("text/html"));
    let browser = request.headers().get_all(header::ACCEPT).iter().any(accepts);
    if path.starts_with("assets/") || !(browser || path.is_empty()) {
        return Error::NoPath.into_response();
    }
    file(FIRST_PAGE, &request).unwrap_or_else(|| Html(NOT_BUILT).into_response())
}

fn file(path: &str, request: &Request) -> Option<Response> {
    let whole = Files::get(path)?;
    let tag = HeaderValue::from_str(&format!("\"{}\"", hex(&whole.metadata.sha256_hash()[..16]))).ok()?;
    let caching =
        if path.starts_with("assets/") { "public, max-age=31536000, immutable" } else { "no-cache" };
    let mut response = if request.headers().get(header::IF_NONE_MATCH) == Some(&tag) {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        let brotli =
            |v: &HeaderValue| v.to_str().is_ok_and(|v| v.split(',').any(|w| w.trim().starts_with("br")));
        let takes = request.headers().get_all(header::ACCEPT_ENCODING).iter().any(brotli);
        let small = takes.then(|| Files::get(&format!("{path}.br"))).flatten();
        let encoded = small.is_some();
        let mut response = small.unwrap_or(whole).data.into_owned().into_response();
        if encoded {
            response.headers_mut().insert(header::CONTENT_ENCODING, HeaderValue::from_static("br"));
        }
        response
    };
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind(path)));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(caching));
    headers.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
    headers.insert(header::ETAG, tag);
    Some(response)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

fn kind(path: &str) -> &'static str {
    match path.rsplit_once('.').map_or("", |(_, ending)| ending) {
        "html" => "text/html; charset=utf-8",
        "js" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "woff2" => "font/woff2",
        "json" | "webmanifest" => "application/json",
        "txt" => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}

/// What every answer tells browsers: nothing is guessed, framed or kept that need not be.
pub async fn protect(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    // What is no page of the console may have a stricter one.
    headers.entry(header::CONTENT_SECURITY_POLICY).or_insert(HeaderValue::from_static(POLICY));
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}
