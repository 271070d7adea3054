//! `/logs`: the files beneath the `logs` directory, as a list and each by itself: as a whole, a range, its last lines, and
//! what is appended.

use std::fs::File;
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use bytes::BytesMut;
use http_range_header::parse_range_header;
use hyper::header::{self, HeaderMap, HeaderValue};
use hyper::http::request::Parts;
use hyper::{Response, StatusCode};
use serde::Serialize;
use tokio::io::{AsyncReadExt, AsyncSeekExt, SeekFrom};
use tokio::sync::OwnedSemaphorePermit;

use crate::monitor::respond::{
    Answer, Body, DISK_WITHIN, Pieces, Problem, TEXT, blocking, streamed,
};
use crate::monitor::tail;
use crate::monitor::tail::Follower;
use crate::os::contained_files;
use crate::protocol::status::Time;

/// How deep directories are listed.
pub const DEPTH: u32 = 4;
/// How many entries are looked at for a list.
pub const LOOKED_AT: usize = 10_000;
/// How many files a list has; the newest.
const LISTED: usize = 1000;
/// The most lines that `tail` gives.
const TAIL: u64 = 10_000;
/// What is read and sent at once.
const PIECE: usize = 64 * 1024;
/// What a browser should keep and not show, by the end of the name.
const BINARY: [&str; 12] = [
    "br",
    "bz2",
    "cpuprofile",
    "gz",
    "heapsnapshot",
    "lz4",
    "rar",
    "tar",
    "tgz",
    "xz",
    "zip",
    "zst",
];
const OCTETS: &str = "application/octet-stream";

/// One file of the list.
#[derive(Debug, Clone, Serialize)]
pub struct Log {
    /// Its path from the directory on; what is not UTF-8 in it is replaced.
    pub name: String,
    /// The same as part of an address, exactly.
    #[serde(skip)]
    pub link: String,
    /// Whether it can be read in a browser.
    #[serde(skip)]
    pub text: bool,
    /// Its size, bytes.
    pub size: u64,
    /// When it was last written to.
    pub modified: Time,
}

/// The files beneath `root`, newest first; none when there is no such directory.
pub async fn list(root: PathBuf) -> Result<Vec<Log>, Problem> {
    let found = blocking(move || contained_files::list(&root, DEPTH, LOOKED_AT)).await?;
    let mut found = match found {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        other => other.map_err(Problem::internal)?,
    };
    found.sort_by(|one, other| {
        other.modified.cmp(&one.modified).then_with(|| one.name.cmp(&other.name))
    });
    found.truncate(LISTED);
    Ok(found.into_iter().map(Log::from).collect())
}

impl From<contained_files::FoundFile> for Log {
    fn from(found: contained_files::FoundFile) -> Self {
        Self {
            name: found.name.to_string_lossy().into_owned(),
            link: encode(found.name.as_os_str().as_bytes()),
            text: !is_binary(&found.name),
            size: found.size,
            modified: Time(found.modified),
        }
    }
}

/// What of a file is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wanted {
    /// Its last lines only, this many.
    pub tail: Option<u64>,
    /// And what is appended from now on.
    pub follow: bool,
}

impl Wanted {
    /// As the query says; what it does not know is ignored.
    pub fn parse(query: &str) -> Result<Self, Problem> {
        let mut wanted = Self { tail: None, follow: false };
        for pair in query.split('&') {
            match pair.split_once('=').unwrap_or((pair, "")) {
                ("tail", number) => {
                    wanted.tail =
                        Some(number.parse::<u64>().map_err(|_| unclear("tail"))?.min(TAIL))
                }
                ("follow", "1") => wanted.follow = true,
                ("follow", "0") => wanted.follow = false,
                ("follow", _) => return Err(unclear("follow")),
                _ => {}
            }
        }
        Ok(wanted)
    }
}

fn unclear(name: &str) -> Problem {
    let text = match name {
        "tail" => "'tail' is a number of lines.",
        _ => "'follow' is 1 or 0.",
    };
    Problem::new(StatusCode::BAD_REQUEST, text)
}

/// The file that `encoded`, a part of an address, names beneath `root`. `place` is the place of a long-lived stream, for `follow`.
pub async fn file(
    root: PathBuf,
    encoded: &str,
    wanted: Wanted,
    request: &Parts,
    place: Option<OwnedSemaphorePermit>,
) -> Answer {
    let name = PathBuf::from(std::ffi::OsString::from_vec(
        decode(encoded).ok_or_else(Problem::not_found)?,
    ));
    let media = if is_binary(&name) { OCTETS } else { TEXT };
    let at = (root.clone(), name.clone());
    let opened = blocking(move || open(&at.0, &at.1, wanted.tail)).await?;
    let (file, from, size) = opened.map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => Problem::not_found(),
        io::ErrorKind::PermissionDenied => {
            Problem::new(StatusCode::FORBIDDEN, "This file may not be read.")
        }
        _ => Problem::internal(error),
    })?;
    let mut response = if wanted.follow {
        streamed(media, |pieces| async move {
            let _place = place;
            Follower::new(root, name, file, from).run(pieces).await;
        })
    } else if wanted.tail.is_some() {
        part(media, file, from, size - from)
    } else {
        ranged(media, file, size, &request.headers)?
    };
    if media == OCTETS {
        response
            .headers_mut()
            .insert(header::CONTENT_DISPOSITION, HeaderValue::from_static("attachment"));
    }
    Ok(response)
}

/// The file, where the wanted lines begin, and its size.
fn open(root: &Path, name: &Path, tail: Option<u64>) -> io::Result<(File, u64, u64)> {
    let file = contained_files::open(root, name)?;
    let size = file.metadata()?.len();
    let from = tail.map_or(Ok(0), |lines| tail::start_of_last(&file, size, lines))?;
    Ok((file, from, size))
}

/// The whole file, or the one range that was asked for. Several ranges: the whole, as RFC 9110 allows.
fn ranged(media: &'static str, file: File, size: u64, headers: &HeaderMap) -> Answer {
    // Files have no validator, so none that `If-Range` names can match.
    let range = headers.get(header::RANGE).filter(|_| !headers.contains_key(header::IF_RANGE));
    let parsed = range.and_then(|range| parse_range_header(range.to_str().ok()?).ok());
    let range = match parsed {
        Some(ranges) if ranges.len() == 1 => ranges.validate(size).map_err(|_| Problem {
            header: HeaderValue::try_from(format!("bytes */{size}"))
                .ok()
                .map(|value| (header::CONTENT_RANGE, value)),
            ..Problem::new(StatusCode::RANGE_NOT_SATISFIABLE, format!("The file has {size} bytes."))
        })?,
        _ => Vec::new(),
    };
    let mut response = match range.first() {
        Some(range) => {
            let mut response = part(media, file, *range.start(), range.end() - range.start() + 1);
            *response.status_mut() = StatusCode::PARTIAL_CONTENT;
            if let Ok(value) =
                HeaderValue::try_from(format!("bytes {}-{}/{size}", range.start(), range.end()))
            {
                response.headers_mut().insert(header::CONTENT_RANGE, value);
            }
            response
        }
        None => part(media, file, 0, size),
    };
    response.headers_mut().insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    Ok(response)
}

/// `length` bytes of a file. If it does not have them any more, the connection is cut.
fn part(media: &'static str, file: File, from: u64, length: u64) -> Response<Body> {
    let mut response = streamed(media, move |pieces| async move {
        if let Err(error) = send(file, from, length, &pieces).await {
            pieces.fail(error).await;
        }
    });
    response.headers_mut().insert(header::CONTENT_LENGTH, length.into());
    response
}

async fn send(file: File, from: u64, length: u64, pieces: &Pieces) -> io::Result<()> {
    let mut file = tokio::fs::File::from_std(file);
    file.seek(SeekFrom::Start(from)).await?;
    let mut rest = file.take(length);
    while rest.limit() > 0 {
        let piece = read_piece(&mut rest).await?;
        if piece.is_empty() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if !pieces.send(piece).await {
            return Ok(());
        }
    }
    Ok(())
}

/// The next piece of a file; empty at its end.
pub async fn read_piece(file: &mut (impl AsyncReadExt + Unpin)) -> io::Result<BytesMut> {
    let mut piece = BytesMut::with_capacity(PIECE);
    let late = |_| io::Error::from(io::ErrorKind::TimedOut);
    tokio::time::timeout(DISK_WITHIN, file.read_buf(&mut piece)).await.map_err(late)??;
    Ok(piece)
}

fn is_binary(name: &Path) -> bool {
    let ending = name.extension().and_then(|ending| ending.to_str());
    ending.is_some_and(|ending| BINARY.iter().any(|binary| binary.eq_ignore_ascii_case(ending)))
}

/// Bytes as part of a path in an address.
fn encode(bytes: &[u8]) -> String {
    let mut encoded = String::with_capacity(bytes.len());
    for byte in bytes {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => {
                encoded.push(*byte as char)
            }
            _ => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}

/// The bytes that a part of a path in an address stands for. `None`: a percent sign without two digits after it.
fn decode(encoded: &str) -> Option<Vec<u8>> {
    let mut decoded = Vec::with_capacity(encoded.len());
    let mut rest = encoded.as_bytes();
    while let Some((byte, after)) = rest.split_first() {
        rest = after;
        if *byte != b'%' {
            decoded.push(*byte);
            continue;
        }
        let (digits, after) = rest.split_first_chunk::<2>()?;
        let digit = |digit: u8| char::from(digit).to_digit(16);
        decoded.push((digit(digits[0])? * 16 + digit(digits[1])?) as u8);
        rest = after;
    }
    Some(decoded)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_survives_its_way_through_an_address() {
        for name in [&b"app.log"[..], b"a b/c%d?e#f", b"\xff\x00<\"'", "\u{e4}\u{20ac}".as_bytes()]
        {
            let link = encode(name);
            assert!(link.is_ascii() && !link.contains(['<', '"', '?', '#', ' ']), "{link}");
            assert_eq!(decode(&link).unwrap(), name);
        }
        assert_eq!(decode("%2e%2E%2f").unwrap(), b"../");
        for nonsense in ["%", "%4", "%zz", "%+1"] {
            assert_eq!(decode(nonsense), None, "{nonsense}");
        }
    }

    #[test]
    fn a_query_says_what_of_the_file_is_wanted() {
        let parsed = |query| Wanted::parse(query).map_err(|problem| problem.status);
        assert_eq!(parsed(""), Ok(Wanted { tail: None, follow: false }));
        assert_eq!(
            parsed("tail=99999999&x=y&follow=1"),
            Ok(Wanted { tail: Some(TAIL), follow: true })
        );
        for nonsense in
            ["tail", "tail=", "tail=-1", "tail=1e3", "tail=99999999999999999999999", "follow=yes"]
        {
            assert_eq!(parsed(nonsense), Err(StatusCode::BAD_REQUEST), "{nonsense}");
        }
    }
}
