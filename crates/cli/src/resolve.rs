//! What `sluicegate resolve` answers.

use std::fmt::Write;

use serde_json::json;
use sluicegate::limits::Names;
use sluicegate::names::{Lookup, Source};

use crate::args::one_line;

/// Looks `name` up: what is to be printed, and whether there are addresses.
pub(crate) fn resolve(name: &str, json: bool, names: &Names) -> (String, bool) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    match runtime {
        Ok(runtime) => {
            let lookup = runtime.block_on(sluicegate::names::resolve(name, names));
            let text = if json { as_json(name, &lookup) } else { as_text(name, &lookup) };
            (text, lookup.found.is_ok())
        }
        Err(error) => (format!("nothing can be looked up: {error}\n"), false),
    }
}

fn source(source: Source) -> &'static str {
    match source {
        Source::Localhost => "localhost",
        Source::Hosts => "hosts",
        _ => "server",
    }
}

fn as_text(name: &str, lookup: &Lookup) -> String {
    let mut text = match lookup.source {
        Source::Localhost => "Nobody is asked: names under localhost are this machine (RFC 6761).\n".to_owned(),
        Source::Hosts => "Nobody is asked: the name stands in /etc/hosts.\n".to_owned(),
        _ => format!(
            "Asked for, in this order, until one has an address: {}\nName servers, in this order: {}\n",
            one_line(&lookup.candidates.join(", ")),
            list(&lookup.servers)
        ),
    };
    for asked in &lookup.questions {
        let (server, name, family, said) = (asked.server, one_line(&asked.name), asked.family, &asked.said);
        // Writing to memory does not fail.
        let _ = writeln!(text, "{server} was asked for {name} {family}: {said} ({} ms)", asked.took.as_millis());
    }
    let _ = match &lookup.found {
        Ok(addresses) => writeln!(text, "{} leads to {}, tried in this order.", one_line(name), list(addresses)),
        Err(fault) => writeln!(text, "{} leads nowhere: {}", one_line(name), one_line(&fault.to_string())),
    };
    text
}

fn list<T: ToString>(all: &[T]) -> String {
    all.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

fn as_json(name: &str, lookup: &Lookup) -> String {
    let questions = lookup.questions.iter().map(|asked| {
        json!({
            "name": asked.name, "family": asked.family, "server": asked.server.to_string(), "said": asked.said,
            "took_ms": asked.took.as_millis(),
        })
    });
    let object = json!({
        "name": name,
        "source": source(lookup.source),
        "candidates": lookup.candidates,
        "servers": lookup.servers,
        "questions": questions.collect::<Vec<_>>(),
        "addresses": lookup.found.as_ref().map_or(&[][..], Vec::as_slice),
        "error": lookup.found.as_ref().err().map(ToString::to_string),
    });
    format!("{object}\n")
}
