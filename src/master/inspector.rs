//! Where Node's debugger is on, each worker gets a port of its own, as from node:cluster.

/// Node's port where none is named.
const DEFAULT: u16 = 9229;
/// Ports below it are for the super-user only.
const FIRST_UNPRIVILEGED: u16 = 1024;

/// Returns the port above which workers have theirs, from `flags`, Node's flags for workers, and
/// from `options`, their `NODE_OPTIONS`, which count less. `None` if the debugger is off, or if the
/// kernel chooses (`--inspect=0`).
pub(super) fn base_port(flags: &[String], options: &str) -> Option<u16> {
    let words: Vec<&str> =
        options.split_ascii_whitespace().chain(flags.iter().map(String::as_str)).collect();
    let mut found = None;
    for (index, word) in words.iter().enumerate() {
        let (flag, value) =
            word.split_once('=').map_or((*word, None), |(flag, value)| (flag, Some(value)));
        let value = match flag {
            "--inspect" | "--inspect-brk" | "--inspect-wait" => value,
            "--inspect-port" | "--debug-port" => value.or(words.get(index + 1).copied()),
            _ => continue,
        };
        found = value.and_then(port_of).or(found).or(Some(DEFAULT));
    }
    found.filter(|port| *port != 0)
}

/// Returns the port in `9229`, `host:9229` or `[::1]:9229`; a name or address alone has none.
fn port_of(value: &str) -> Option<u16> {
    value.rsplit(':').next()?.parse().ok()
}

/// The debugger's port of the worker in a row of the scoreboard. No other living worker has it, and
/// the next one in the row has it again. Beyond the last port, numbers go on where unprivileged
/// ports begin.
pub(super) fn port(base: u16, row: usize) -> u16 {
    let port = usize::from(base) + 1 + row;
    let above = port.checked_sub(usize::from(u16::MAX) + 1);
    above.map_or(port, |above| usize::from(FIRST_UNPRIVILEGED) + above) as u16
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_row_has_a_port_of_its_own() {
        assert_eq!([port(9229, 0), port(9229, 1)], [9230, 9231]);
        assert_eq!([port(65_534, 0), port(65_534, 1), port(65_535, 0)], [65_535, 1024, 1024]);
    }

    #[test]
    fn the_last_port_that_is_named_counts_and_flags_more_than_the_environment() {
        let cases: [(&[&str], &str, Option<u16>); 11] = [
            (&[], "", None),
            (&["--inspect"], "", Some(DEFAULT)),
            (&["--inspect-wait"], "", Some(DEFAULT)),
            (&["--inspect=localhost"], "", Some(DEFAULT)),
            (&["--inspect=[::1]:9300"], "", Some(9300)),
            (&["--inspect", "--debug-port=9400"], "", Some(9400)),
            (&["--debug-port=9400", "--inspect"], "", Some(9400)),
            (&["--inspect-port", "0", "--inspect"], "", None),
            (&["--inspect=9500"], "--inspect-port=9600", Some(9500)),
            (&["--no-warnings"], "  --max-old-space-size=99 --inspect-brk=9700 ", Some(9700)),
            (&["--inspect-publish-uid=http"], "", None),
        ];
        for (flags, options, expected) in cases {
            let words: Vec<String> = flags.iter().map(|flag| flag.to_string()).collect();
            assert_eq!(
                base_port(&words, options),
                expected,
                "{flags:?} and NODE_OPTIONS {options:?}"
            );
        }
    }
}
