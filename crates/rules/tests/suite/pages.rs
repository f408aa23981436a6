//! The committed page and schema are what the parser's own table says; `UPDATE=1` writes them.

use std::path::Path;

use sluicegate_rules::keys::{self, KEYS, Table, Takes};
use sluicegate_rules::{Loader, docs};

use crate::common::rules;

fn committed(path: &str, made: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path);
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, made).unwrap();
    }
    let text = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        text == made,
        "{} is not what keys.rs says; run the test with UPDATE=1 and look at the difference",
        path.display()
    );
}

#[test]
fn the_page_is_made_of_the_keys() {
    committed("docs/config.md", &docs::markdown());
}

/// Each example of the table is taken, in a file that has what it speaks of.
#[test]
fn every_example_is_right() {
    for key in KEYS.iter().filter(|key| key.takes != Takes::Tables) {
        let users = "[users]\nci = { from = [\"10.0.0.1\"] }\nagent = { from = [\"10.0.0.2\"] }\n";
        let line = format!("{} = {}", key.name, key.example);
        let text = match key.table {
            Table::Top if key.name == "users" => line,
            Table::Top => format!("{line}\n{users}"),
            Table::User => format!("[users.x]\n{line}"),
            Table::Rule if ["allow", "deny"].contains(&key.name) => format!("{users}[[rule]]\n{line}"),
            Table::Rule => format!("{users}[[rule]]\nallow = [\"x.org\"]\n{line}"),
            // Whether it holds is another question.
            Table::Test => format!("{users}[[test]]\n{line}"),
        };
        let loaded = Loader::new().untested().include(|_, _| Ok("x.org".to_owned())).load([("keys.rs", text.as_str())]);
        assert!(loaded.is_ok(), "{text}\n{}", loaded.unwrap_err().long());
    }
}

#[test]
fn the_first_file_is_right_also_without_its_hashes() {
    assert!(rules(docs::INIT).check().doubts.is_empty());
    let code = |line: &&str| line.strip_prefix("# ").is_some_and(|line| line.starts_with('[') || line.contains(" = "));
    let bare: String =
        docs::INIT.lines().filter(code).map(|line| format!("{}\n", line.trim_start_matches("# "))).collect();
    let bare = bare.replace(", \"@hosts.txt\"", "");
    for key in ["allow", "deny", "mode", "private", "clients", "users", "rule", "test"] {
        assert!(bare.contains(key), "{key} is not in the first file");
    }
    rules(&bare);
    assert!(keys::of(Table::Top).count() > 5);
}

#[cfg(feature = "schema")]
mod schema {
    use serde_json::{Value, json};
    use sluicegate_rules::{Rules, schema};

    #[test]
    fn the_schema_is_made_of_the_keys() {
        let text = serde_json::to_string_pretty(&schema::schema()).unwrap();
        super::committed("docs/config.schema.json", &format!("{text}\n"));
    }

    /// What the schema refuses, the parser refuses, and the other way round for whatever a schema can say.
    #[test]
    fn schema_and_parser_agree() {
        let schema = Value::from(schema::schema());
        for (text, good) in [
            ("", true),
            ("allow = [\"x.org\"]\ndeny = []\nmode = \"report\"\nallow_suffix = false", true),
            ("listen = [\"a\"]\nworkers = 2\nno-via = true\nhead-timeout = \"1s\"", true),
            ("users = \"@x\"", true),
            ("[users]\nci = { from = [\"10.0.0.1\"] }\n[[rule]]\nwho = [\"ci\"]\nallow = [\"x.org\"]", true),
            ("[[test]]\ndeny = []", true),
            ("allow = \"x.org\"", false),
            ("allow = [1]", false),
            ("mode = \"off\"", false),
            ("mode = 1", false),
            ("allow_suffix = 1", false),
            ("mode = true", false),
            ("users = \"x\"", false),
            ("users = []", false),
            ("[users]\nci = { name = \"x\" }", false),
            ("[users]\nci = { token = 1 }", false),
            ("[rule]\nallow = []", false),
            ("[[rule]]\nallow = []\nmethod = [\"GET\"]", false),
            ("[[rule]]\nallow = []\nwho = \"ci\"", false),
            ("[[test]]\nas = []", false),
            ("workers = 1.5", false),
            ("listen = [1]", false),
            ("[limits]\na = 1", false),
        ] {
            let document: toml::Table = text.parse().unwrap();
            let value = serde_json::to_value(document).unwrap();
            assert_eq!(fits(&schema, &value), good, "the schema on {text}");
            let include = |_: &str, _: &str| Ok(String::new());
            let loaded =
                sluicegate_rules::Loader::new().settings(crate::common::SETTINGS).include(include).load([("x", text)]);
            assert_eq!(loaded.is_ok(), good, "the parser on {text}");
        }
        assert!(Rules::read("x", "").is_ok());
    }

    /// As much of JSON Schema as ours uses; a keyword that is not known here fails the test.
    fn fits(schema: &Value, value: &Value) -> bool {
        let Value::Object(schema) = schema else { return schema != &json!(false) };
        let own = schema.get("properties").and_then(Value::as_object);
        schema.iter().all(|(keyword, says)| match keyword.as_str() {
            "$schema" | "title" | "description" => true,
            "type" => {
                let is = |kind: &Value| match kind.as_str().unwrap() {
                    "object" => value.is_object(),
                    "array" => value.is_array(),
                    "string" => value.is_string(),
                    "boolean" => value.is_boolean(),
                    "integer" => value.is_i64(),
                    other => panic!("{other} is not known here"),
                };
                says.as_array().map_or_else(|| is(says), |kinds| kinds.iter().any(is))
            }
            "enum" => says.as_array().unwrap().contains(value),
            "items" => value.as_array().is_none_or(|list| list.iter().all(|item| fits(says, item))),
            "pattern" => {
                assert_eq!(says, "^@");
                value.as_str().is_none_or(|text| text.starts_with('@'))
            }
            "properties" => value.as_object().is_none_or(|table| {
                table.iter().all(|(key, item)| own.unwrap().get(key).is_none_or(|schema| fits(schema, item)))
            }),
            "additionalProperties" => value.as_object().is_none_or(|table| {
                let more = table.iter().filter(|(key, _)| own.is_none_or(|own| !own.contains_key(*key)));
                more.into_iter().all(|(_, item)| fits(says, item))
            }),
            other => panic!("{other} is not known here"),
        })
    }
}
