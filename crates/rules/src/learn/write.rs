//! What was learnt, into the text of a file, so that its comments and layout stay.

use similar::TextDiff;
use toml_edit::{Array, ArrayOfTables, DocumentMut, Item, Table, Value, value};

use super::Learnt;

/// The file has not the form that it needs to be added to.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct CannotWrite(String);

impl Learnt {
    /// Whether there is nothing to add.
    pub fn is_empty(&self) -> bool {
        self.allow.is_empty() && self.private.is_empty()
    }

    /// The text of a file with all of it added: to lists that are there, and to rules that are for one user and nothing else.
    ///
    /// # Errors
    /// If it is not a file that can be loaded.
    pub fn write(&self, text: &str) -> Result<String, CannotWrite> {
        let mut document: DocumentMut =
            text.parse().map_err(|why: toml_edit::TomlError| CannotWrite(why.message().to_owned()))?;
        if let Some(entries) = self.allow.get(&None) {
            add(document.as_table_mut(), "allow", entries)?;
        }
        if !self.private.is_empty() {
            add(document.as_table_mut(), "private", &self.private)?;
        }
        for (who, entries) in &self.allow {
            if let Some(who) = who {
                add(rule_of(&mut document, who)?, "allow", entries)?;
            }
        }
        Ok(document.to_string())
    }

    /// The same as a unified diff against `text`.
    ///
    /// # Errors
    /// As of [`Learnt::write`].
    pub fn diff(&self, name: &str, text: &str) -> Result<String, CannotWrite> {
        let new = self.write(text)?;
        let diff = TextDiff::from_lines(text, &new);
        let shown =
            diff.unified_diff().context_radius(3).header(&format!("a/{name}"), &format!("b/{name}")).to_string();
        Ok(if new == text { String::new() } else { shown })
    }
}

/// Adds to a list what it has not, in its own layout: one entry a line if that is how it is written.
fn add(table: &mut Table, key: &str, entries: &[String]) -> Result<(), CannotWrite> {
    let item = table.entry(key).or_insert_with(|| value(Array::new()));
    let list = item.as_array_mut().ok_or_else(|| CannotWrite(format!("`{key}` is not a list")))?;
    let known: Vec<String> = list.iter().filter_map(Value::as_str).map(str::to_owned).collect();
    let lines = list
        .iter()
        .any(|item| item.decor().prefix().and_then(|prefix| prefix.as_str()).is_some_and(|text| text.contains('\n')));
    let over = entries.len() > 3 && list.is_empty();
    for entry in entries.iter().filter(|entry| !known.contains(entry)) {
        if lines || over {
            let mut new = Value::from(entry.as_str());
            new.decor_mut().set_prefix("\n    ");
            list.push_formatted(new);
        } else {
            list.push(entry.as_str());
        }
    }
    if over {
        list.set_trailing("\n");
        list.set_trailing_comma(true);
    }
    Ok(())
}

/// The rule that is for this user and nothing else, or a new one.
fn rule_of<'d>(document: &'d mut DocumentMut, who: &str) -> Result<&'d mut Table, CannotWrite> {
    let item = document.entry("rule").or_insert_with(|| Item::ArrayOfTables(ArrayOfTables::new()));
    let rules = item
        .as_array_of_tables_mut()
        .ok_or_else(|| CannotWrite("rules are written under [[rule]] to be added to".to_owned()))?;
    let fits = |table: &Table| {
        let only = table
            .get("who")
            .and_then(Item::as_array)
            .is_some_and(|list| list.len() == 1 && list.iter().all(|name| name.as_str() == Some(who)));
        only && !table.contains_key("methods") && !table.contains_key("paths")
    };
    let found = rules.iter().position(fits);
    let at = match found {
        Some(at) => at,
        None => {
            let name = free_name(rules, who);
            let mut table = Table::new();
            table.insert("name", value(name));
            table.insert("who", value(Array::from_iter([who])));
            rules.push(table);
            rules.len().saturating_sub(1)
        }
    };
    rules.get_mut(at).ok_or_else(|| CannotWrite("the rule is not there".to_owned()))
}

/// `learnt-ci`, or with a number behind it.
fn free_name(rules: &ArrayOfTables, who: &str) -> String {
    let clean: String =
        who.chars().map(|c| if c.is_ascii_alphanumeric() || "-_.".contains(c) { c } else { '-' }).take(48).collect();
    let taken = |name: &str| rules.iter().any(|table| table.get("name").and_then(Item::as_str) == Some(name));
    let first = format!("learnt-{clean}");
    if !taken(&first) {
        return first;
    }
    (2_u32..).map(|number| format!("{first}-{number}")).find(|name| !taken(name)).unwrap_or(first)
}
