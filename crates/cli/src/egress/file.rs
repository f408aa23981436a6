//! Files on the disk to rules.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use clap::CommandFactory;
use sluicegate_rules::{Loader, Rules};

use crate::args::Args;

/// Larger files are not read: 100,000 hosts are 2 MiB.
const LARGEST: u64 = 64 << 20;

/// Flags that are no settings: they ask for something else than a proxy, or have a key of their own.
const NO_SETTINGS: [&str; 7] =
    ["help", "version", "config", "explain-memory", "allow-client", "allow-destination", "deny-destination"];

/// Reads the files and puts them together.
///
/// # Errors
/// All that is wrong with them, each with its line and how it should read; in one line if there is none to show.
pub(super) fn load(paths: &[PathBuf]) -> Result<Rules, String> {
    let named = |path: &PathBuf| {
        let name = path.display().to_string();
        read(path).map_err(|why| format!("--config: cannot read {name}: {why}")).map(|text| (name, text))
    };
    let texts: Vec<(String, String)> = paths.iter().map(named).collect::<Result<_, String>>()?;
    let command = Args::command();
    let flags = command.get_arguments().filter_map(clap::Arg::get_long);
    let settings: Vec<&str> = flags.filter(|flag| !NO_SETTINGS.contains(flag)).collect();
    let loader = Loader::new().settings(&settings).include(|from, path| {
        // Beside the file that names it.
        read(&Path::new(from).parent().unwrap_or(Path::new("")).join(path))
    });
    loader.load(texts.iter().map(|(name, text)| (name.as_str(), text.as_str()))).map_err(|problems| problems.long())
}

fn read(path: &Path) -> Result<String, String> {
    let mut text = String::new();
    let file = File::open(path).map_err(|error| error.to_string())?;
    match file.take(LARGEST.saturating_add(1)).read_to_string(&mut text) {
        Ok(n) if n as u64 > LARGEST => Err("it is larger than 64 MiB".to_owned()),
        Ok(_) => Ok(text),
        Err(error) => Err(error.to_string()),
    }
}
