//! The two files that say where names lead, read again when they change. What cannot be read for a while keeps what was
//! known: a shortage of descriptors, or a file in the middle of its replacement, must not send names elsewhere.

use std::fs::{File, Metadata};
use std::io::{self, ErrorKind, Read};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use super::hosts::Hosts;
use super::resolv::{self, Conf};

/// The files are looked at when a name is looked up, and not more often than this.
const LOOK: Duration = Duration::from_secs(1);
/// A file that was changed so shortly before it was read may have been changed again in the same tick of its clock.
const SETTLED: Duration = Duration::from_secs(2);
/// A longer file is not read: lists of blocked names have some MB.
const LONGEST: u64 = 32 << 20;

/// What the machine's files say.
#[derive(Debug)]
pub(super) struct Files {
    resolv: Watched,
    hosts: Watched,
    looked: Option<Instant>,
    known: Known,
    servers: Vec<SocketAddr>,
    timeout: Option<Duration>,
    /// What resolv.conf says that was warned of.
    odd: Vec<String>,
}

/// What was read last.
#[derive(Debug, Clone, Default)]
pub(super) struct Known {
    pub(super) conf: Arc<Conf>,
    pub(super) hosts: Arc<Hosts>,
    /// Another number for each reading of either file.
    pub(super) version: u64,
}

/// A file, and when it was read.
#[derive(Debug)]
struct Watched {
    path: PathBuf,
    /// Of the file that was read: its time, length and number.
    stamp: Option<(SystemTime, u64, u64)>,
    is_known: bool,
    /// It was not there when it was looked for last. If it comes back at once, it was being replaced.
    is_missing: bool,
    /// It was not there twice, and counts as empty.
    is_gone: bool,
    has_warned: bool,
}

/// What a look at a file has shown.
enum Look {
    Same,
    Text(Vec<u8>),
}

impl Files {
    /// The machine's, read at once: later there may be no descriptor for them. `servers` and `timeout` go before
    /// what resolv.conf says.
    pub(super) fn new(resolv: PathBuf, hosts: PathBuf, servers: Vec<SocketAddr>, timeout: Option<Duration>) -> Self {
        let (resolv, hosts) = (Watched::new(resolv), Watched::new(hosts));
        let mut files =
            Self { resolv, hosts, looked: None, known: Known::default(), servers, timeout, odd: Vec::new() };
        // Whoever looks a name up first finds the error again.
        let _ = files.known();
        files
    }

    /// What they say now, or have said last.
    ///
    /// # Errors
    /// Nothing was ever known of one of them, and it cannot be read for now.
    pub(super) fn known(&mut self) -> io::Result<&Known> {
        if self.looked.is_none_or(|looked| looked.elapsed() >= LOOK) {
            self.look()?;
            self.looked = Some(Instant::now());
        }
        Ok(&self.known)
    }

    fn look(&mut self) -> io::Result<()> {
        if let Look::Text(text) = self.hosts.look()? {
            let hosts = Hosts::read(&text);
            if hosts != *self.known.hosts {
                self.known.hosts = Arc::new(hosts);
                self.known.version = self.known.version.wrapping_add(1);
            }
        }
        if let Look::Text(text) = self.resolv.look()? {
            self.configure(&text);
        }
        Ok(())
    }

    fn configure(&mut self, text: &[u8]) {
        let read = resolv::read(text, &hostname(), scope);
        if !read.odd.is_empty() && read.odd != self.odd {
            let (path, odd) = (self.resolv.path.display(), read.odd.join(", "));
            tracing::warn!("{path} holds what is not understood and passed over: {odd}");
        }
        let mut conf = read.conf;
        // All that it says of servers is wrong: rather those that were right a moment ago than none.
        if read.is_broken {
            conf.servers.clone_from(&self.known.conf.servers);
        }
        if !self.servers.is_empty() {
            conf.servers.clone_from(&self.servers);
        }
        conf.timeout = self.timeout.unwrap_or(conf.timeout);
        self.odd = read.odd;
        if conf != *self.known.conf {
            self.known.conf = Arc::new(conf);
            self.known.version = self.known.version.wrapping_add(1);
        }
    }
}

impl Watched {
    fn new(path: PathBuf) -> Self {
        Self { path, stamp: None, is_known: false, is_missing: false, is_gone: false, has_warned: false }
    }

    /// Reads the file if it is not the one that was read before.
    fn look(&mut self) -> io::Result<Look> {
        match self.changed() {
            Ok(look) => {
                if std::mem::take(&mut self.has_warned) {
                    tracing::info!("{} can be read again", self.path.display());
                }
                self.is_known = true;
                Ok(look)
            }
            Err(error) if !self.is_known && crate::origin::dial::is_exhausted(&error) => Err(error),
            Err(error) => {
                if !std::mem::replace(&mut self.has_warned, true) {
                    tracing::warn!("{} cannot be read; what it said before is kept: {error}", self.path.display());
                }
                let nothing_known = !std::mem::replace(&mut self.is_known, true);
                Ok(if nothing_known { Look::Text(Vec::new()) } else { Look::Same })
            }
        }
    }

    fn changed(&mut self) -> io::Result<Look> {
        let metadata = match std::fs::metadata(&self.path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(self.missing()),
            metadata => metadata?,
        };
        self.is_missing = false;
        let stamp = stamp(&metadata);
        if stamp.is_some() && self.stamp == stamp {
            return Ok(Look::Same);
        }
        let mut text = Vec::new();
        File::open(&self.path)?.take(LONGEST.saturating_add(1)).read_to_end(&mut text)?;
        if text.len() as u64 > LONGEST {
            return Err(io::Error::new(ErrorKind::FileTooLarge, "it is longer than 32 MiB"));
        }
        self.is_gone = false;
        self.stamp = stamp.filter(|(at, ..)| at.elapsed().is_ok_and(|age| age > SETTLED));
        Ok(Look::Text(text))
    }

    /// A file that is not there says nothing, as one that is empty; unless it is just being replaced.
    fn missing(&mut self) -> Look {
        let is_first = !std::mem::replace(&mut self.is_missing, true);
        if self.is_gone || self.is_known && is_first {
            return Look::Same;
        }
        if self.is_known {
            tracing::warn!("{} is gone; it counts as empty", self.path.display());
        }
        (self.stamp, self.is_gone) = (None, true);
        Look::Text(Vec::new())
    }
}

fn stamp(metadata: &Metadata) -> Option<(SystemTime, u64, u64)> {
    #[cfg(unix)]
    let number = std::os::unix::fs::MetadataExt::ino(metadata);
    #[cfg(not(unix))]
    let number = 0;
    Some((metadata.modified().ok()?, metadata.len(), number))
}

/// The machine's name, whose domain is searched if resolv.conf names none.
fn hostname() -> Vec<u8> {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    return rustix::system::uname().nodename().to_bytes().to_vec();
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    Vec::new()
}

/// The number of a network interface.
fn scope(name: &str) -> Option<u32> {
    let is_plain = !name.is_empty() && !name.contains('/') && !name.starts_with('.');
    let number = is_plain.then(|| std::fs::read_to_string(format!("/sys/class/net/{name}/ifindex")).ok())??;
    number.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Dir(PathBuf);

    impl Dir {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("sluicegate-{name}-{}", std::process::id()));
            std::fs::create_dir_all(&path).unwrap();
            Self(path)
        }

        fn write(&self, name: &str, text: &str) {
            std::fs::write(self.0.join(name), text).unwrap();
        }

        fn files(&self) -> Files {
            Files::new(self.0.join("resolv"), self.0.join("hosts"), Vec::new(), None)
        }
    }

    impl Drop for Dir {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    /// The first server, as of a look that is due.
    fn server(files: &mut Files) -> String {
        files.looked = None;
        files.known().unwrap().conf.servers[0].ip().to_string()
    }

    #[test]
    fn what_cannot_be_read_keeps_what_was_known() {
        let dir = Dir::new("kept");
        let mut files = dir.files();
        assert_eq!(server(&mut files), "127.0.0.1", "there is none");
        dir.write("resolv", "nameserver 10.0.0.1\n");
        assert_eq!(server(&mut files), "10.0.0.1", "it has come late");
        dir.write("resolv", "nameserver 10.0.0.2\n");
        assert_eq!(server(&mut files), "10.0.0.2", "changed within a tick");
        dir.write("resolv", "nameserver nonsense\n");
        assert_eq!(server(&mut files), "10.0.0.2", "malformed");
        std::fs::remove_file(dir.0.join("resolv")).unwrap();
        assert_eq!(server(&mut files), "10.0.0.2", "just being replaced");
        std::fs::create_dir(dir.0.join("resolv")).unwrap();
        for _ in 0..3 {
            assert_eq!(server(&mut files), "10.0.0.2", "unreadable");
        }
        assert!(files.resolv.has_warned);
        std::fs::remove_dir(dir.0.join("resolv")).unwrap();
        dir.write("resolv", "");
        assert_eq!(server(&mut files), "127.0.0.1", "emptied");
        assert!(!files.resolv.has_warned);
    }

    #[test]
    fn a_file_that_is_gone_for_good_is_empty() {
        let dir = Dir::new("gone");
        dir.write("resolv", "nameserver 10.0.0.1\n");
        dir.write("hosts", "10.0.0.9 web\n");
        let mut files = dir.files();
        std::fs::remove_file(dir.0.join("resolv")).unwrap();
        std::fs::remove_file(dir.0.join("hosts")).unwrap();
        assert_eq!(server(&mut files), "10.0.0.1");
        assert!(files.known.hosts.get("web").is_some());
        let version = files.known.version;
        assert_eq!(server(&mut files), "127.0.0.1");
        assert!(files.known.hosts.get("web").is_none() && files.known.version > version);
    }

    #[test]
    fn what_says_the_same_is_no_news() {
        let dir = Dir::new("same");
        dir.write("resolv", "nameserver 10.0.0.1\n");
        let mut files = dir.files();
        let version = files.known().unwrap().version;
        dir.write("resolv", "# again\nnameserver 10.0.0.1\n");
        server(&mut files);
        assert_eq!(files.known.version, version);
    }

    #[test]
    fn settings_go_before_the_file() {
        let dir = Dir::new("set");
        dir.write("resolv", "nameserver 10.0.0.1\nsearch a.test\noptions timeout:9\n");
        let set = vec!["10.9.9.9:5353".parse().unwrap()];
        let mut files =
            Files::new(dir.0.join("resolv"), dir.0.join("hosts"), set.clone(), Some(Duration::from_secs(1)));
        let conf = &files.known().unwrap().conf;
        assert_eq!((&conf.servers, conf.timeout, conf.search.len()), (&set, Duration::from_secs(1), 1));
    }
}
