//! Makes or shows a table: `table format FILE`, `table show FILE`. Shown: its rows, its SEM_UNDO adjustments, its lock.
#![forbid(unsafe_code)]

use std::env::args;
use std::error::Error;
use std::fs::OpenOptions;

use ids::{BYTES, Class, Table, WORDS};
use sys::shared_words::SharedWords;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = args().collect();
    let [_, verb, path] = arguments.as_slice() else { return Err("usage: table format|show FILE".into()) };
    let format = verb == "format";
    let file = OpenOptions::new().read(true).write(true).create(format).truncate(format).open(path)?;
    if format {
        file.set_len(BYTES as u64)?;
    }
    let words =
        SharedWords::of_file(&file, WORDS).map_err(|error| format!("Could not map {path:?}: {error}"))?;
    if format {
        Table::format(&words)?;
        return Ok(());
    }
    show(&Table::open(&words)?);
    Ok(())
}

fn show(table: &Table<'_>) {
    for class in Class::ALL {
        for row in table.rows(class) {
            println!(
                "{class:?} {} {} {:#x} {:#x} {:?}",
                row.vrid.0, row.srid.0, row.key.0, row.system_key.0, row.state
            );
        }
    }
    for entry in table.ledger().iter() {
        println!("undo {} {} {} {}", entry.pid, entry.set.0, entry.number, entry.value);
    }
    println!("owner {}", table.owner());
}
