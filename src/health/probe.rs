//! Asks the monitor URI: one GET, whose answer says whether the app is well.
//!
//! Whatever is asked is a stranger: the answer's time and size are bounded, and redirects are not followed.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use http_body_util::{BodyExt, Empty};
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONNECTION, HOST, HeaderValue, USER_AGENT};
use hyper::{Request, Response, Uri};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};

use crate::embedder::Answered;
use crate::health::tls;
use crate::protocol::{Endpoint, EndpointAddress};

/// So much of an answer's body is read, bytes; the rest is left.
pub const MAX_BODY: usize = 64 * 1024;

/// What is asked.
#[derive(Debug, Clone)]
pub struct Target {
    host: Host,
    uri: Uri,
    tls: Option<Trust>,
}

#[derive(Debug, Clone)]
enum Host {
    App(EndpointAddress),
    /// Host and port, resolved at each probe.
    Named(String, u16),
}

/// Whose certificates are good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trust {
    /// Those that the machine trusts.
    Machine,
    /// Any: the app is asked at its own address, for which no certificate is made out.
    Own,
}

impl Answered {
    /// What is wrong with it: any status but 2xx.
    pub fn problem(&self) -> Option<String> {
        (!(200..300).contains(&self.status))
            .then(|| format!("the monitor URI answered with status {}", self.status))
    }
}

impl Target {
    /// `monitor` is the option, a URL or a path on the `app`, where an unspecified address stands for loopback.
    /// `None` if it is neither, which the options' check does not let through.
    pub fn new(monitor: &str, app: Endpoint) -> Option<Self> {
        let uri: Uri = monitor.parse().ok()?;
        if monitor.starts_with('/') {
            return Some(Self {
                host: Host::App(on_loopback(app.at)),
                uri,
                tls: app.secure.then_some(Trust::Own),
            });
        }
        let (port, tls) = match uri.scheme_str()? {
            "http" => (80, None),
            "https" => (443, Some(Trust::Machine)),
            _ => return None,
        };
        let host = Host::Named(
            uri.host()?.trim_matches(['[', ']']).to_owned(),
            uri.port_u16().unwrap_or(port),
        );
        Some(Self { host, uri, tls })
    }

    fn name(&self) -> String {
        match &self.host {
            Host::App(EndpointAddress::Tcp { address, .. }) => address.to_string(),
            Host::App(EndpointAddress::Unix { .. }) => "localhost".to_owned(),
            Host::Named(host, _) => host.clone(),
        }
    }

    fn request(&self) -> Result<Request<Empty<Bytes>>, String> {
        let path = self.uri.path_and_query().map_or("/", |path| path.as_str());
        let host = match (&self.host, self.uri.authority()) {
            (Host::App(at @ EndpointAddress::Tcp { .. }), _) => at.to_string(),
            (_, Some(authority)) => authority.to_string(),
            _ => "localhost".to_owned(),
        };
        let agent =
            HeaderValue::from_static(concat!("cluster2-rs/", env!("CARGO_PKG_VERSION"), " (ecv)"));
        Request::get(path)
            .header(HOST, host)
            .header(USER_AGENT, agent)
            .header(CONNECTION, HeaderValue::from_static("close"))
            .body(Empty::new())
            .map_err(|error| error.to_string())
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Without its query, which may hold a secret.
        if let (Some(scheme), Some(authority)) = (self.uri.scheme_str(), self.uri.authority()) {
            write!(f, "{scheme}://{authority}")?;
        }
        f.write_str(self.uri.path())
    }
}

fn on_loopback(app: EndpointAddress) -> EndpointAddress {
    match app {
        EndpointAddress::Tcp { address, port } if address.is_unspecified() => {
            let loopback = if address.is_ipv4() {
                Ipv4Addr::LOCALHOST.into()
            } else {
                Ipv6Addr::LOCALHOST.into()
            };
            EndpointAddress::Tcp { address: loopback, port }
        }
        other => other,
    }
}

/// Asks; everything together takes `limit` at most. The error is in words.
pub async fn probe(target: &Target, limit: Duration) -> Result<Answered, String> {
    let asked = async {
        match &target.host {
            Host::App(EndpointAddress::Unix { path }) => {
                over(target, UnixStream::connect(path).await).await
            }
            Host::App(EndpointAddress::Tcp { address, port }) => {
                over(target, TcpStream::connect((*address, *port)).await).await
            }
            Host::Named(host, port) => {
                over(target, TcpStream::connect((host.as_str(), *port)).await).await
            }
        }
    };
    let failed = |reason: String| format!("the monitor URI {target} {reason}");
    match tokio::time::timeout(limit, asked).await {
        Ok(answered) => answered.map_err(|error| failed(format!("cannot be asked: {error}"))),
        Err(_) => Err(failed(format!("did not answer within {} ms", limit.as_millis()))),
    }
}

async fn over<S>(target: &Target, stream: std::io::Result<S>) -> Result<Answered, String>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let stream = stream.map_err(|error| error.to_string())?;
    match target.tls {
        None => exchange(target, stream).await,
        Some(trust) => exchange(target, tls::connect(trust, &target.name(), stream).await?).await,
    }
}

async fn exchange<S>(target: &Target, stream: S) -> Result<Answered, String>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let words = |error: hyper::Error| error.to_string();
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(words)?;
    let request = target.request()?;
    let answer = async { read(sender.send_request(request).await.map_err(words)?).await };
    tokio::select! {
        answered = answer => answered,
        // Ends first only if it fails; what had arrived by then is of no use.
        Err(error) = connection => Err(words(error)),
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
    use tokio::io::AsyncReadExt;
    use tokio::io::AsyncWriteExt;
    use tokio::net::TcpListener;

    const LIMIT: Duration = Duration::from_millis(500);

    /// Asks a server that says `answer` and then, unless it `hangs`, closes; returns what it was asked too.
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
            // The client may have what it wants before all is written.
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
    fn the_answer_comes_with_headers_and_body_and_only_2xx_is_well() {
        on_a_runtime(async {
            let (answered, asked) =
                ask("HTTP/1.1 200 OK\r\nX-A: 1\r\ncontent-length: 2\r\n\r\nok".into(), false).await;
            let answered = answered.unwrap();
            assert_eq!(
                (answered.status, answered.body.as_str(), answered.problem()),
                (200, "ok", None)
            );
            assert!(answered.headers.contains(&("x-a".to_owned(), "1".to_owned())));
            assert!(
                asked.starts_with("GET /health?deep=1 HTTP/1.1\r\nhost: 127.0.0.1:"),
                "{asked}"
            );
            let moved = "HTTP/1.1 302 Found\r\nlocation: /other\r\ncontent-length: 0\r\n\r\n";
            let (answered, _) = ask(moved.into(), false).await;
            assert_eq!(
                answered.unwrap().problem().unwrap(),
                "the monitor URI answered with status 302"
            );
        });
    }

    #[test]
    fn nonsense_silence_and_endless_bodies_are_errors_or_cut_in_time() {
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
    fn a_target_is_a_path_on_the_app_or_a_url() {
        let app = |secure| Endpoint {
            at: "[::]:3000".parse::<std::net::SocketAddr>().unwrap().into(),
            secure,
        };
        let own = Target::new("/", app(true)).unwrap();
        assert!(matches!(&own.host, Host::App(at) if at.to_string() == "[::1]:3000"));
        assert_eq!(own.tls, Some(Trust::Own));
        let url = Target::new("https://example.com/x", app(false)).unwrap();
        assert!(matches!(&url.host, Host::Named(host, 443) if host == "example.com"));
        assert_eq!(url.tls, Some(Trust::Machine));
        assert_eq!(url.request().unwrap().headers()[HOST], "example.com");
        assert!(Target::new("ftp://example.com", app(false)).is_none());
        assert!(Target::new("nothing", app(false)).is_none());
    }

    #[test]
    fn nobody_there_is_an_error_in_words() {
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
