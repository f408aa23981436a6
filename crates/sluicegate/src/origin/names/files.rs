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

/// A file, and what the last look at it has shown.
#[derive(Debug)]
struct Watched {
    path: PathBuf,
    /// Of the file that was read: its time, length and number.
    stamp: Option<(SystemTime, u64, u64)>,
    standing: Standing,
}

/// How it stands with a file: see [`Watched::look`] for how one leads to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    /// It could never be read.
    Unknown,
    /// It was read, or is still the one that was.
    Read,
    /// It was not there. If it comes back at once, it was being replaced; what it said counts.
    Missing,
    /// It was not there twice, and counts as empty.
    Gone,
    /// It was there and could not be read, which was said; what it said before counts.
    Unreadable,
}

/// What a look at a file has shown.
#[derive(Debug, PartialEq, Eq)]
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
            tracing::warn!("{path} contains what is not understood and is ignored: {odd}");
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
        Self { path, stamp: None, standing: Standing::Unknown }
    }

    /// Reads the file if it is not the one that was read before.
    ///
    /// # Errors
    /// A shortage of descriptors, while nothing is known of the file.
    fn look(&mut self) -> io::Result<Look> {
        use Standing::{Gone, Missing, Read, Unknown, Unreadable};
        let found = self.read();
        let path = self.path.display();
        let (standing, look) = match (self.standing, found) {
            (before, Ok(look)) => {
                if before == Unreadable {
                    tracing::info!("{path} can be read again");
                }
                (Read, look)
            }
            (Unknown, Err(error)) if error.kind() == ErrorKind::NotFound => (Gone, Look::Text(Vec::new())),
            (Gone, Err(error)) if error.kind() == ErrorKind::NotFound => (Gone, Look::Same),
            (Missing, Err(error)) if error.kind() == ErrorKind::NotFound => {
                tracing::warn!("{path} is gone; it counts as empty");
                self.stamp = None;
                (Gone, Look::Text(Vec::new()))
            }
            (Read | Unreadable, Err(error)) if error.kind() == ErrorKind::NotFound => (Missing, Look::Same),
            (Unknown, Err(error)) if crate::origin::dial::is_exhausted(&error) => return Err(error),
            (Unreadable, Err(_)) => (Unreadable, Look::Same),
            (before, Err(error)) => {
                tracing::warn!("{path} cannot be read; what it said before is kept: {error}");
                (Unreadable, if before == Unknown { Look::Text(Vec::new()) } else { Look::Same })
            }
        };
        self.standing = standing;
        Ok(look)
    }

    fn read(&mut self) -> io::Result<Look> {
        let stamp = stamp(&std::fs::metadata(&self.path)?);
        if stamp.is_some() && self.stamp == stamp {
            return Ok(Look::Same);
        }
        let mut text = Vec::new();
        File::open(&self.path)?.take(LONGEST.saturating_add(1)).read_to_end(&mut text)?;
        if text.len() as u64 > LONGEST {
            return Err(io::Error::new(ErrorKind::FileTooLarge, "it is longer than 32 MiB"));
        }
        self.stamp = stamp.filter(|(at, ..)| at.elapsed().is_ok_and(|age| age > SETTLED));
        Ok(Look::Text(text))
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
        assert_eq!(files.resolv.standing, Standing::Unreadable);
        std::fs::remove_dir(dir.0.join("resolv")).unwrap();
        dir.write("resolv", "");
        assert_eq!(server(&mut files), "127.0.0.1", "emptied");
        assert_eq!(files.resolv.standing, Standing::Read);
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

    /// Each standing of a file, what is found there, and what follows.
    #[test]
    fn what_a_look_finds_leads_from_one_standing_to_another() {
        use Standing::{Gone, Missing, Read, Unknown, Unreadable};
        let dir = Dir::new("standing");
        let path = dir.0.join("file");
        let empty = || Look::Text(Vec::new());
        let [nothing, file, folder] = [0, 1, 2];
        for (before, found, after, look) in [
            (Unknown, file, Read, Look::Text(b"text".to_vec())),
            (Unknown, nothing, Gone, empty()),
            (Unknown, folder, Unreadable, empty()),
            (Read, nothing, Missing, Look::Same),
            (Read, folder, Unreadable, Look::Same),
            (Missing, file, Read, Look::Text(b"text".to_vec())),
            (Missing, nothing, Gone, empty()),
            (Missing, folder, Unreadable, Look::Same),
            (Gone, file, Read, Look::Text(b"text".to_vec())),
            (Gone, nothing, Gone, Look::Same),
            (Gone, folder, Unreadable, Look::Same),
            (Unreadable, file, Read, Look::Text(b"text".to_vec())),
            (Unreadable, nothing, Missing, Look::Same),
            (Unreadable, folder, Unreadable, Look::Same),
        ] {
            let _ = std::fs::remove_file(&path);
            let _ = std::fs::remove_dir(&path);
            match found {
                1 => dir.write("file", "text"),
                2 => std::fs::create_dir(&path).unwrap(),
                _ => {}
            }
            let mut watched = Watched { path: path.clone(), stamp: None, standing: before };
            assert_eq!((watched.look().unwrap(), watched.standing), (look, after), "{before:?}, then {found}");
        }
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
