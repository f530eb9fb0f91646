//! HTTP on a loopback address: who may speak.
//!
//! Everybody on the machine reaches a loopback port, and so does every page in a browser: a request needs the
//! token, the `Host` of this machine (a name that was made to lead here is none) and no `Origin`.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;
use rmcp::transport::{StreamableHttpServerConfig, StreamableHttpService};

use super::handler::{Handler, Parked};
use super::{Askance, McpError};
use crate::server::Token;
use crate::tools::LARGEST_OPERATION;

pub(super) async fn serve(
    askance: Arc<Askance>,
    address: SocketAddr,
    token: Token,
    ready: impl FnOnce(SocketAddr),
) -> Result<(), McpError> {
    let listen = |source| McpError::Listen { address, source };
    let listener = tokio::net::TcpListener::bind(address).await.map_err(listen)?;
    ready(listener.local_addr().map_err(listen)?);
    let mut config = StreamableHttpServerConfig::default().enforce_origin_validation();
    config.max_request_body_bytes = usize::try_from(LARGEST_OPERATION).unwrap_or(usize::MAX) + (1 << 20);
    let parked = Arc::new(Parked::default());
    let handler = move || Ok(Handler::sharing(Arc::clone(&askance), Arc::clone(&parked)));
    let service = StreamableHttpService::new(handler, Arc::new(LocalSessionManager::default()), config);
    let router =
        Router::new().nest_service("/mcp", service).layer(middleware::from_fn_with_state(Arc::new(token), admit));
    axum::serve(listener, router).await.map_err(McpError::Http)
}

/// Lets a request pass that shows the token. What it asks for is not looked at before.
async fn admit(State(token): State<Arc<Token>>, request: Request, next: Next) -> Response {
    let shown = request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let shown = shown.and_then(|value| value.strip_prefix("Bearer "));
    if request.headers().contains_key(header::ORIGIN) {
        return (StatusCode::FORBIDDEN, "pages in a browser are not served\n").into_response();
    }
    match shown {
        Some(shown) if token.is(shown.trim()) => next.run(request).await,
        _ => {
            let challenge = [(header::WWW_AUTHENTICATE, "Bearer")];
            (StatusCode::UNAUTHORIZED, challenge, "show the token: Authorization: Bearer …\n").into_response()
        }
    }
}
