//! The JSON Schema of the file, for editors. It knows what the parser knows of keys and kinds; what a string must look like is
//! the parser's alone.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::{Map, Value, json};

use crate::keys::{self, Key, Table, Takes};

/// The file as a type that other schemas can hold.
#[derive(Debug, Clone, Copy)]
pub struct File;

impl JsonSchema for File {
    fn schema_name() -> Cow<'static, str> {
        "SluicegateRules".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let mut schema = table(Table::Top);
        // Every flag of the program is a key too.
        schema.insert(
            "additionalProperties".to_owned(),
            json!({ "type": ["string", "integer", "boolean", "array"], "items": { "type": "string" } }),
        );
        Schema::from(schema)
    }
}

/// The schema as it is committed.
pub fn schema() -> Schema {
    schemars::schema_for!(File)
}

fn table(which: Table) -> Map<String, Value> {
    let properties: Map<String, Value> = keys::of(which).map(|key| (key.name.to_owned(), property(key))).collect();
    let mut schema = Map::new();
    schema.insert("type".to_owned(), json!("object"));
    schema.insert("properties".to_owned(), Value::Object(properties));
    schema.insert("additionalProperties".to_owned(), json!(false));
    schema
}

fn property(key: &Key) -> Value {
    let mut schema = match key.takes {
        Takes::Entries | Takes::Strings => json!({ "type": "array", "items": { "type": "string" } }),
        Takes::Text => json!({ "type": "string" }),
        Takes::OneOf(words) => json!({ "enum": words }),
        Takes::Switch => json!({ "type": "boolean" }),
        Takes::Users => {
            json!({ "type": ["object", "string"], "pattern": "^@", "additionalProperties": table(Table::User) })
        }
        Takes::Tables => {
            let which = if key.name == "rule" { Table::Rule } else { Table::Test };
            json!({ "type": "array", "items": table(which) })
        }
    };
    if let Some(schema) = schema.as_object_mut() {
        schema.insert("description".to_owned(), json!(key.says));
    }
    schema
}
