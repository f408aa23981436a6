//! The binary `sluicegate`: `args` (what was typed), `config` (what it means), `descriptors` (how
//! many files may be open), `listen` (sockets), `rules` (who may go where), `access_log`, `run`
//! (workers, signals, stop).
//!
//! Ends with 0 when all went well, 1 when something failed while it ran, 2 when a flag was wrong.

mod access_log;
mod args;
mod config;
mod descriptors;
mod explain;
mod house;
mod listen;
mod rules;
mod run;
mod say;

use std::process::ExitCode;

use args::{Args, Ends, one_line};
use config::Config;

fn main() -> ExitCode {
    let config = match Args::read(std::env::args_os()).and_then(|args| Config::new(args).map_err(Ends::Mistake)) {
        Ok(config) => config,
        Err(Ends::Asked(answer)) => {
            // Nobody is left to tell if the standard output is closed.
            let _ = answer.print();
            return ExitCode::SUCCESS;
        }
        Err(Ends::Mistake(line)) => {
            say::line(&format!("sluicegate: {line}"));
            return ExitCode::from(2);
        }
    };
    if config.explain_memory {
        say::answer(&explain::memory(&config.limits));
        return ExitCode::SUCCESS;
    }
    match run::run(config) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say::line(&format!("sluicegate: {}", one_line(&format!("{error:#}"))));
            ExitCode::FAILURE
        }
    }
}
