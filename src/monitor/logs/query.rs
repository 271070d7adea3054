//! The query of `/logs/<file>`: `tail`, `follow` and `view`.

use hyper::StatusCode;

use crate::monitor::response::PageError;

/// The most lines that `tail` gives.
const MAX_TAIL: u64 = 10_000;

/// The part of a file that a client wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LogQuery {
    /// Only so many of its last lines.
    pub(super) tail: Option<u64>,
    /// Whether appended data is sent too.
    pub(crate) follow: bool,
    /// Whether it is shown in a page.
    pub(crate) is_page: bool,
}

impl LogQuery {
    /// Ignores unknown parameters.
    pub(crate) fn parse(query: &str) -> Result<Self, PageError> {
        let mut parsed = Self { tail: None, follow: false, is_page: false };
        for pair in query.split('&') {
            match pair.split_once('=').unwrap_or((pair, "")) {
                ("tail", number) => {
                    parsed.tail =
                        Some(number.parse::<u64>().map_err(|_| invalid("tail"))?.min(MAX_TAIL))
                }
                ("view", "1") => parsed.is_page = true,
                ("follow", "1") => parsed.follow = true,
                ("follow", "0") => parsed.follow = false,
                ("follow", _) => return Err(invalid("follow")),
                _ => {}
            }
        }
        Ok(parsed)
    }
}

fn invalid(name: &str) -> PageError {
    let text = match name {
        "tail" => "'tail' is a number of lines.",
        _ => "'follow' is 1 or 0.",
    };
    PageError::new(StatusCode::BAD_REQUEST, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_names_a_part_of_the_file() {
        let parsed = |query| LogQuery::parse(query).map_err(|error| error.status);
        let whole = LogQuery { tail: None, follow: false, is_page: false };
        assert_eq!(parsed(""), Ok(whole));
        assert_eq!(parsed("view=1&view=2"), Ok(LogQuery { is_page: true, ..whole }));
        assert_eq!(
            parsed("tail=99999999&x=y&follow=1"),
            Ok(LogQuery { tail: Some(MAX_TAIL), follow: true, is_page: false })
        );
        for nonsense in
            ["tail", "tail=", "tail=-1", "tail=1e3", "tail=99999999999999999999999", "follow=yes"]
        {
            assert_eq!(parsed(nonsense), Err(StatusCode::BAD_REQUEST), "{nonsense}");
        }
    }
}
