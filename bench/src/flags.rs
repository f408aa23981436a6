//! The command line: words, then `--name value` or `--name`.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::str::FromStr;

use crate::wire::Outcome;

pub struct Flags {
    words: Vec<String>,
    values: HashMap<String, String>,
}

impl Flags {
    pub fn read() -> Outcome<Self> {
        let mut flags = Self { words: Vec::new(), values: HashMap::new() };
        let mut args = std::env::args().skip(1).peekable();
        while let Some(arg) = args.next() {
            match arg.strip_prefix("--") {
                Some(name) => {
                    let value = args.next_if(|next| !next.starts_with("--")).unwrap_or_default();
                    flags.values.insert(name.into(), value);
                }
                None => flags.words.push(arg),
            }
        }
        Ok(flags)
    }

    /// The word at this place, or nothing.
    pub fn word(&self, n: usize) -> &str {
        self.words.get(n).map_or("", String::as_str)
    }

    pub fn is_set(&self, name: &str) -> bool {
        self.values.contains_key(name)
    }

    pub fn get<T: FromStr>(&self, name: &str, default: T) -> Outcome<T> {
        match self.values.get(name) {
            None => Ok(default),
            Some(value) => value.parse().map_err(|_| format!("--{name} cannot be `{value}`").into()),
        }
    }

    pub fn address(&self, name: &str) -> Outcome<SocketAddr> {
        let value = self.values.get(name).ok_or_else(|| format!("--{name} is missing"))?;
        value.parse().map_err(|_| format!("--{name} `{value}` is no address with a port").into())
    }
}
