//! One log file.

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use http_range_header::parse_range_header;
use hyper::header::{self, HeaderMap, HeaderValue};
use hyper::http::request::Parts;
use hyper::{Response, StatusCode};
use tokio::io::{AsyncReadExt, AsyncSeekExt, SeekFrom};
use tokio::sync::OwnedSemaphorePermit;

use super::follower::Follower;
use super::list::{LogFile, is_binary};
use super::percent::decode;
use super::query::LogQuery;
use super::tail::start_of_last;
use crate::monitor::chunks::{ChunkSender, streamed};
use crate::monitor::disk::{blocking, read_chunk};
use crate::monitor::response::{Body, PageError, PageResult, TEXT};
use crate::os::contained_files;

const OCTETS: &str = "application/octet-stream";

/// Returns the file that `encoded`, a part of a URL, names below `root`. `permit` is that of a
/// long-lived response, for `follow`.
pub(crate) async fn file(
    root: PathBuf,
    encoded: &str,
    query: LogQuery,
    request: &Parts,
    permit: Option<OwnedSemaphorePermit>,
) -> PageResult {
    let name = PathBuf::from(OsString::from_vec(decode(encoded).ok_or_else(PageError::not_found)?));
    let media = if is_binary(&name) { OCTETS } else { TEXT };
    let path = (root.clone(), name.clone());
    let opened = blocking(move || open(&path.0, &path.1, query.tail)).await?;
    let (file, from, size) = opened.map_err(explain)?;
    let mut response = if query.follow {
        streamed(media, |sender| async move {
            let _permit = permit;
            Follower::new(root, name, file, from).run(sender).await;
        })
    } else if query.tail.is_some() {
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

/// Returns what is known of the text file that `encoded` names below `root`, for its page.
pub(crate) async fn known(root: PathBuf, encoded: &str) -> Result<LogFile, PageError> {
    let name = PathBuf::from(OsString::from_vec(decode(encoded).ok_or_else(PageError::not_found)?));
    if is_binary(&name) {
        return Err(PageError::not_found());
    }
    let path = name.clone();
    let found = blocking(move || contained_files::open(&root, &path)?.metadata()).await?;
    let found = found.map_err(explain)?;
    let modified = found.modified().unwrap_or(SystemTime::UNIX_EPOCH);
    Ok(LogFile::from(contained_files::FoundFile { name, size: found.len(), modified }))
}

fn explain(error: io::Error) -> PageError {
    match error.kind() {
        io::ErrorKind::NotFound => PageError::not_found(),
        io::ErrorKind::PermissionDenied => {
            PageError::new(StatusCode::FORBIDDEN, "This file may not be read.")
        }
        _ => PageError::internal(error),
    }
}

/// Returns the file, the position of its last `tail` lines, and its size.
fn open(root: &Path, name: &Path, tail: Option<u64>) -> io::Result<(File, u64, u64)> {
    let file = contained_files::open(root, name)?;
    let size = file.metadata()?.len();
    let from = tail.map_or(Ok(0), |lines| start_of_last(&file, size, lines))?;
    Ok((file, from, size))
}

/// Returns the requested range, or the whole file. Several ranges give the whole, as RFC 9110
/// allows.
fn ranged(media: &'static str, file: File, size: u64, headers: &HeaderMap) -> PageResult {
    // Files have no validator, so `If-Range` never matches.
    let range = headers.get(header::RANGE).filter(|_| !headers.contains_key(header::IF_RANGE));
    let parsed = range.and_then(|range| parse_range_header(range.to_str().ok()?).ok());
    let range = match parsed {
        Some(ranges) if ranges.len() == 1 => ranges.validate(size).map_err(|_| PageError {
            header: HeaderValue::try_from(format!("bytes */{size}"))
                .ok()
                .map(|value| (header::CONTENT_RANGE, value)),
            ..PageError::new(
                StatusCode::RANGE_NOT_SATISFIABLE,
                format!("The file has {size} bytes."),
            )
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

/// Returns `length` bytes of a file. Cuts the connection if the file has become shorter.
fn part(media: &'static str, file: File, from: u64, length: u64) -> Response<Body> {
    let mut response = streamed(media, move |sender| async move {
        if let Err(error) = send(file, from, length, &sender).await {
            sender.fail(error).await;
        }
    });
    response.headers_mut().insert(header::CONTENT_LENGTH, length.into());
    response
}

async fn send(file: File, from: u64, length: u64, sender: &ChunkSender) -> io::Result<()> {
    let mut file = tokio::fs::File::from_std(file);
    file.seek(SeekFrom::Start(from)).await?;
    let mut rest = file.take(length);
    while rest.limit() > 0 {
        let chunk = read_chunk(&mut rest).await?;
        if chunk.is_empty() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if !sender.send(chunk).await {
            return Ok(());
        }
    }
    Ok(())
}
