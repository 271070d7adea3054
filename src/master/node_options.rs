//! The `NODE_OPTIONS` of a worker.
//!
//! Node loads what they preload before what its flags do. What always holds: our own preload is the
//! first of all, so that no other one has a server listen, or wraps a class of Node's, in a process
//! that is not a worker yet.

/// Returns `options`, a value of `NODE_OPTIONS`, with the file `preload` before those that it
/// preloads. `None` if it preloads none: then Node's flags do.
pub(super) fn with_preload(options: &str, preload: &str) -> Option<String> {
    let is_preload = |word: &str| word == "-r" || word.starts_with("--require");
    let preloads = options.split([' ', '"']).any(is_preload);
    preloads.then(|| format!("--require {} {options}", quoted(preload)))
}

/// As Node reads it (`ParseNodeOptionsEnvVar` in src/node_options.cc): between double quotes, a
/// backslash stands before a quote and a backslash.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ours_is_before_all_that_they_preload() {
        let cases = [
            ("--require ./a.js", Some("--require \"/p.js\" --require ./a.js")),
            ("--no-warnings -r a", Some("--require \"/p.js\" --no-warnings -r a")),
            ("--require=./a.js", Some("--require \"/p.js\" --require=./a.js")),
            ("\"--require\" \"./a b.js\"", Some("--require \"/p.js\" \"--require\" \"./a b.js\"")),
            ("--max-old-space-size=100 --import ./a.mjs", None),
            ("", None),
        ];
        for (options, expected) in cases {
            assert_eq!(with_preload(options, "/p.js").as_deref(), expected, "{options}");
        }
    }

    #[test]
    fn its_path_may_have_any_character() {
        let with = with_preload("-r a", "/a \"b\"\\c/p.js");
        assert_eq!(with.as_deref(), Some("--require \"/a \\\"b\\\"\\\\c/p.js\" -r a"));
    }
}
