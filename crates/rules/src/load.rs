//! Texts to rules.

use crate::check;
use crate::file::Draft;
use crate::rules::{Include, Rules};
use crate::source::{Problems, Sources};

/// Reads the files of one set of rules.
///
/// ```
/// use sluicegate_rules::{Loader, Mode};
///
/// let rules = Loader::new()
///     .settings(&["listen"])
///     .include(|_from, path| match path {
///         "blocked.txt" => Ok("evil.example\n".to_owned()),
///         _ => Err("no such file".to_owned()),
///     })
///     .load([
///         ("egress.toml", "allow = [\".example\"]\ndeny = [\"@blocked.txt\"]"),
///         ("conf.d/listen.toml", "listen = \"127.0.0.1:3128\""),
///     ])?;
/// assert_eq!(rules.mode(), Mode::Enforce);
/// assert_eq!(rules.settings()[0].flags(), ["--listen=127.0.0.1:3128"]);
/// # Ok::<(), sluicegate_rules::Problems>(())
/// ```
#[derive(Default)]
pub struct Loader<'l> {
    settings: &'l [&'l str],
    flags: Option<(&'l str, &'l str)>,
    include: Option<Include<'l>>,
    untested: bool,
}

impl<'l> Loader<'l> {
    /// One that knows no settings and reads no other files.
    pub fn new() -> Self {
        Self::default()
    }

    /// The settings of the program that reads the files, each a flag's name; any other key is a mistake.
    #[must_use]
    pub fn settings(mut self, names: &'l [&'l str]) -> Self {
        self.settings = names;
        self
    }

    /// What was said on the command line, as a file would say it: its lists are joined with those of the files, and its settings
    /// take the place of theirs.
    #[must_use]
    pub fn flags(mut self, name: &'l str, text: &'l str) -> Self {
        self.flags = Some((name, text));
        self
    }

    /// How `@file` is read: called with the name of the file that it stands in, and the path behind the `@`. The sentence of
    /// an error is shown behind "cannot read FILE: ".
    #[must_use]
    pub fn include(mut self, read: impl FnMut(&str, &str) -> Result<String, String> + 'l) -> Self {
        self.include = Some(Box::new(read));
        self
    }

    /// Takes files whose tests fail, to show what they say.
    #[must_use]
    pub fn untested(mut self) -> Self {
        self.untested = true;
        self
    }

    /// Puts files together, each with its name: lists are joined, and a setting stands in one of them only. Their order does
    /// not matter. Tests are run.
    ///
    /// # Errors
    /// All that is wrong, up to 50 problems.
    pub fn load<'f>(mut self, files: impl IntoIterator<Item = (&'f str, &'f str)>) -> Result<Rules, Problems> {
        let (mut sources, mut draft) = (Sources::default(), Draft::default());
        for (name, text) in files {
            draft.read(&mut sources, name, text, self.settings);
        }
        if let Some((name, text)) = self.flags {
            let mut flags = Draft::default();
            flags.read(&mut sources, name, text, self.settings);
            draft.overrule(flags);
        }
        // What cannot be read as TOML has lost keys, and would only bring more mistakes.
        if draft.is_broken {
            sources.verdict()?;
        }
        let mut rules = Rules::compile(draft, sources, self.include.as_mut())?;
        if !self.untested {
            check::run(&mut rules);
        }
        rules.sources.verdict()?;
        Ok(rules)
    }
}

impl Rules {
    /// Reads one file that names no others, for tests and small programs. See [`Loader`] for the rest.
    ///
    /// # Errors
    /// All that is wrong with it.
    pub fn read(name: &str, text: &str) -> Result<Self, Problems> {
        Loader::new().load([(name, text)])
    }
}

impl std::fmt::Debug for Loader<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Loader").field("settings", &self.settings).finish_non_exhaustive()
    }
}
