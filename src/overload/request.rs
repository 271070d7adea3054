//! What a client has sent, without taking it off its socket: a worker may still have to read it.

use std::os::fd::AsFd;

use rustix::io::Errno;
use rustix::net::RecvFlags;

/// How much of a request is looked at, bytes. A request line that is longer is not one of the
/// health check.
const LOOKED_AT: usize = 1024;

/// What a client has sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sent {
    /// Its request line is not whole.
    Nothing,
    /// It has closed, or reset its connection.
    Ended,
    /// A request that goes to a worker.
    HealthCheck,
    Other,
}

/// Looks at what the client of `socket` has sent. `passes` says, by its method and
/// target, whether a request goes to a worker.
pub(super) fn peek(socket: impl AsFd, passes: impl Fn(&str, &str) -> bool) -> Sent {
    let mut buffer = [0; LOOKED_AT];
    match rustix::net::recv(socket, &mut buffer[..], RecvFlags::PEEK | RecvFlags::DONTWAIT) {
        Ok((_, 0)) => Sent::Ended,
        Ok((_, length)) => classify(&buffer[..length], passes),
        Err(Errno::WOULDBLOCK | Errno::INTR) => Sent::Nothing,
        Err(_) => Sent::Ended,
    }
}

fn classify(bytes: &[u8], passes: impl Fn(&str, &str) -> bool) -> Sent {
    // RFC 9112, 2.2: a server should ignore an empty line before the request line.
    let start = bytes.iter().position(|byte| !matches!(byte, b'\r' | b'\n'));
    let line = &bytes[start.unwrap_or(bytes.len())..];
    let end = line.iter().position(|byte| matches!(byte, b'\r' | b'\n'));
    let whole = &line[..end.unwrap_or(line.len())];
    let mut words = whole.splitn(3, |byte| *byte == b' ');
    // The target is whole once something follows it.
    let (Some(method), Some(target), Some(_)) = (words.next(), words.next(), words.next()) else {
        let is_open = end.is_none() && bytes.len() < LOOKED_AT;
        return if is_open { Sent::Nothing } else { Sent::Other };
    };
    match (std::str::from_utf8(method), std::str::from_utf8(target)) {
        (Ok(method), Ok(target)) if passes(method, target) => Sent::HealthCheck,
        _ => Sent::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_line_is_known_by_its_method_and_target_once_it_is_whole() {
        let is_health_check = |method: &str, target: &str| (method, target) == ("GET", "/ecv");
        let sent = |text: &str| classify(text.as_bytes(), is_health_check);
        for whole in ["GET /ecv HTTP/1.1\r\nHost: a\r\n\r\n", "\r\nGET /ecv HTTP/1.0", "GET /ecv "]
        {
            assert_eq!(sent(whole), Sent::HealthCheck, "{whole}");
        }
        for open in ["G", "GET /ecv", "\r\n", "GET "] {
            assert_eq!(sent(open), Sent::Nothing, "{open}");
        }
        for other in ["GET / HTTP/1.1\r\n", "POST /ecv HTTP/1.1\r\n", "nonsense\r\n", "GET /\r\n"] {
            assert_eq!(sent(other), Sent::Other, "{other}");
        }
        assert_eq!(classify(&[0xff; 40], is_health_check), Sent::Nothing);
        assert_eq!(classify(b"\xff \xff \xff", is_health_check), Sent::Other);
        assert_eq!(classify(&[b'a'; LOOKED_AT], is_health_check), Sent::Other, "too long");
    }
}
