//! The protocol of the control socket: `POST /` with a command as JSON, answered with a sealed
//! answer. It is HTTP, so that hyper keeps the limits of length and time, and
//! `curl --unix-socket` can be used.

use std::future::Future;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use serde_json::{Value, json};
use tokio::net::UnixStream;

use crate::error::Result;
use crate::protocol::control::{Command, MAX_BODY, seal};

/// The connection of a client whose request takes longer is closed.
const REQUEST_WITHIN: Duration = Duration::from_secs(5);

/// Answers the commands of one client.
pub async fn serve<F>(stream: UnixStream, execute: impl Fn(Command) -> F) -> hyper::Result<()>
where
    F: Future<Output = Result<Value>>,
{
    let service = hyper::service::service_fn(|request: Request<Incoming>| {
        let execute = &execute;
        async move {
            let (status, answer) = match read(request).await {
                Ok(command) => (StatusCode::OK, seal(&execute(command).await)),
                Err((status, problem)) => (
                    status,
                    json!({ "error": { "code": "CLUSTER2_ERR_CONTROL", "message": problem } }),
                ),
            };
            let mut response = Response::new(Full::new(Bytes::from(answer.to_string())));
            *response.status_mut() = status;
            Ok::<_, std::convert::Infallible>(response)
        }
    });
    hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(REQUEST_WITHIN)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service)
        .await
}

async fn read(request: Request<Incoming>) -> std::result::Result<Command, (StatusCode, String)> {
    if request.method() != Method::POST {
        return Err((StatusCode::METHOD_NOT_ALLOWED, "POST a command as JSON".into()));
    }
    let body = Limited::new(request.into_body(), MAX_BODY).collect();
    let body = match tokio::time::timeout(REQUEST_WITHIN, body).await {
        Ok(Ok(body)) => body.to_bytes(),
        Ok(Err(error)) => return Err((StatusCode::PAYLOAD_TOO_LARGE, error.to_string())),
        Err(_) => {
            return Err((StatusCode::REQUEST_TIMEOUT, "the command did not come in time".into()));
        }
    };
    serde_json::from_slice(&body)
        .map_err(|error| (StatusCode::BAD_REQUEST, format!("not a command: {error}")))
}

/// Sends one command and returns the sealed answer. An error is a text for people.
pub async fn request(stream: UnixStream, command: &Command) -> std::result::Result<Value, String> {
    let exchange = async {
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        let body = Full::new(Bytes::from(serde_json::to_vec(command).unwrap_or_default()));
        let mut request = Request::new(body);
        *request.method_mut() = Method::POST;
        request
            .headers_mut()
            .insert(hyper::header::HOST, hyper::header::HeaderValue::from_static("cluster2"));
        let answer = async {
            let response = sender.send_request(request).await?;
            Ok::<_, hyper::Error>(Limited::new(response.into_body(), MAX_BODY).collect().await)
        };
        let (answer, _) = tokio::join!(answer, connection);
        answer
    };
    let body =
        exchange.await.map_err(|error| error.to_string())?.map_err(|error| error.to_string())?;
    serde_json::from_slice(&body.to_bytes())
        .map_err(|error| format!("its answer is not valid JSON: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ClusterError;
    use tokio::io::AsyncReadExt;
    use tokio::io::AsyncWriteExt;

    async fn execute(command: Command) -> Result<Value> {
        match command {
            Command::Status => Ok(json!({ "running": true })),
            _ => Err(ClusterError::WorkerUnknown { pid: 5 }),
        }
    }

    fn on_a_runtime(test: impl Future<Output = ()>) {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(test);
    }

    #[test]
    fn a_command_is_answered() {
        on_a_runtime(async {
            let (ours, theirs) = UnixStream::pair().unwrap();
            let (answer, served) =
                tokio::join!(request(ours, &Command::Status), serve(theirs, execute));
            served.unwrap();
            assert_eq!(answer.unwrap(), json!({ "ok": { "running": true } }));
        });
    }

    #[test]
    fn an_invalid_request_is_refused() {
        on_a_runtime(async {
            let cases = [
                "GET / HTTP/1.1\r\nhost: x\r\n\r\n",
                "POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\n{}",
                "\0\u{1}\r\n\r\n",
            ];
            for (case, status) in cases.into_iter().zip(["405", "400", "400"]) {
                let (mut ours, theirs) = UnixStream::pair().unwrap();
                let talk = async {
                    ours.write_all(case.as_bytes()).await.unwrap();
                    let mut answer = String::new();
                    ours.read_to_string(&mut answer).await.unwrap();
                    answer
                };
                let (answer, _) = tokio::join!(talk, serve(theirs, execute));
                assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{case:?}: {answer}");
            }
        });
    }
}
