//! The way of a request through the monitor: the health check, then the user's own monitor app,
//! then the pages.

use std::ops::ControlFlow;
use std::sync::{Arc, Weak};

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::http::request::Parts;
use hyper::{Method, Request, Response, StatusCode};

use super::listener::ClientIp;
use super::response::Body;
use super::router::{Router, StatusSource};
use super::server::RequestFilter;
use super::user_app::UserApp;
use crate::embedder::Embedder;
use crate::health::{ClusterHealth, HealthAnswer, HealthResponder};

pub(super) struct Gateway<C> {
    pub(super) router: Arc<Router<C>>,
    /// `None` if the health check is off.
    pub(super) health: Option<HealthResponder<C>>,
    pub(super) user_app: Arc<UserApp>,
    /// Hands connections to the user's app.
    pub(super) embedder: Weak<dyn Embedder>,
}

impl<C: StatusSource + ClusterHealth> RequestFilter for Gateway<C> {
    async fn filter(
        &self,
        request: Request<Incoming>,
        client: ClientIp,
    ) -> ControlFlow<Response<Body>, Request<Incoming>> {
        let target = request.uri().path_and_query().map_or("/", |target| target.as_str());
        if let Some(health) = &self.health
            && let Some(route) = health.route(request.method().as_str(), target)
        {
            let headers = request.headers();
            let is_known_host = self.router.knows_host(request.uri(), headers);
            let answer = health.answer(route, headers, client, is_known_host).await;
            return ControlFlow::Break(health_response(answer, request.method()));
        }
        if self.user_app.exists() {
            return ControlFlow::Break(self.try_user_app(request, client).await);
        }
        ControlFlow::Continue(request)
    }
}

impl<C: StatusSource> Gateway<C> {
    /// Returns the response of the user's app, or of the pages if the app does not know the path
    /// or does not answer.
    async fn try_user_app(&self, request: Request<Incoming>, client: ClientIp) -> Response<Body> {
        if !self.router.knows_host(request.uri(), request.headers()) {
            return self.pages(request.into_parts().0).await;
        }
        let (head, body) = request.into_parts();
        let for_pages = head.clone();
        match self.user_app.forward(&self.embedder, head, body, client).await {
            Ok(response) if response.status() == StatusCode::NOT_FOUND => {
                let page = self.pages(for_pages).await;
                if page.status() == StatusCode::NOT_FOUND { response } else { page }
            }
            Ok(response) => response,
            Err(reason) => {
                tracing::warn!(reason, "the monitor app does not answer");
                if matches!(for_pages.method, Method::GET | Method::HEAD) {
                    return self.pages(for_pages).await;
                }
                let mut response = Response::<Body>::default();
                *response.status_mut() = StatusCode::GATEWAY_TIMEOUT;
                response
            }
        }
    }

    async fn pages(&self, head: Parts) -> Response<Body> {
        self.router.answer(Request::from_parts(head, ())).await
    }
}

fn health_response(answer: HealthAnswer, method: &Method) -> Response<Body> {
    let body = if method == Method::HEAD { Bytes::new() } else { Bytes::from(answer.body) };
    let mut response = Response::builder().status(answer.status);
    // hyper itself keeps a connection open, as the client wants it.
    for (name, value) in answer.headers.into_iter().filter(|(_, value)| value != "keep-alive") {
        response = response.header(name, value);
    }
    let body = Full::new(body).map_err(|never| match never {}).boxed_unsync();
    // Our own headers are always valid.
    response.body(body).unwrap_or_default()
}
