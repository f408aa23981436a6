//! Who may go where, by the files of `--config`: which rules are in force, and what they decide. `file` reads the files,
//! `logins` finds out who asks,
//! `judged` is what the log is told, `look` what
//! their writer is shown.

mod file;
mod judged;
mod logins;
mod look;

use std::ffi::OsString;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;

use arc_swap::ArcSwap;
use clap::parser::ValueSource;
use clap::{CommandFactory, Parser};
use sluicegate::Request;
use sluicegate_http1::Target;
use sluicegate_rules::{Host, Mode, Rules};

use crate::args::{Args, EarlyExit, Instead};

pub(crate) use judged::{Judged, Said};
pub(crate) use logins::{Logins, challenges, has_logins};

/// The rules in force. They change as a whole: who has begun to ask one goes on asking the same.
#[derive(Debug)]
pub(crate) struct Egress {
    files: Vec<PathBuf>,
    rules: ArcSwap<Rules>,
}

impl Egress {
    /// The rules of now.
    pub(crate) fn rules(&self) -> Arc<Rules> {
        self.rules.load_full()
    }

    /// Reads the files again. What needs a restart to be changed is named.
    ///
    /// # Errors
    /// What is wrong with them; the previous rules stay in force.
    pub(crate) fn reload(&self) -> Result<Option<String>, String> {
        let (old, new) = (self.rules(), file::load(&self.files)?);
        let settings = |rules: &Rules| {
            let flags = rules.settings().iter().flat_map(|setting| setting.flags());
            flags.collect::<std::collections::BTreeSet<String>>()
        };
        let (before, after) = (settings(&old), settings(&new));
        let mut changed: Vec<_> = before.symmetric_difference(&after).cloned().collect();
        if old.clients() != new.clients() {
            changed.push("clients".to_owned());
        }
        self.rules.store(Arc::new(new));
        Ok((!changed.is_empty()).then(|| changed.join(", ")))
    }

    /// What the rules say as a whole, and what is doubtful in them.
    pub(crate) fn check(&self) -> String {
        self.rules().check().to_string()
    }

    /// What would be decided about a request, and whether it would pass.
    ///
    /// # Errors
    /// What is wrong with the question.
    pub(crate) fn explain(
        &self,
        user: Option<&str>,
        from: Option<IpAddr>,
        request: &[String],
    ) -> Result<(String, bool), String> {
        look::explain(&self.rules(), user, from, request)
    }

    /// What the rules do, and where they stand.
    pub(crate) fn summary(&self) -> String {
        let mode = match self.rules().mode() {
            Mode::Open => "open, so that they decide nothing",
            Mode::Report => "report, so that what would be denied passes and is logged",
            Mode::Enforce => "enforce",
        };
        let files: Vec<_> = self.files.iter().map(|file| file.display().to_string()).collect();
        format!("{mode} ({})", files.join(", "))
    }
}

/// Reads the flags, and the settings of the files that `--config` names. Flags win.
///
/// # Errors
/// What is wrong with either, and how it should be; or that help or version were asked for.
pub(crate) fn read(arguments: impl IntoIterator<Item = OsString>) -> Result<(Args, Option<Egress>), EarlyExit> {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    let args = Args::read(arguments.clone())?;
    let files = match &args.instead {
        Some(Instead::Check { files } | Instead::Explain { rules: files, .. }) => files,
        _ => &args.access.config,
    };
    if files.is_empty() {
        return Ok((args, None));
    }
    let files = files.clone();
    let one_line = |told: &String| !told.trim_end().contains('\n');
    let ends = |told| if one_line(&told) { EarlyExit::Mistake(told) } else { EarlyExit::File(told) };
    let rules = file::load(&files).map_err(ends)?;
    let mut all: Vec<OsString> = arguments.iter().take(1).cloned().collect();
    all.extend(settings(&rules, &arguments)?.into_iter().map(OsString::from));
    all.extend(arguments.into_iter().skip(1));
    Ok((Args::read(all)?, Some(Egress { files, rules: ArcSwap::from_pointee(rules) })))
}

/// The settings of the files as flags, but for those that were typed.
fn settings(rules: &Rules, typed: &[OsString]) -> Result<Vec<String>, EarlyExit> {
    let typed = Args::command().try_get_matches_from(typed).map_err(EarlyExit::from)?;
    let is_typed = |name: &str| typed.value_source(&name.replace('-', "_")) == Some(ValueSource::CommandLine);
    let mut flags = Vec::new();
    for setting in rules.settings() {
        let given = setting.flags();
        let alone = std::iter::once("sluicegate".to_owned()).chain(given.iter().cloned());
        if let Err(error) = Args::try_parse_from(alone)
            // Whether a setting lacks another is seen when all are there.
            && error.kind() != clap::error::ErrorKind::MissingRequiredArgument
        {
            return Err(EarlyExit::File(rules.wrong(setting, crate::args::of_setting(&error)).long()));
        }
        // Both say where to listen.
        let wins = match setting.name() {
            "listen" | "port" => is_typed("listen") || is_typed("port"),
            name => is_typed(name),
        };
        if !wins {
            flags.extend(given);
        }
    }
    Ok(flags)
}

/// What `request` asks for, as the rules see it. A host that programs read in different ways stays as it was written: the rules
/// find out themselves.
pub(crate) fn asked<'h>(request: &Request<'h>) -> sluicegate_rules::Request<'h> {
    let text = request.host().unwrap_or_default();
    let host = Host::read(text).unwrap_or(Host::Name(text));
    let port = request.port().unwrap_or(80);
    let path = match request.target() {
        Target::Authority(_) => None,
        _ => Some(request.path_and_query().as_bytes()),
    };
    sluicegate_rules::Request { method: request.head().method(), host, port, path }
}

/// What is asked for as far as an address is concerned: when one is dialled, methods and paths are not seen.
pub(crate) fn dialled(address: IpAddr, port: u16) -> sluicegate_rules::Request<'static> {
    sluicegate_rules::Request::connect(Host::Address(address), port)
}
