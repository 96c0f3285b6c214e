//! How are numbers written for people? Grouped, with units that fit their size, in columns that line up.

use std::fmt;

/// 1234567 as "1,234,567".
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Three significant figures or so: "0.0123", "1.23", "45.6", "1,234".
pub fn rounded(value: f64) -> String {
    match value.abs() {
        v if !v.is_finite() => value.to_string(),
        v if v >= 999.5 => grouped(value.round() as u64),
        v if v >= 99.95 => format!("{value:.0}"),
        v if v >= 9.995 => format!("{value:.1}"),
        v if v >= 0.9995 => format!("{value:.2}"),
        v if v >= 0.001 => format!("{value:.4}"),
        0.0 => "0".to_owned(),
        _ => format!("{value:.2e}"),
    }
}

/// A time: "812 ms", "3.21 s", "2 min 5 s".
pub fn duration(seconds: f64) -> String {
    match seconds {
        s if s < 0.001 => format!("{:.0} µs", s * 1e6),
        s if s < 0.9995 => format!("{:.0} ms", s * 1e3),
        s if s < 59.95 => format!("{} s", rounded(s)),
        s => format!("{:.0} min {:.0} s", (s.round() / 60.0).floor(), s.round() % 60.0),
    }
}

/// A size, in units of 1000: "512 B", "1.30 kB", "260 MB".
pub fn size(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["B", "kB", "MB", "GB", "TB"];
    let mut value = bytes as f64;
    let mut unit = 0;
    while value >= 999.5 && unit + 1 < UNITS.len() {
        value /= 1000.0;
        unit += 1;
    }
    if unit == 0 { format!("{bytes} B") } else { format!("{} {}", rounded(value), UNITS[unit]) }
}

/// "1 query", "2,000 queries".
pub fn counted(number: usize, one: &str, many: &str) -> String {
    format!("{} {}", grouped(number as u64), if number == 1 { one } else { many })
}

/// Rows of text in right-aligned columns; the first column is aligned to the left.
pub struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table with the given heads, one a column.
    pub fn new(heads: &[&str]) -> Self {
        Self { rows: vec![heads.iter().map(|&head| head.to_owned()).collect()] }
    }

    /// Adds a row, of as many cells as there are heads.
    pub fn row(&mut self, cells: Vec<String>) {
        self.rows.push(cells);
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let width = |column: usize| {
            self.rows
                .iter()
                .filter_map(|row| row.get(column))
                .map(|cell| cell.chars().count())
                .max()
                .unwrap_or(0)
        };
        let widths: Vec<usize> = (0..columns).map(width).collect();
        for row in &self.rows {
            let cells = row.iter().zip(&widths).enumerate().map(|(i, (cell, width))| match i {
                0 => format!("{cell:<width$}"),
                _ => format!("{cell:>width$}"),
            });
            let line = cells.collect::<Vec<_>>().join("  ");
            writeln!(f, "{}", line.trim_end())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped_by_thousands() {
        assert_eq!([0, 999, 1000, 1_234_567].map(grouped), ["0", "999", "1,000", "1,234,567"]);
    }

    #[test]
    fn values_keep_about_three_figures() {
        let values = [0.0, 0.000_012_3, 0.0123, 0.99999, 1.0, 12.34, 99.96, 123.4, 999.7, 12_345.6];
        let texts = ["0", "1.23e-5", "0.0123", "1.00", "1.00", "12.3", "100", "123", "1,000", "12,346"];
        assert_eq!(values.map(rounded), texts);
    }

    #[test]
    fn times_and_sizes_have_fitting_units() {
        assert_eq!(
            [0.000_05, 0.25, 3.214, 59.96, 125.0].map(duration),
            ["50 µs", "250 ms", "3.21 s", "1 min 0 s", "2 min 5 s"]
        );
        assert_eq!(
            [0, 999, 1300, 999_600, 260_000_000].map(size),
            ["0 B", "999 B", "1.30 kB", "1.00 MB", "260 MB"]
        );
    }

    #[test]
    fn a_tables_columns_line_up() {
        let mut table = Table::new(&["call", "QPS"]);
        table.row(vec!["one query".into(), "7".into()]);
        assert_eq!(table.to_string(), "call       QPS\none query    7\n");
    }
}
