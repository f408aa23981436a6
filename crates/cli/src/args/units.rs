//! Sizes, times and counts as people type them.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use sluicegate::Reverse;

use super::Mount;

/// Deadlines are added to clocks; a year stays far away from their ends.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 3600);

/// The kernel's sizes are of type `int`, and it doubles some; this stays away from both.
const LARGEST: u32 = 1 << 30;

/// The kernel's own minimum of a send buffer is 4.5 KiB; what is less would not be what it says.
const LEAST_BUFFER: u32 = 4 << 10;

/// More threads than this are a typing error.
const MOST_WORKERS: usize = 1024;

/// Bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Size(pub(crate) u64);

impl Size {
    pub(crate) fn of(bytes: usize) -> Self {
        Self(bytes as u64)
    }

    /// For what is kept in memory; what does not fit is more than any limit allows.
    pub(crate) fn bytes(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }
}

impl FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || "it must be a size like 65536, 64KiB or 1MiB".to_owned();
        let (number, unit) = split(text).ok_or_else(wrong)?;
        let factor = match unit.to_ascii_lowercase().as_str() {
            "" | "b" => 1,
            "k" | "kib" => 1 << 10,
            "m" | "mib" => 1 << 20,
            "g" | "gib" => 1 << 30,
            "kb" => 1_000,
            "mb" => 1_000_000,
            "gb" => 1_000_000_000,
            _ => return Err(wrong()),
        };
        number.checked_mul(factor).map(Self).ok_or_else(|| "it is more than any machine holds".to_owned())
    }
}

impl fmt::Display for Size {
    /// In the largest unit that needs no fraction.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (unit, shift) in [("GiB", 30), ("MiB", 20), ("KiB", 10)] {
            let whole = self.0 >> shift;
            if whole > 0 && whole << shift == self.0 {
                return write!(f, "{whole}{unit}");
            }
        }
        write!(f, "{}B", self.0)
    }
}

/// Bytes that the kernel takes as an `int`, or no bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SizeOrOff(pub(crate) Option<u32>);

impl FromStr for SizeOrOff {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.eq_ignore_ascii_case("off") {
            return Ok(Self(None));
        }
        let size: Size = text.parse().map_err(|error| format!("{error}, or off"))?;
        // The kernel takes 0 for "no bound", which is spelled differently here.
        let taken = u32::try_from(size.0).ok().filter(|bytes| (1..=LARGEST).contains(bytes));
        taken.map(|bytes| Self(Some(bytes))).ok_or_else(|| "it must be between 1 byte and 1 GiB, or off".to_owned())
    }
}

impl fmt::Display for SizeOrOff {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(bytes) => Size(bytes.into()).fmt(f),
            None => f.write_str("off"),
        }
    }
}

/// A time that is always there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Span(pub(crate) Duration);

impl FromStr for Span {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        span(text, "it must be a time like 500ms, 30s, 5m or 1h").map(Self)
    }
}

impl fmt::Display for Span {
    /// In the largest unit that needs no fraction.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (seconds, millis) = (self.0.as_secs(), self.0.subsec_millis());
        match (seconds, seconds % 3600, seconds % 60, millis) {
            (1.., 0, _, 0) => write!(f, "{}h", seconds / 3600),
            (1.., _, 0, 0) => write!(f, "{}m", seconds / 60),
            (_, _, _, 0) => write!(f, "{seconds}s"),
            _ => write!(f, "{}ms", self.0.as_millis()),
        }
    }
}

/// A time, or never.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Deadline(pub(crate) Option<Duration>);

impl FromStr for Deadline {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.eq_ignore_ascii_case("off") {
            return Ok(Self(None));
        }
        match span(text, "it must be a time like 500ms, 30s, 5m or 1h, or off")? {
            Duration::ZERO => Err("it must be more than 0, or off".to_owned()),
            time => Ok(Self(Some(time))),
        }
    }
}

impl fmt::Display for Deadline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(time) => Span(time).fmt(f),
            None => f.write_str("off"),
        }
    }
}

/// SO_SNDBUF or SO_RCVBUF.
pub(super) fn socket_buffer(text: &str) -> Result<usize, String> {
    let bytes = text.parse::<Size>()?.bytes();
    let sound = (LEAST_BUFFER as usize..=LARGEST as usize).contains(&bytes);
    if sound { Ok(bytes) } else { Err("it must be between 4 KiB and 1 GiB".to_owned()) }
}

/// A port, 0 for any that is free.
pub(super) fn port(text: &str) -> Result<u16, String> {
    text.parse().map_err(|_| "it must be a port, 0 to 65535".to_owned())
}

/// A number of threads.
pub(super) fn workers(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(n) if (1..=MOST_WORKERS).contains(&n) => Ok(n),
        _ => Err(format!("it must be a number of threads, 1 to {MOST_WORKERS}")),
    }
}

/// A number of things of which there must be one.
pub(super) fn count(text: &str) -> Result<usize, String> {
    count_or_none(text).and_then(|n| if n == 0 { Err("it must be at least 1".to_owned()) } else { Ok(n) })
}

/// A number of things.
pub(super) fn count_or_none(text: &str) -> Result<usize, String> {
    text.parse().map_err(|_| "it must be a whole number, like 100".to_owned())
}

fn span(text: &str, rule: &str) -> Result<Duration, String> {
    let (number, unit) = split(text).ok_or_else(|| rule.to_owned())?;
    let time = match unit.to_ascii_lowercase().as_str() {
        "ms" => Some(Duration::from_millis(number)),
        "" | "s" => Some(Duration::from_secs(number)),
        "m" => number.checked_mul(60).map(Duration::from_secs),
        "h" => number.checked_mul(3600).map(Duration::from_secs),
        _ => return Err(rule.to_owned()),
    };
    time.filter(|time| *time <= LONGEST).ok_or_else(|| "it must be at most a year, 8760h".to_owned())
}

/// Digits, and what follows them.
fn split(text: &str) -> Option<(u64, &str)> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (digits, unit) = text.split_at_checked(end)?;
    Some((digits.parse().ok()?, unit))
}

/// A prefix and an origin, each by itself beyond doubt; whether they go together is decided later.
pub(super) fn mount(text: &str) -> Result<Mount, String> {
    let Some((prefix, origin)) = text.split_once('=') else {
        return Err("it must be a prefix and an origin, like /=127.0.0.1:8080 or /app=10.0.0.5/base".to_owned());
    };
    Reverse::new().mount(prefix, origin).map_err(|error| error.to_string())?;
    Ok(Mount { prefix: prefix.to_owned(), origin: origin.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        for (text, bytes) in [
            ("0", 0),
            ("1000", 1000),
            ("12B", 12),
            ("16K", 16_384),
            ("16KiB", 16_384),
            ("16kib", 16_384),
            ("16KB", 16_000),
            ("1M", 1 << 20),
            ("2MiB", 2 << 20),
            ("3MB", 3_000_000),
            ("1G", 1 << 30),
        ] {
            assert_eq!(text.parse(), Ok(Size(bytes)), "{text}");
        }
        for text in ["", "K", "-1", "1.5M", "1 K", "1T", "16 KiB", "0x10", "99999999999999999999", "20000000000GiB"] {
            assert!(text.parse::<Size>().is_err(), "{text}");
        }
    }

    #[test]
    fn sizes_for_the_kernel() {
        for (text, bytes) in
            [("off", None), ("OFF", None), ("1", Some(1)), ("128KiB", Some(131_072)), ("1G", Some(1 << 30))]
        {
            assert_eq!(text.parse(), Ok(SizeOrOff(bytes)), "{text}");
        }
        assert_eq!(SizeOrOff(None).to_string(), "off");
        assert_eq!(SizeOrOff(Some(131_072)).to_string(), "128KiB");
        for text in ["0", "1073741825", "5GiB", "on", ""] {
            assert!(text.parse::<SizeOrOff>().unwrap_err().ends_with(", or off"), "{text}");
        }
        assert_eq!((socket_buffer("4KiB"), socket_buffer("1GiB")), (Ok(4096), Ok(1 << 30)));
        for text in ["4095", "0", "1073741825", "99999999999", "off"] {
            assert!(socket_buffer(text).is_err(), "{text}");
        }
    }

    #[test]
    fn times() {
        for (text, millis) in [
            ("5", 5000),
            ("500ms", 500),
            ("30s", 30_000),
            ("2m", 120_000),
            ("1h", 3_600_000),
            ("8760h", 31_536_000_000),
        ] {
            assert_eq!(text.parse(), Ok(Span(Duration::from_millis(millis))), "{text}");
            assert_eq!(text.parse(), Ok(Deadline(Some(Duration::from_millis(millis)))), "{text}");
        }
        for text in ["", "s", "off ", "-1s", "1.5s", "1d", "5 s", "8761h", "99999999999999999h"] {
            assert!(text.parse::<Span>().is_err(), "{text}");
            assert!(text.parse::<Deadline>().is_err(), "{text}");
        }
    }

    #[test]
    fn off_and_zero() {
        assert_eq!("off".parse(), Ok(Deadline(None)));
        assert_eq!("0".parse(), Ok(Span(Duration::ZERO)));
        assert!("off".parse::<Span>().is_err());
        assert!("0".parse::<Deadline>().is_err());
    }

    #[test]
    fn shown_as_they_are_typed() {
        for text in ["1h", "90m", "5m", "90s", "1500ms", "1ms", "0s", "3s"] {
            assert_eq!(text.parse::<Span>().unwrap().to_string(), text);
        }
        for text in ["16KiB", "1MiB", "3GiB", "1000B", "0B", "1025B", "1025KiB"] {
            assert_eq!(text.parse::<Size>().unwrap().to_string(), text);
        }
    }
}
