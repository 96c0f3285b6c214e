//! What is in it, for people: a line for each object, indented as they lie in each other.

use super::record::{Record, Value};

/// The objects of a tree and their fields, without what arrays hold.
pub fn describe(record: &Record<'_>) -> Vec<String> {
    let mut lines = Vec::new();
    add(&mut lines, 0, "", record);
    lines
}

fn add(lines: &mut Vec<String>, depth: usize, name: &str, record: &Record<'_>) {
    let mut line = "  ".repeat(depth);
    if !name.is_empty() {
        line += &format!("{name}: ");
    }
    if record.fourcc != Record::PART {
        line += &format!("{} ", record.fourcc);
    }
    let mut inner = Vec::new();
    for (name, value) in &record.fields {
        match value {
            Value::Null => line += &format!("{name}=null "),
            Value::Flag(value) => line += &format!("{name}={value} "),
            Value::Int(value) => line += &format!("{name}={value} "),
            Value::Float(value) => line += &format!("{name}={value} "),
            Value::Array(array) => line += &format!("{name}[{}] ", array.len()),
            Value::Record(record) => add(&mut inner, depth + 1, name, record),
            Value::Records(records) => {
                records.iter().for_each(|record| add(&mut inner, depth + 1, name, record))
            }
        }
    }
    lines.push(line.trim_end().to_owned());
    lines.extend(inner);
}
