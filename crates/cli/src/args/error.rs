//! Why the program ends before it begins: asked for help, or a mistake, told in one line.

use clap::error::{ContextKind, ContextValue, ErrorKind};

/// The end of reading flags without flags.
#[derive(Debug)]
pub(crate) enum EarlyExit {
    /// Help or version were asked for: print this, and all is well.
    Help(clap::Error),
    /// What was wrong and what is right, in one line.
    Mistake(String),
    /// The same of a file, over several lines: where, the line itself, and how it should read.
    File(String),
}

impl From<clap::Error> for EarlyExit {
    fn from(error: clap::Error) -> Self {
        match error.kind() {
            ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => Self::Help(error),
            ErrorKind::InvalidSubcommand => Self::Mistake(meant_as_flag(&error).unwrap_or_else(|| rendered(&error))),
            ErrorKind::UnknownArgument => Self::Mistake(known_elsewhere(&error).unwrap_or_else(|| rendered(&error))),
            _ => Self::Mistake(rendered(&error)),
        }
    }
}

/// Any text as one line that is safe on a terminal.
pub(crate) fn one_line(text: &str) -> String {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let joined = lines.collect::<Vec<_>>().join("; ").replace(":; ", ": ");
    joined.chars().flat_map(|c| if c.is_control() { c.escape_default().collect() } else { vec![c] }).collect()
}

/// What is wrong with a setting of a file, told without the flag's dashes.
pub(crate) fn of_setting(error: &clap::Error) -> String {
    let told = shorten(&error.render().to_string()).replace("--", "");
    told.strip_suffix("; see help").unwrap_or(&told).to_owned()
}

fn rendered(error: &clap::Error) -> String {
    shorten(&error.render().to_string())
}

/// What does here what a flag of other programs does: the flag that looks most like it does something else.
fn known_elsewhere(error: &clap::Error) -> Option<String> {
    let Some(ContextValue::String(flag)) = error.get(ContextKind::InvalidArg) else { return None };
    let instead = match flag.as_str() {
        "--verbose" | "-v" | "--debug" | "-d" => "--log-level info (or debug)",
        "--bind" | "--address" | "--addr" | "--host" => "--listen ADDRESS:PORT",
        _ => return None,
    };
    Some(format!("there is no {flag}; use {instead}; see --help"))
}

/// Which flag takes what was written without one.
fn meant_as_flag(error: &clap::Error) -> Option<String> {
    let Some(ContextValue::String(word)) = error.get(ContextKind::InvalidSubcommand) else { return None };
    let word = one_line(word);
    let flag = match word.as_str() {
        file if file.ends_with(".toml") => "--config",
        port if port.parse::<u16>().is_ok() => "--port",
        _ => return None,
    };
    Some(format!("there is no command {word}; write {flag} {word}; see --help"))
}

/// clap's message without its "error:", and without the usage that follows it.
fn shorten(rendered: &str) -> String {
    let text = rendered.strip_prefix("error: ").unwrap_or(rendered);
    let end = ["\nUsage:", "\nFor more information"].iter().filter_map(|mark| text.find(mark)).min();
    let text = text.get(..end.unwrap_or(text.len())).unwrap_or(text);
    format!("{}; see --help", one_line(text).trim_end_matches('.'))
}

#[cfg(test)]
mod tests {
    use super::super::Args;
    use super::*;

    fn said(arguments: &[&str]) -> String {
        match Args::read(std::iter::once("sluicegate").chain(arguments.iter().copied()).map(Into::into)) {
            Err(EarlyExit::Mistake(line)) => line,
            other => panic!("{arguments:?}: {other:?}"),
        }
    }

    #[test]
    fn mistakes_are_told_in_one_line() {
        assert_eq!(
            said(&["--no-vja"]),
            "unexpected argument '--no-vja' found; tip: a similar argument exists: '--no-via'; see --help"
        );
        assert_eq!(
            said(&["--client-fin", "x"]),
            "invalid value 'x' for '--client-fin <ACTION>'; [possible values: abort, allow]; see --help"
        );
        assert_eq!(
            said(&["--head-timeout", "soon"]),
            "invalid value 'soon' for '--head-timeout <TIME>': it must be a time like 500ms, 30s, 5m or 1h, or off; see --help"
        );
        assert_eq!(
            said(&["--reverse-keep-host"]),
            "the following required arguments were not provided: --reverse <PREFIX=ORIGIN>; see --help"
        );
        for flag in ["--verbose", "-v", "-vv", "--verbose=1"] {
            assert!(
                said(&[flag]).contains("; use --log-level info (or debug); see --help"),
                "{flag}: {}",
                said(&[flag])
            );
        }
        assert_eq!(said(&["3128"]), "there is no command 3128; write --port 3128; see --help");
        assert_eq!(said(&["egress.toml"]), "there is no command egress.toml; write --config egress.toml; see --help");
        assert!(said(&["--bind", "x"]).contains("; use --listen ADDRESS:PORT;"));
        assert!(!said(&["--listen", "a\nb\u{1b}[31m"]).contains(['\n', '\u{1b}']));
    }
}
