//! Text that fits a terminal: a table, and lines that are wrapped.

use anstyle::Style;

/// Columns of the narrowest terminal.
pub(crate) const WIDTH: usize = 80;

const HEAD: Style = Style::new().bold();

/// A text, and how it looks.
pub(crate) type Cell = (String, Style);

/// A table. A title that begins with a blank is that of a column of numbers, at the right.
pub(crate) struct Table {
    titles: &'static [&'static str],
    rows: Vec<Vec<Cell>>,
}

impl Table {
    pub(crate) fn new(titles: &'static [&'static str]) -> Self {
        Self { titles, rows: Vec::new() }
    }

    pub(crate) fn push(&mut self, row: Vec<Cell>) {
        self.rows.push(row);
    }

    /// Returns the lines. There are two blanks between columns, or one where two are too wide.
    pub(crate) fn text(&self) -> String {
        let head = self.titles.iter().map(|title| (title.trim_start().to_owned(), HEAD)).collect();
        let rows: Vec<&Vec<Cell>> = std::iter::once(&head).chain(&self.rows).collect();
        let width = |column: usize| {
            let cells = rows.iter().filter_map(|row| row.get(column));
            cells.map(|(text, _)| text.chars().count()).max().unwrap_or_default()
        };
        let widths: Vec<usize> = (0..self.titles.len()).map(width).collect();
        let total: usize = widths.iter().sum::<usize>() + 2 * widths.len().saturating_sub(1);
        let gap = if total <= WIDTH { "  " } else { " " };
        let mut text = String::new();
        for row in rows {
            let cells = row.iter().zip(&widths).zip(self.titles).map(|((cell, width), title)| {
                let (content, style) = cell;
                let fill = " ".repeat(width.saturating_sub(content.chars().count()));
                let is_number = title.starts_with(' ');
                let (before, after) = if is_number { (&*fill, "") } else { ("", &*fill) };
                format!("{before}{style}{content}{style:#}{after}")
            });
            text.push_str(cells.collect::<Vec<_>>().join(gap).trim_end());
            text.push('\n');
        }
        text
    }
}

/// Returns `line` in lines of at most [`WIDTH`] characters, if its words allow it. Further lines
/// are indented. It has no escapes.
pub(crate) fn wrap(line: &str) -> String {
    let mut lines = vec![String::new()];
    for word in line.split(' ') {
        let current = lines.last().map_or(0, |line| line.chars().count());
        if current > 0 && current + 1 + word.chars().count() > WIDTH {
            lines.push(format!("    {word}"));
        } else if let Some(last) = lines.last_mut() {
            if current > 0 {
                last.push(' ');
            }
            last.push_str(word);
        }
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cells(texts: &[&str]) -> Vec<Cell> {
        texts.iter().map(|text| ((*text).to_owned(), Style::new())).collect()
    }

    fn plain(text: &str) -> String {
        anstream::adapter::strip_str(text).to_string()
    }

    #[test]
    fn numbers_stand_at_the_right_and_a_wide_table_gets_narrow_gaps() {
        let mut table = Table::new(&["name", " count"]);
        table.push(cells(&["a", "7"]));
        assert_eq!(plain(&table.text()), "name  count\na         7\n");
        table.push(cells(&[&"x".repeat(74), "12345"]));
        assert!(plain(&table.text()).lines().all(|line| line.chars().count() == WIDTH));
    }

    #[test]
    fn a_long_line_is_wrapped_at_its_words() {
        assert_eq!(wrap("short, as it is"), "short, as it is");
        let text = wrap(&["word"; 40].join(" "));
        assert!(
            text.lines().count() == 3 && text.lines().all(|line| line.len() <= WIDTH),
            "{text}"
        );
        assert_eq!(wrap(&"x".repeat(90)).lines().count(), 1);
    }
}
