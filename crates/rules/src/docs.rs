//! What is written about the file: the page docs/config.md and the file to begin with.

use std::fmt::Write as _;

use crate::keys::{self, Key, Table, Takes};

/// A file to begin with: comments only, so that it changes nothing.
pub const INIT: &str = include_str!("init.toml");

/// What stands around the keys.
const INTRODUCTION: &str = include_str!("introduction.md");

/// docs/config.md, made of [`keys::KEYS`].
pub fn markdown() -> String {
    let mut page = INTRODUCTION.to_owned();
    let tables = [
        (Table::Top, "Keys of the file"),
        (Table::User, "Keys of a user"),
        (Table::Rule, "Keys of `[[rule]]`"),
        (Table::Test, "Keys of `[[test]]`"),
    ];
    for (table, title) in tables {
        // Writing to a string cannot fail.
        let _ = writeln!(page, "\n## {title}");
        for key in keys::of(table) {
            section(&mut page, key);
        }
    }
    page
}

fn section(page: &mut String, key: &Key) {
    let _ =
        writeln!(page, "\n### `{}`\n\n{}\nIt takes {}.", key.name, key.says.replace(". ", ".\n"), key.takes.describe());
    if key.takes != Takes::Tables {
        let _ = writeln!(page, "\n```toml\n{} = {}\n```", key.name, key.example);
    }
}
