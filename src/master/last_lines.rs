//! The last lines on standard error of a worker that is gone, for people.

/// At most so many lines, and so many characters of them.
const LINES: usize = 10;
const CHARACTERS: usize = 1_000;

/// Returns the last lines of `text`, oldest first, without colours and other control characters.
/// The first one may lack its beginning.
pub(super) fn of(text: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(text);
    let text = anstream::adapter::strip_str(&text).to_string();
    let skipped = text.chars().count().saturating_sub(CHARACTERS);
    let text: String = text.chars().skip(skipped).collect();
    let printed = |line: &str| line.replace(char::is_control, " ").trim_end().to_owned();
    let lines = text.split(['\r', '\n']).map(printed).filter(|line| !line.is_empty());
    let lines: Vec<String> = lines.collect();
    lines[lines.len().saturating_sub(LINES)..].to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_printable_and_blank_ones_are_left_out() {
        let text = b"one\r\n\n \x1b[31mtwo\x1b[0m\x07\tthree \n\xff\nno end";
        assert_eq!(of(text), ["one", " two three", "\u{fffd}", "no end"]);
        assert_eq!(of(b""), [""; 0]);
    }

    #[test]
    fn only_the_end_of_a_long_text_is_kept() {
        let many: String = (0..5_000).map(|line| format!("line {line}\n")).collect();
        let lines = of(many.as_bytes());
        assert_eq!((lines.len(), lines[9].as_str()), (LINES, "line 4999"));
        let [line] = &of("\u{1f600}".repeat(5_000).as_bytes())[..] else { panic!("one line") };
        assert_eq!(line.chars().count(), CHARACTERS);
    }
}
