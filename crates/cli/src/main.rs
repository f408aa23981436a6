//! The binary `sluicegate`. Each module uses only those above it: `say` (the standard
//! error), `rules` (who may go where), `args` (what was typed), `egress` (the files), `config` (what it means),
//! `descriptors` (how many files may be open), `explain` (what memory that takes), `resolve` (where a name leads), `listen`
//! (sockets), `access_log`, `policies` (rules and log as the library asks for them), `run` (workers,
//! signals, stop).
//!
//! Ends with 0 when all went well, 1 when something failed while it ran, 2 when a flag was wrong.

// The blank lines keep the order.
mod say;

mod rules;

mod args;

mod egress;

mod config;

mod descriptors;

mod explain;

mod resolve;

mod listen;

mod access_log;

mod policies;

mod run;

use std::process::ExitCode;

use args::{EarlyExit, Instead, one_line};
use config::Config;

#[cfg(all(target_os = "linux", feature = "jemalloc"))]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    let config = match egress::read(std::env::args_os())
        .and_then(|(args, egress)| Config::new(args, egress).map_err(EarlyExit::Mistake))
    {
        Ok(config) => config,
        Err(EarlyExit::Help(answer)) => {
            // Nobody is left to tell if the standard output is closed.
            let _ = answer.print();
            return ExitCode::SUCCESS;
        }
        Err(EarlyExit::File(told)) => {
            say::line(told.trim_end());
            return ExitCode::from(2);
        }
        Err(EarlyExit::Mistake(line)) => {
            say::line(&format!("sluicegate: {line}"));
            return ExitCode::from(2);
        }
    };
    if let Some(instead) = &config.instead {
        return match do_instead(instead, &config) {
            Ok((text, is_well)) => {
                say::answer(&text);
                if is_well { ExitCode::SUCCESS } else { ExitCode::FAILURE }
            }
            Err(line) => {
                say::line(&format!("sluicegate: {}", one_line(&line)));
                ExitCode::from(2)
            }
        };
    }
    let done = if config.explain_memory { answer(&config) } else { run::run(config) };
    if let Err(error) = &done {
        say::line(&format!("sluicegate: {}", one_line(&format!("{error:#}"))));
    }
    say::finish();
    if done.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// What to print, and whether all is well.
fn do_instead(instead: &Instead, config: &Config) -> Result<(String, bool), String> {
    // Both have files, or were refused.
    let no_files = || "name a file".to_owned();
    match instead {
        Instead::Resolve { name, json } => Ok(resolve::resolve(name, *json, &config.limits.names)),
        Instead::Check { .. } => config.egress.as_ref().map(|egress| (egress.check(), true)).ok_or_else(no_files),
        Instead::Explain { user, from, request, .. } => {
            config.egress.as_ref().ok_or_else(no_files)?.explain(user.as_deref(), *from, request)
        }
        Instead::Init => Ok((sluicegate_rules::docs::INIT.to_owned(), true)),
    }
}

/// Says what was asked for instead of a start.
fn answer(config: &Config) -> anyhow::Result<()> {
    let shares = descriptors::shares(config)?;
    say::answer(&explain::memory(config, shares.max_connections));
    Ok(())
}
