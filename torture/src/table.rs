//! The table: a line per row, for a terminal or for a document. Pure.

use std::fmt::Write as _;

use crate::{outcome::Outcome, rows::Row};

/// The names of the columns.
pub(crate) fn head(markdown: bool) -> String {
    if markdown {
        let names = COLUMNS.join(" | ");
        let rule = vec!["---"; COLUMNS.len()].join("|");
        return format!("| {names} |\n|{rule}|\n");
    }
    columns(&COLUMNS.map(str::to_owned))
}

/// A row's line; what it failed for and its figures follow on lines of their own.
pub(crate) fn line(row: &Row, seed: u64, outcome: &Outcome, markdown: bool) -> String {
    let cells = [
        row.name.to_owned(),
        seed.to_string(),
        outcome.acknowledged.to_string(),
        outcome.arrived.to_string(),
        outcome.lost.to_string(),
        outcome.duplicate.to_string(),
        outcome.reordered.to_string(),
        format!("{} MiB", outcome.rss_bytes_max >> 20),
        format!("{} s", outcome.seconds),
        outcome.verdict().to_owned(),
    ];
    let remarks = outcome.failures.iter().chain(&outcome.notes);
    let remarks: Vec<&str> = remarks.map(String::as_str).collect();
    if markdown {
        let mut cells = cells.map(|cell| cell.replace('|', "/"));
        cells[0] = format!("`{}`: {}", row.name, row.fault);
        if !remarks.is_empty() {
            cells[9] = format!("{} ({})", cells[9], remarks.join("; ").replace('|', "/"));
        }
        return format!("| {} |\n", cells.join(" | "));
    }
    let mut text = columns(&cells);
    for remark in remarks {
        writeln!(text, "    {remark}").expect("a string takes everything");
    }
    text
}

fn columns(cells: &[String; 10]) -> String {
    let mut text = String::new();
    for (cell, width) in cells.iter().zip(WIDTHS) {
        write!(text, "{cell:<width$} ").expect("a string takes everything");
    }
    format!("{}\n", text.trim_end())
}

const COLUMNS: [&str; 10] = [
    "fault",
    "seed",
    "acknowledged",
    "arrived",
    "LOST",
    "DUP",
    "REORDERED",
    "RSS peak",
    "took",
    "verdict",
];
const WIDTHS: [usize; 10] = [20, 12, 13, 13, 8, 8, 10, 9, 6, 8];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rows::ROWS;

    /// Both forms have as many cells as there are columns, and a failure is told with its reason.
    #[test]
    fn lines_are_complete() {
        let mut outcome = Outcome { lost: 3, ..Outcome::default() };
        outcome.demand(false, "three | lost");
        let markdown = line(&ROWS[0], 1, &outcome, true);
        assert_eq!(markdown.matches('|').count(), COLUMNS.len() + 1, "{markdown}");
        assert!(markdown.contains("FAIL (three / lost)"), "{markdown}");
        assert!(line(&ROWS[0], 1, &outcome, false).ends_with("FAIL\n    three | lost\n"));
        assert_eq!(head(true).lines().count(), 2);
    }
}
