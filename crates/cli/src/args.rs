//! What was typed: the flags, their help and their defaults. What they mean together is
//! `config`'s business.

mod address;
mod error;
mod sizes;
mod units;

use std::ffi::OsString;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use clap::{Parser, ValueEnum};
use ipnet::IpNet;
use sluicegate::Limits;

pub(crate) use address::Listen;
pub(crate) use error::{EarlyExit, of_setting, one_line};
pub(crate) use sizes::Sizes;
pub(crate) use units::{Deadline, Size, SizeOrOff, Span};

/// The port that squid has made the usual one of HTTP proxies.
pub(crate) const DEFAULT_PORT: u16 = 3128;

/// An HTTP proxy, forward and reverse, whose memory is bounded by construction.
///
/// Without any flag it listens on 127.0.0.1:3128 and serves http:// requests and CONNECT to
/// programs on this machine.
///
/// Sizes take B, KB, MB, GB (powers of 1000) and K, M, G, KiB, MiB, GiB (powers of 1024); times
/// take ms, s, m, h. A bare number is bytes, or seconds.
#[derive(Debug, Parser)]
#[command(name = "sluicegate", version, max_term_width = 100, disable_help_subcommand = true)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) instead: Option<Instead>,
    #[command(flatten)]
    pub(crate) listening: Listening,
    #[command(flatten)]
    pub(crate) access: Access,
    #[command(flatten)]
    pub(crate) forwarding: Forwarding,
    #[command(flatten)]
    pub(crate) sizes: Sizes,
    #[command(flatten)]
    pub(crate) deadlines: Deadlines,
    #[command(flatten)]
    pub(crate) logs: Logs,
}

/// What is done instead of serving clients.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Instead {
    /// Look up a name as the proxy would, and show which servers were asked and what they answered
    ///
    /// --dns-server, --dns-timeout and --prefer apply. The exit status is 0 if the name has addresses, else 1.
    Resolve {
        /// Name to look up, as a client would write it
        name: String,
        /// Print the result as one JSON object
        #[arg(long)]
        json: bool,
    },
    /// Check files for --config: print what is in force and what is doubtful in them
    ///
    /// Their [[test]]s are run. The exit status is 0 if the proxy would start with them, else 2.
    Check {
        /// Files to check together
        #[arg(required = true)]
        files: Vec<PathBuf>,
    },
    /// Show what the rules of --config would decide about a request, and why, without sending it
    ///
    /// The name is not looked up. The exit status is 0 if the request would pass, else 1.
    Explain {
        /// Files with the rules; may be repeated
        #[arg(long = "config", id = "rules", value_name = "FILE", required = true)]
        rules: Vec<PathBuf>,
        /// Ask as this user [default: somebody without a name]
        #[arg(long = "as", value_name = "USER", conflicts_with = "from")]
        user: Option<String>,
        /// Ask as whoever comes from this address
        #[arg(long, value_name = "ADDR")]
        from: Option<IpAddr>,
        /// What to ask: a URL, perhaps behind a method, or HOST:PORT for a tunnel
        #[arg(required = true, num_args = 1..=2, value_name = "[METHOD] URL")]
        request: Vec<String>,
    },
    /// Print a file for --config with every key in a comment, to begin with
    Init,
}

/// Where clients connect to, and who serves them.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Listening")]
pub(crate) struct Listening {
    /// Accept clients on this address and port; may be repeated [default: 127.0.0.1:3128]
    ///
    /// For example 127.0.0.1:3128 or `[::1]:3128`, or localhost:3128 for this machine over both IPv4 and IPv6. 0.0.0.0
    /// accepts IPv4 alone and `[::]` IPv6 alone. Port 0 takes a free port and prints it. An address that other
    /// machines can reach needs --allow-client.
    #[arg(long, value_name = "ADDR")]
    pub(crate) listen: Vec<Listen>,

    /// Accept clients on this port of 127.0.0.1; short for --listen 127.0.0.1:N
    #[arg(short, long, value_name = "N", conflicts_with = "listen", value_parser = units::port)]
    pub(crate) port: Option<u16>,

    /// Serve clients with this many threads, 1 to 1024 [default: one per processor]
    #[arg(long, value_name = "N", value_parser = units::workers)]
    pub(crate) workers: Option<usize>,

    /// Serve at most this many client connections at once [default: from the limit of open descriptors]
    ///
    /// Beyond that, a new connection takes the place of the one that has been quiet for longest: kept alive without a
    /// request, silent for a second, or with an incomplete request head. While none is quiet, new connections wait.
    ///
    /// At the start, the soft limit of open descriptors (ulimit -n) is raised to the hard one. 64 of them, those that
    /// the workers need and those of idle origin connections are set aside; each client connection may take two of
    /// the rest, one for itself and one for its origin.
    #[arg(long, value_name = "N", value_parser = units::count)]
    pub(crate) max_connections: Option<usize>,

    /// Answer 429 to a client's connections beyond this many at once [default: no limit but --max-connections]
    ///
    /// A client is an IPv4 address or an IPv6 /64. Many users may share one address.
    #[arg(long, value_name = "N", value_parser = units::count)]
    pub(crate) max_connections_per_client: Option<usize>,

    /// Wait this long for running exchanges after a signal to stop, then abort them
    ///
    /// SIGINT, SIGTERM and SIGQUIT stop the proxy; a second one aborts at once. Container engines kill after 10 s.
    #[arg(long, value_name = "TIME", default_value = "8s")]
    pub(crate) shutdown_timeout: Span,
}

/// Who may use the proxy, and for what.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Access")]
pub(crate) struct Access {
    /// Take settings and rules from this file; may be repeated [default: none]
    ///
    /// TOML. `allow = [".github.com", "pypi.org"]` is a whole file: clients may go there and nowhere else. A setting is a
    /// key with its flag's name, and flags given here win. SIGHUP reads the rules anew. docs/config.md has all keys.
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Vec<PathBuf>,

    /// Accept clients from this range; may be repeated [default: 127.0.0.0/8 and ::1]
    ///
    /// A range such as 192.168.0.0/16 or fd00::/8, or a single address. What is given replaces the default.
    #[arg(long, value_name = "CIDR", value_parser = address::range)]
    pub(crate) allow_client: Vec<IpNet>,

    /// Let clients reach this range although it is guarded; may be repeated [default: none]
    ///
    /// Clients of a listener that other machines can reach are denied loopback and link-local addresses, the
    /// metadata services of clouds (169.254.169.254 and others) and this machine's own addresses, whatever name
    /// leads there, unless a range given here contains them. Clients of a loopback listener may go anywhere
    /// (see --guard).
    #[arg(long, alias = "allow-range", value_name = "CIDR", value_parser = address::range)]
    pub(crate) allow_destination: Vec<IpNet>,

    /// Keep all clients from reaching this range; may be repeated [default: none]
    ///
    /// A range, an address, or the word private: 10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16, 100.64.0.0/10, fc00::/7
    /// and fec0::/10. It applies to the clients of every listener. If --allow-destination contains an address too, the
    /// longer prefix wins; of two equal ones, the denial.
    #[arg(long, alias = "deny-range", value_name = "CIDR", value_parser = address::ranges)]
    pub(crate) deny_destination: Vec<address::Ranges>,

    /// Keep clients of a loopback listener from guarded addresses too
    ///
    /// For a proxy behind stunnel or ssh -R, whose clients are elsewhere although they connect from this machine.
    /// --allow-destination says which addresses are guarded.
    #[arg(long)]
    pub(crate) guard: bool,
}

/// How requests and responses are passed on.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Forwarding")]
pub(crate) struct Forwarding {
    /// Pass requests for paths with this prefix to this origin; may be repeated [default: none]
    ///
    /// For example /=127.0.0.1:8080, or /app=app.internal:8080/base: GET /app/x goes to app.internal:8080 as GET
    /// /base/x. The longest prefix wins. With this flag nothing is forwarded elsewhere: CONNECT and paths without an
    /// origin are refused. The origins may be on this machine; --allow-client says which clients are accepted.
    #[arg(long, value_name = "PREFIX=ORIGIN", value_parser = units::mount)]
    pub(crate) reverse: Vec<Mount>,

    /// With --reverse: pass the client's Host to the origin, instead of the origin's own name
    #[arg(long, requires = "reverse")]
    pub(crate) reverse_keep_host: bool,

    /// With --reverse: pass on a path that contains %2f, for origins that take it for part of a name
    ///
    /// Without this flag such a path gets 400, because many origins take %2f for a slash. With it, a path whose %2f
    /// would lead to another prefix if it were a slash still gets 400.
    #[arg(long, requires = "reverse")]
    pub(crate) reverse_keep_encoded_slash: bool,

    /// With --reverse: replace, append to, remove or keep X-Forwarded-For, -Proto and -Host
    ///
    /// replace: name this client alone. append: for a proxy behind another that it trusts; add the client to -For, and
    /// keep the other X-Forwarded- fields. remove: send none. keep: pass them on as they came; any client can forge
    /// them. Related fields (X-Real-IP, X-Original-URL and others that proxies set) are passed on with keep alone.
    #[arg(long, value_name = "ACTION", default_value = "replace", requires = "reverse")]
    pub(crate) x_forwarded: ForwardedFieldsArg,

    /// With --reverse: replace, append to, remove or keep Forwarded (RFC 7239)
    #[arg(long, value_name = "ACTION", default_value = "replace", requires = "reverse")]
    pub(crate) forwarded: ForwardedFieldsArg,

    /// With --reverse: remove or keep fields with _ in their name
    ///
    /// Or with any other character than letters, digits and -. CGI, WSGI and PHP read X_User as X-User. keep
    /// passes them on, except those that could be read as a field that the proxy acts upon or sets.
    #[arg(long, value_name = "ACTION", default_value = "remove", requires = "reverse")]
    pub(crate) underscore_fields: KeepArg,

    /// Abort or allow an exchange whose client shuts down its sending side (FIN) before the response
    ///
    /// abort: treat the client as gone, and cancel the work at the origin at once. allow: send it the response (as for
    /// `printf … | nc`), and take only a reset for a client that has gone.
    #[arg(long, alias = "half-close", value_name = "ACTION", default_value = "abort")]
    pub(crate) client_fin: ClientFinArg,

    /// Pass on upgrades to this protocol, as to websocket; may be repeated [default: websocket alone]
    ///
    /// For example tcp, for docker attach and exec, or SPDY/3.1, for kubectl attach and exec. What follows an upgrade is
    /// a tunnel. h2c cannot be passed on.
    #[arg(long, value_name = "PROTOCOL")]
    pub(crate) upgrade: Vec<String>,

    /// Do not add Via to requests and responses
    ///
    /// Some origins turn compression off when they see Via (nginx with `gzip_proxied off`, its default). Without Via,
    /// loops through other proxies are not noticed.
    #[arg(long)]
    pub(crate) no_via: bool,

    /// Keep at most this many idle origin connections per worker [default: 512; fewer with few descriptors]
    #[arg(long, value_name = "N", value_parser = units::count_or_none)]
    pub(crate) max_idle_origins: Option<usize>,

    /// Ask this name server instead of those in /etc/resolv.conf; may be repeated [default: those]
    ///
    /// For example 10.0.0.53, or `[fd00::53]:5353` for another port than 53. They are asked in this order. The hosts
    /// file and the search list are used all the same.
    #[arg(long, global = true, value_name = "ADDR", value_parser = address::server)]
    pub(crate) dns_server: Vec<SocketAddr>,

    /// Try addresses of this family first
    #[arg(long, global = true, value_name = "FAMILY", default_value = "ipv6")]
    pub(crate) prefer: FamilyArg,
}

/// See [`sluicegate::limits::Family`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum FamilyArg {
    Ipv4,
    Ipv6,
}

/// See [`sluicegate::ClientFin`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ClientFinArg {
    Abort,
    Allow,
}

/// A prefix, and the origin behind it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mount {
    pub(crate) prefix: String,
    pub(crate) origin: String,
}

/// See [`sluicegate::ForwardedFields`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ForwardedFieldsArg {
    Replace,
    Append,
    Remove,
    Keep,
}

/// Whether something is passed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum KeepArg {
    Remove,
    Keep,
}

/// How long what may take. The defaults are those of [`Limits`].
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Deadlines")]
pub(crate) struct Deadlines {
    /// Answer 408 to a request whose head is incomplete this long after its first byte; off: never
    #[arg(long, value_name = "TIME", default_value_t = Deadline(limits().head_timeout))]
    pub(crate) head_timeout: Deadline,

    /// Close a client connection after this long without a request; off: never
    #[arg(long, value_name = "TIME", default_value_t = Deadline(limits().idle_timeout))]
    pub(crate) idle_timeout: Deadline,

    /// Close an origin connection after this long without a request
    #[arg(long, value_name = "TIME", default_value_t = Span(limits().origin_idle_timeout))]
    pub(crate) origin_idle_timeout: Span,

    /// Answer 503 to a request that has waited this long for its share of --max-memory
    #[arg(long, alias = "memory-wait", value_name = "TIME", default_value_t = Span(limits().memory_timeout))]
    pub(crate) memory_timeout: Span,

    /// Give up looking up and connecting to an origin after this long, all its addresses together; off: never
    #[arg(long, value_name = "TIME", default_value_t = Deadline(limits().connect_timeout))]
    pub(crate) connect_timeout: Deadline,

    /// Ask the next name server when one has not answered for this long [default: as in resolv.conf, or 5s]
    #[arg(long, global = true, value_name = "TIME")]
    pub(crate) dns_timeout: Option<Span>,

    /// Answer 504 when an origin sends no response head for this long after the request; off: never
    #[arg(long, value_name = "TIME", default_value_t = Deadline(limits().response_timeout))]
    pub(crate) response_timeout: Deadline,

    /// Abort an exchange when no byte of a body has moved in either direction for this long; off: never
    #[arg(long, value_name = "TIME", default_value_t = Deadline(limits().body_timeout))]
    pub(crate) body_timeout: Deadline,

    /// Close a tunnel when no byte has moved in either direction for this long; off: never
    #[arg(long, value_name = "TIME", default_value_t = Deadline(limits().tunnel_idle_timeout))]
    pub(crate) tunnel_idle_timeout: Deadline,

    /// Close a tunnel, once one side has ended, when no byte has moved for this long; off: never
    #[arg(long, value_name = "TIME", default_value_t = Deadline(limits().half_closed_timeout))]
    pub(crate) half_closed_timeout: Deadline,

    /// Read a client that goes on sending after its last response for at most this long
    #[arg(long, value_name = "TIME", default_value_t = Span(limits().linger_timeout))]
    pub(crate) linger_timeout: Span,

    /// Probe a client or origin that has been silent for this long (TCP keep-alive), at least 1s; off: never
    ///
    /// TCP probes three times within as long again, and then ends the connection, also that of a tunnel.
    #[arg(long, value_name = "TIME", default_value_t = Deadline(limits().tcp_keepalive))]
    pub(crate) tcp_keepalive: Deadline,

    /// End an origin connection whose data has gone unacknowledged for this long; off: as the kernel does
    ///
    /// TCP_USER_TIMEOUT (Linux). Not in tunnels, nor once more than 16 KiB of a body have been sent: an origin that only
    /// reads slowly has not gone.
    #[arg(long, value_name = "TIME", default_value_t = Deadline(limits().tcp_user_timeout))]
    pub(crate) tcp_user_timeout: Deadline,

    /// Reset a connection that has not ended this long after it was shut down; off: never
    #[arg(long, value_name = "TIME", default_value_t = Deadline(limits().abort_timeout))]
    pub(crate) abort_timeout: Deadline,
}

/// What is written down, and where.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Logs")]
pub(crate) struct Logs {
    /// Write a line per request to this file, or to standard output with - [default: none]
    ///
    /// SIGUSR1 and SIGHUP reopen the file, after it has been renamed. It may be a FIFO: lines wait for its reader.
    /// Without this flag, if standard error is a terminal, a short line per request is shown there. A disk that is
    /// full or slow never delays requests: lines are dropped, and a warning says how many.
    #[arg(long, value_name = "FILE")]
    pub(crate) access_log: Option<PathBuf>,

    /// Write access log lines in this format [default: combined]
    #[arg(long, value_name = "FORMAT")]
    pub(crate) access_log_format: Option<LogFormat>,

    /// Include query strings in the access log; they often carry secrets
    #[arg(long)]
    pub(crate) log_query: bool,

    /// Write messages of this severity and above to standard error [default: warn; error with --quiet]
    ///
    /// SIGUSR2 prints a table of the live connections there, whatever the level: what each is doing, and who keeps it
    /// waiting. A terminal or pipe that takes nothing never delays requests: lines are dropped, and one says how many.
    #[arg(long, value_name = "LEVEL")]
    pub(crate) log_level: Option<LogLevel>,

    /// Write only errors to standard error
    #[arg(short, long)]
    pub(crate) quiet: bool,
}

/// How an access log line looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// As Apache and nginx write it
    Combined,
    /// One JSON object per line
    Json,
}

/// The least severity of a message that is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogLevel {
    Error,
    Warn,
    Info,
    Debug,
    Trace,
    Off,
}

impl Args {
    /// Reads the flags of this process.
    ///
    /// # Errors
    /// What is wrong with them in one line; or that help or version were asked for.
    pub(crate) fn read(arguments: impl IntoIterator<Item = OsString>) -> Result<Self, EarlyExit> {
        Self::try_parse_from(arguments).map_err(EarlyExit::from)
    }
}

fn limits() -> Limits {
    Limits::default()
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    /// What a help begins with that names a thing instead of saying what the flag does.
    const NO_VERBS: [&str; 14] =
        ["A", "An", "The", "No", "What", "How", "Who", "Where", "When", "Which", "From", "Size", "Time", "Number"];

    #[test]
    fn flags_are_consistent() {
        Args::command().debug_assert();
    }

    #[test]
    fn help_names_every_flag_its_heading_and_its_default() {
        let mut command = Args::command();
        let long = command.render_long_help().to_string();
        let short = command.render_help().to_string();
        command.build();
        for arg in command.get_arguments() {
            let flag = format!("--{}", arg.get_long().expect("every argument is a flag"));
            assert!(long.contains(&flag) && short.contains(&flag), "{flag} is not in the help");
            if ["--help", "--version"].contains(&flag.as_str()) {
                continue;
            }
            assert!(arg.get_help_heading().is_some(), "{flag} stands under no heading");
            let help = arg.get_help().expect("every flag has help").to_string();
            let does = help.trim_start_matches("With --reverse: ").split(' ').next().expect("it has a word");
            assert!(!NO_VERBS.contains(&does), "the help of {flag} does not say what it does: {help}");
            let is_switch = !arg.get_action().takes_values();
            let says_default = help.contains("[default: ") || !arg.get_default_values().is_empty();
            assert!(is_switch || says_default || flag == "--port", "{flag} does not say its default");
        }
    }

    /// The names from before the first release, which work for one more.
    #[test]
    fn former_names_work_and_are_not_shown() {
        let read = |arguments: &[&str]| {
            let program = std::iter::once("sluicegate");
            format!("{:?}", Args::read(program.chain(arguments.iter().copied()).map(Into::into)).unwrap())
        };
        let help = Args::command().render_long_help().to_string();
        for (name, former, value) in [
            ("--allow-destination", "--allow-range", "10.0.0.0/8"),
            ("--deny-destination", "--deny-range", "private"),
            ("--client-fin", "--half-close", "allow"),
            ("--max-unsent", "--unsent", "off"),
            ("--max-memory", "--memory-total", "1GiB"),
            ("--memory-timeout", "--memory-wait", "7s"),
            ("--splice-memory", "--bulk-total", "0"),
        ] {
            assert_ne!(read(&[name, value]), read(&[]), "{name}");
            assert_eq!(read(&[name, value]), read(&[former, value]), "{name} {former}");
            assert!(help.contains(&format!("{name} <")) && !help.contains(&format!("{former} <")), "{name} {former}");
        }
    }

    #[test]
    fn defaults_are_those_of_the_library() {
        let args = Args::read(["sluicegate".into()]).unwrap();
        assert_eq!(args.sizes.client_buffer.to_string(), "16KiB");
        assert_eq!(args.deadlines.response_timeout.to_string(), "5m");
        assert_eq!(args.deadlines.tunnel_idle_timeout.to_string(), "1h");
        assert_eq!(args.listening.shutdown_timeout.to_string(), "8s");
    }
}
