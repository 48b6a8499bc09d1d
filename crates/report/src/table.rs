//! The table of a run's items, one row each.

use anstyle::AnsiColor;
use comfy_table::{
    Cell, CellAlignment, Color, ColumnConstraint, ContentArrangement, Table, presets,
};
use sync::{ItemReport, Outcome, RunReport};

use crate::summary::View;
use crate::{Item, words};

/// More up-to-date items than these are counted, not listed.
const UP_TO_DATE_LIMIT: usize = 50;

/// The table, with a line end after each row.
pub(crate) fn table(report: &RunReport, view: &View) -> String {
    let unremarkable = report.items.iter().filter(|item| is_unremarkable(item)).count();
    let counted = if view.verbose || unremarkable <= UP_TO_DATE_LIMIT { 0 } else { unremarkable };
    let listed: Vec<&ItemReport> =
        report.items.iter().filter(|item| counted == 0 || !is_unremarkable(item)).collect();
    let mut text = String::new();
    if !listed.is_empty() {
        text.push_str(&rows(&listed, view));
    }
    if counted > 0 {
        let items = words::count(counted, "up-to-date item");
        text.push_str(&format!("{items} not listed (--verbose lists them)\n"));
    }
    text
}

/// Whether it is up to date, and nothing was or is to be written for it.
fn is_unremarkable(item: &ItemReport) -> bool {
    let changes = |item: Item| item.is_pending() || item.has_changed();
    item.outcome == Outcome::UpToDate && !changes(Item::from(item))
}

fn rows(items: &[&ItemReport], view: &View) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    let signs = items.iter().any(|item| item.signature.is_some());
    let mut header = vec!["TARGET", "OUTCOME", "DIGEST"];
    header.extend(signs.then_some("SIGNATURE"));
    let numbers_from = header.len();
    header.extend(["COPIED", "MOUNTED", "PRESENT", "TIME"]);
    table.set_header(header);
    for item in items {
        let digest = item.target_digest.or(item.source_digest);
        let mut row = vec![
            Cell::new(item.wanted.target()),
            coloured(words::outcome(item.outcome), item.outcome, view),
            Cell::new(digest.map_or_else(|| "-".to_owned(), words::short_digest)),
        ];
        let signature = item.signature.as_ref().map_or("-", |one| words::signature(one.state));
        row.extend(signs.then(|| Cell::new(signature)));
        row.extend([
            Cell::new(size(item.transferred.copied)),
            Cell::new(size(item.transferred.mounted)),
            Cell::new(size(item.transferred.present)),
            Cell::new(words::time(item.duration)),
        ]);
        table.add_row(row);
    }
    laid_out(table, &Layout { width: view.width, colour: view.colour, wraps: 0, numbers_from })
}

/// How a table is laid out.
pub(crate) struct Layout {
    /// The width to keep to, in columns; none where a line may be as long as it likes.
    pub(crate) width: Option<u16>,
    /// Whether to colour.
    pub(crate) colour: bool,
    /// The column that gives way where the table is too wide.
    pub(crate) wraps: usize,
    /// The first column of numbers.
    pub(crate) numbers_from: usize,
}

/// The lines of a table, each with a line end.
pub(crate) fn laid_out(mut table: Table, layout: &Layout) -> String {
    match layout.width {
        Some(width) => {
            table.set_width(width);
            table.set_content_arrangement(ContentArrangement::Dynamic);
        }
        // In a pipe a row is a line, however long.
        None => {
            table.set_content_arrangement(ContentArrangement::Disabled);
        }
    }
    if layout.colour {
        table.enforce_styling();
    } else {
        table.force_no_tty();
    }
    for (number, column) in table.column_iter_mut().enumerate() {
        let left = if number == 0 { 0 } else { 1 };
        column.set_padding((left, 1));
        if number != layout.wraps {
            column.set_constraint(ColumnConstraint::ContentWidth);
        }
        if number >= layout.numbers_from {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table.lines().map(|line| line.trim_end().to_owned() + "\n").collect()
}

/// A word in an outcome's colour.
pub(crate) fn coloured(word: &str, outcome: Outcome, view: &View) -> Cell {
    let cell = Cell::new(word);
    let colour = words::colour(outcome).filter(|_| view.colour);
    // The library's plain names are the bright colours; these are the ones of `AnsiColor`.
    match colour {
        Some(AnsiColor::Green) => cell.fg(Color::DarkGreen),
        Some(AnsiColor::Cyan) => cell.fg(Color::DarkCyan),
        Some(AnsiColor::Yellow) => cell.fg(Color::DarkYellow),
        Some(AnsiColor::Red) => cell.fg(Color::DarkRed),
        _ => cell,
    }
}

/// Nothing is written as nothing, so that what was moved stands out.
fn size(bytes: u64) -> String {
    if bytes == 0 { "-".to_owned() } else { words::size(bytes) }
}
