//! The probe of the monitor URI: one GET, whose answer says whether the app is healthy.
//!
//! The server may be a stranger. So the time and the size of its answer are bounded, and redirects
//! are not followed.

use std::time::Duration;

use http_body_util::BodyExt;
use hyper::Response;
use hyper::body::Incoming;
use hyper::header::HeaderValue;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};

use super::target::{Host, Target};
use super::tls;
use crate::embedder::Answered;
use crate::protocol::EndpointAddress;

/// How much of an answer's body is read, bytes. The rest is ignored.
const MAX_BODY: usize = 64 * 1024;

/// Probes `target`, within `limit` altogether. Any status but 2xx is an error, and an error is a
/// text for people.
pub(super) async fn probe(target: &Target, limit: Duration) -> Result<Answered, String> {
    let exchange = async {
        match &target.host {
            Host::App(EndpointAddress::Unix { path }) => {
                connected(target, UnixStream::connect(path).await).await
            }
            Host::App(EndpointAddress::Tcp { address, port }) => {
                connected(target, TcpStream::connect((*address, *port)).await).await
            }
            Host::Named(host, port) => {
                connected(target, TcpStream::connect((host.as_str(), *port)).await).await
            }
        }
    };
    let failed = |reason: String| format!("the monitor URI {target} {reason}");
    match tokio::time::timeout(limit, exchange).await {
        Ok(Ok(answered)) if (200..300).contains(&answered.status) => Ok(answered),
        Ok(Ok(Answered { status, .. })) => {
            Err(format!("the monitor URI answered with status {status}"))
        }
        Ok(Err(error)) => Err(failed(format!("cannot be asked: {error}"))),
        Err(_) => Err(failed(format!("did not answer within {} ms", limit.as_millis()))),
    }
}

async fn connected<S>(target: &Target, stream: std::io::Result<S>) -> Result<Answered, String>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let stream = stream.map_err(|error| error.to_string())?;
    match target.tls {
        None => exchange(target, stream).await,
        Some(trust) => {
            exchange(target, tls::connect(trust, &target.server_name(), stream).await?).await
        }
    }
}

async fn exchange<S>(target: &Target, stream: S) -> Result<Answered, String>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let text = |error: hyper::Error| error.to_string();
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(text)?;
    let request = target.request()?;
    let answer = async { read(sender.send_request(request).await.map_err(text)?).await };
    tokio::select! {
        answered = answer => answered,
        // The connection ends first only if it fails. A part of an answer is useless.
        Err(error) = connection => Err(text(error)),
    }
}

async fn read(response: Response<Incoming>) -> Result<Answered, String> {
    let (head, mut body) = response.into_parts();
    let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    let headers =
        head.headers.iter().map(|(name, value)| (name.as_str().to_owned(), text(value))).collect();
    let mut bytes = Vec::new();
    while bytes.len() < MAX_BODY
        && let Some(frame) = body.frame().await
    {
        if let Ok(data) = frame.map_err(|error| error.to_string())?.into_data() {
            bytes.extend_from_slice(&data[..data.len().min(MAX_BODY - bytes.len())]);
        }
    }
    Ok(Answered {
        status: head.status.as_u16(),
        headers,
        body: String::from_utf8_lossy(&bytes).into_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::Endpoint;
    use std::net::Ipv4Addr;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    const LIMIT: Duration = Duration::from_millis(500);

    /// Probes a server that sends `answer` and then closes, unless it `hangs`. Returns the result
    /// and the request.
    async fn ask(answer: String, hangs: bool) -> (Result<Answered, String>, String) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let at =
            EndpointAddress::Tcp { address: Ipv4Addr::UNSPECIFIED.into(), port: address.port() };
        let target = Target::new("/health?deep=1", Endpoint { at, secure: false }).unwrap();
        let served = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut head = vec![0; 4096];
            let length = stream.read(&mut head).await.unwrap();
            // The client may close before all is written.
            let _ = stream.write_all(answer.as_bytes()).await;
            if hangs {
                tokio::time::sleep(4 * LIMIT).await;
            }
            String::from_utf8_lossy(&head[..length]).into_owned()
        };
        tokio::join!(probe(&target, LIMIT), served)
    }

    fn on_a_runtime(test: impl Future<Output = ()>) {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(test);
    }

    #[test]
    fn the_answer_has_headers_and_body_and_only_2xx_is_healthy() {
        on_a_runtime(async {
            let (answered, asked) =
                ask("HTTP/1.1 200 OK\r\nX-A: 1\r\ncontent-length: 2\r\n\r\nok".into(), false).await;
            let answered = answered.unwrap();
            assert_eq!((answered.status, answered.body.as_str()), (200, "ok"));
            assert!(answered.headers.contains(&("x-a".to_owned(), "1".to_owned())));
            assert!(
                asked.starts_with("GET /health?deep=1 HTTP/1.1\r\nhost: 127.0.0.1:"),
                "{asked}"
            );
            let moved = "HTTP/1.1 302 Found\r\nlocation: /other\r\ncontent-length: 0\r\n\r\n";
            let (answered, _) = ask(moved.into(), false).await;
            assert_eq!(answered.unwrap_err(), "the monitor URI answered with status 302");
        });
    }

    #[test]
    fn an_invalid_or_late_answer_is_an_error_and_an_endless_body_is_cut() {
        on_a_runtime(async {
            assert!(
                ask("\0\u{1} nonsense\r\n\r\n".into(), false)
                    .await
                    .0
                    .unwrap_err()
                    .contains("cannot be asked")
            );
            assert!(ask(String::new(), false).await.0.is_err());
            let (late, _) = ask("HTTP/1.1 200 OK\r\n".into(), true).await;
            assert_eq!(late.unwrap_err(), "the monitor URI /health did not answer within 500 ms");
            let endless = format!(
                "HTTP/1.1 200 OK\r\ncontent-length: 9999999\r\n\r\n{}",
                "x".repeat(3 * MAX_BODY)
            );
            assert_eq!(ask(endless, true).await.0.unwrap().body.len(), MAX_BODY);
        });
    }

    #[test]
    fn a_missing_server_is_an_error_with_a_text() {
        on_a_runtime(async {
            let at = EndpointAddress::Unix { path: "/nowhere/app.sock".into() };
            let gone = Target::new("/", Endpoint { at, secure: false }).unwrap();
            assert!(
                probe(&gone, LIMIT)
                    .await
                    .unwrap_err()
                    .starts_with("the monitor URI / cannot be asked: ")
            );
        });
    }
}
