//! What was typed: the flags, their help and their defaults. What they mean together is
//! `config`'s business.

mod address;
mod error;
mod sizes;
mod units;

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Parser, ValueEnum};
use ipnet::IpNet;
use sluicegate::Limits;

pub(crate) use address::Listen;
pub(crate) use error::{Ends, one_line};
pub(crate) use sizes::Sizes;
pub(crate) use units::{Deadline, Size, SizeOrOff, Span};

/// The port that squid has made the usual one of HTTP proxies.
pub(crate) const DEFAULT_PORT: u16 = 3128;

/// An HTTP forward proxy whose memory is bounded by construction.
///
/// Without any flag it listens on 127.0.0.1:3128 and serves http:// requests and CONNECT to
/// programs of this machine.
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
    /// Show where a name leads, who was asked, and what came
    ///
    /// As the proxy would look it up, with --dns-server, --dns-timeout and --prefer. Ends with 0 if the name has
    /// addresses, else with 1.
    Resolve {
        /// The name, as a client would write it
        name: String,
        /// Print one JSON object
        #[arg(long)]
        json: bool,
    },
}

/// Where clients connect to, and who serves them.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Listening")]
pub(crate) struct Listening {
    /// Where to accept clients; may be repeated [default: 127.0.0.1:3128]
    ///
    /// An address with a port, as 127.0.0.1:3128 or `[::1]:3128`, or localhost:3128 for this machine
    /// over both families. Each address takes its own family: 0.0.0.0 for IPv4 and `[::]` for IPv6. Port 0 takes a free port and prints it. Addresses that other machines
    /// can reach need --allow-client.
    #[arg(long, value_name = "ADDR")]
    pub(crate) listen: Vec<Listen>,

    /// Short for --listen 127.0.0.1:N
    #[arg(short, long, value_name = "N", conflicts_with = "listen", value_parser = units::port)]
    pub(crate) port: Option<u16>,

    /// Threads that serve clients [default: one per processor]
    #[arg(long, value_name = "N", value_parser = units::workers)]
    pub(crate) workers: Option<usize>,

    /// Client connections at once [default: from the descriptor limit]
    ///
    /// Beyond them, the one that has been quiet for longest gives way to a new one: it is kept alive and asks for nothing,
    /// has said nothing for a second, or not ended its request's head. While none is quiet, new ones wait.
    ///
    /// The soft limit of open descriptors (ulimit -n) is raised to the hard one at the start. Of
    /// those, 64 and what the workers need are set aside, idle origin connections too; each client
    /// connection may take two of the rest, one for itself and one for its origin.
    #[arg(long, value_name = "N", value_parser = units::count)]
    pub(crate) max_connections: Option<usize>,

    /// Connections of one client at once; more get 429 [default: no limit but --max-connections]
    ///
    /// A client is an IPv4 address or a /64 of IPv6. Behind one address there may be many users.
    #[arg(long, value_name = "N", value_parser = units::count)]
    pub(crate) max_connections_per_client: Option<usize>,

    /// How long a stop waits for what still runs, before it is aborted
    ///
    /// SIGINT, SIGTERM and SIGQUIT stop; a second one aborts at once. Container engines kill after 10 s.
    #[arg(long, value_name = "TIME", default_value = "8s")]
    pub(crate) shutdown_timeout: Span,
}

/// Who may use the proxy, and for what.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Access")]
pub(crate) struct Access {
    /// Who may use this proxy; may be repeated [default: 127.0.0.0/8 and ::1]
    ///
    /// A range as 192.168.0.0/16 or fd00::/8, or a single address. It replaces the default.
    #[arg(long, value_name = "CIDR", value_parser = address::range)]
    pub(crate) allow_client: Vec<IpNet>,

    /// What clients may reach although it is guarded; may be repeated [default: none]
    ///
    /// Clients of a listener that other machines can reach are refused loopback, link-local, the
    /// metadata services of clouds (169.254.169.254 and others) and this machine's own addresses,
    /// whatever name leads there, unless a range given here contains them. Clients of a loopback
    /// listener go where they like (see --guard).
    #[arg(long, value_name = "CIDR", value_parser = address::range)]
    pub(crate) allow_range: Vec<IpNet>,

    /// What no client may reach; may be repeated [default: none]
    ///
    /// A range, an address, or the word private: 10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16,
    /// 100.64.0.0/10, fc00::/7 and fec0::/10. It holds for the clients of every listener. Where
    /// --allow-range contains an address too, the longer prefix counts, and of two equal ones the
    /// denial.
    #[arg(long, value_name = "CIDR", value_parser = address::ranges)]
    pub(crate) deny_range: Vec<address::Ranges>,

    /// Guard clients of a loopback listener too
    ///
    /// For a proxy behind stunnel or ssh -R, whose clients come from elsewhere although they
    /// connect from this machine.
    #[arg(long)]
    pub(crate) guard: bool,
}

/// How requests and responses are passed on.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Forwarding")]
pub(crate) struct Forwarding {
    /// Be the reverse proxy of an origin, for paths with this prefix; may be repeated [default: none]
    ///
    /// As /=127.0.0.1:8080 or /app=app.internal:8080/base: GET /app/x goes to app.internal:8080 as GET
    /// /base/x. The longest prefix counts. With this flag nothing is forwarded elsewhere: CONNECT is
    /// refused, and so is any path without an origin. The origins may be on this machine; --allow-client
    /// says who may come, as always.
    #[arg(long, value_name = "PREFIX=ORIGIN", value_parser = units::mount)]
    pub(crate) reverse: Vec<Mount>,

    /// With --reverse: pass the Host on that the client sent, instead of the origin's own
    #[arg(long, requires = "reverse")]
    pub(crate) reverse_keep_host: bool,

    /// With --reverse: pass %2f in a path on, for an origin that takes it for a part of a name
    ///
    /// Without it, such a path gets 400, because many origins take it for a slash. With it, where the
    /// slash would lead to another prefix, it still does.
    #[arg(long, requires = "reverse")]
    pub(crate) reverse_keep_encoded_slash: bool,

    /// With --reverse: what becomes of X-Forwarded-For, -Proto and -Host
    ///
    /// replace: they name this client alone. append: behind a proxy that is trusted; the client is
    /// added to -For, and what else that proxy says in X-Forwarded- fields stays. remove: there are
    /// none. keep: as they came, which any client can forge. Their kin (X-Real-IP, X-Original-URL and
    /// what else proxies tell origins) is passed on with keep alone.
    #[arg(long, value_name = "WHAT", default_value = "replace", requires = "reverse")]
    pub(crate) x_forwarded: HopsArg,

    /// With --reverse: the same of Forwarded (RFC 7239)
    #[arg(long, value_name = "WHAT", default_value = "replace", requires = "reverse")]
    pub(crate) forwarded: HopsArg,

    /// With --reverse: what becomes of fields with _ in their name
    ///
    /// Or with any character but letters, digits and -. CGI, WSGI and PHP take X_User for X-User. keep
    /// passes them on, but for those that could be taken for a field that the proxy acts upon or sets.
    #[arg(long, value_name = "WHAT", default_value = "remove", requires = "reverse")]
    pub(crate) underscore_fields: KeepArg,

    /// What it means when a client ends its sending side while it waits for its response
    ///
    /// abort: it has gone, and the origin's work is cancelled at once. allow: it still reads (as
    /// in `printf … | nc`), and only a reset says that it has gone.
    #[arg(long, value_name = "MEANING", default_value = "abort")]
    pub(crate) half_close: HalfCloseArg,

    /// Pass on upgrades to this protocol too, beside websocket; may be repeated [default: websocket alone]
    ///
    /// As tcp, for attach and exec of Docker, or SPDY/3.1, for those of Kubernetes. What follows an upgrade is a tunnel. h2c cannot be
    /// passed on.
    #[arg(long, value_name = "PROTOCOL")]
    pub(crate) upgrade: Vec<String>,

    /// Do not add Via to requests and responses
    ///
    /// Some origins turn compression off when they see Via (nginx with `gzip_proxied off`, its
    /// default). Without it, loops through other proxies are not noticed.
    #[arg(long)]
    pub(crate) no_via: bool,

    /// Idle origin connections that each worker keeps [default: 512; fewer with few descriptors]
    #[arg(long, value_name = "N", value_parser = units::count_or_none)]
    pub(crate) max_idle_origins: Option<usize>,

    /// Ask this name server instead of those of /etc/resolv.conf; may be repeated [default: those]
    ///
    /// As 10.0.0.53, or with another port than 53 as `[fd00::53]:5353`. They are asked in this order. The hosts
    /// file and the search list count all the same.
    #[arg(long, global = true, value_name = "ADDR", value_parser = address::server)]
    pub(crate) dns_server: Vec<SocketAddr>,

    /// Which addresses of a name to try first
    #[arg(long, global = true, value_name = "FAMILY", default_value = "ipv6")]
    pub(crate) prefer: FamilyArg,
}

/// See [`sluicegate::limits::Family`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum FamilyArg {
    Ipv4,
    Ipv6,
}

/// See [`sluicegate::HalfClose`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum HalfCloseArg {
    Abort,
    Allow,
}

/// A prefix, and the origin behind it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mount {
    pub(crate) prefix: String,
    pub(crate) origin: String,
}

/// See [`sluicegate::Hops`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum HopsArg {
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
    /// From the first byte of a request to the end of its head, or off
    #[arg(long, value_name = "TIME", default_value_t = Deadline(limits().head_timeout))]
    pub(crate) head_timeout: Deadline,

    /// A client connection without a request, or off
    #[arg(long, value_name = "TIME", default_value_t = Deadline(limits().idle_timeout))]
    pub(crate) idle_timeout: Deadline,

    /// An origin connection without a request
    #[arg(long, value_name = "TIME", default_value_t = Span(limits().origin_idle_timeout))]
    pub(crate) origin_idle_timeout: Span,

    /// A request that waits for its share of --memory-total
    #[arg(long, value_name = "TIME", default_value_t = Span(limits().memory_wait))]
    pub(crate) memory_wait: Span,

    /// Looking an origin up and connecting to it, all its addresses together, or off
    #[arg(long, value_name = "TIME", default_value_t = Deadline(limits().connect_timeout))]
    pub(crate) connect_timeout: Deadline,

    /// A name server that does not answer, before the next is asked [default: as resolv.conf says, or 5s]
    #[arg(long, global = true, value_name = "TIME")]
    pub(crate) dns_timeout: Option<Span>,

    /// From the end of a request to the head of its response, or off
    #[arg(long, value_name = "TIME", default_value_t = Deadline(limits().response_timeout))]
    pub(crate) response_timeout: Deadline,

    /// No byte of a body in either direction, or off
    #[arg(long, value_name = "TIME", default_value_t = Deadline(limits().body_timeout))]
    pub(crate) body_timeout: Deadline,

    /// No byte of a tunnel in either direction, or off
    #[arg(long, value_name = "TIME", default_value_t = Deadline(limits().tunnel_idle_timeout))]
    pub(crate) tunnel_idle_timeout: Deadline,

    /// The same once one side of the tunnel has ended, or off
    #[arg(long, value_name = "TIME", default_value_t = Deadline(limits().half_closed_timeout))]
    pub(crate) half_closed_timeout: Deadline,

    /// A client that goes on sending after its last response
    #[arg(long, value_name = "TIME", default_value_t = Span(limits().linger_timeout))]
    pub(crate) linger_timeout: Span,

    /// Silence of a client or origin before TCP asks whether it is still there, or off
    ///
    /// It asks three times within as long again, and then takes the connection for ended, tunnels too.
    #[arg(long, value_name = "TIME", default_value_t = Deadline(limits().keepalive))]
    pub(crate) tcp_keepalive: Deadline,

    /// What was sent to an origin and is not acknowledged, before it is taken to have gone, or off
    ///
    /// Not in tunnels, nor once a body of more than 16 KiB is sent: who only reads slowly has not gone.
    #[arg(long, value_name = "TIME", default_value_t = Deadline(limits().user_timeout))]
    pub(crate) tcp_user_timeout: Deadline,

    /// A connection that was shut down and does not end, before it is reset, or off
    #[arg(long, value_name = "TIME", default_value_t = Deadline(limits().abort_timeout))]
    pub(crate) abort_timeout: Deadline,
}

/// What is written down, and where.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Logs")]
pub(crate) struct Logs {
    /// Write a line per request to this file, or to the standard output with - [default: none]
    ///
    /// SIGUSR1 and SIGHUP open the file anew, after it has been renamed. It may be a FIFO: lines wait for its reader. Without this flag, and if the
    /// standard error is a terminal, a short line per request is shown there. A disk that is full
    /// or slow never holds requests up: lines are dropped, and a warning says how many.
    #[arg(long, value_name = "FILE")]
    pub(crate) access_log: Option<PathBuf>,

    /// How lines of the access log look [default: combined]
    #[arg(long, value_name = "FORMAT")]
    pub(crate) access_log_format: Option<LogFormat>,

    /// Write query strings too; they often carry secrets
    #[arg(long)]
    pub(crate) log_query: bool,

    /// What the proxy says about itself on the standard error [default: warn; error with --quiet]
    ///
    /// SIGUSR2 prints the table of live connections there, whatever the level: what each is doing,
    /// and who keeps it waiting. A terminal or pipe that takes nothing never holds requests up:
    /// lines are dropped, and one says how many.
    #[arg(long, value_name = "LEVEL")]
    pub(crate) log_level: Option<LogLevel>,

    /// Say nothing on the standard error but errors
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

/// From which severity on something is said.
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
    pub(crate) fn read(arguments: impl IntoIterator<Item = OsString>) -> Result<Self, Ends> {
        Self::try_parse_from(arguments).map_err(Ends::from)
    }
}

fn limits() -> Limits {
    Limits::default()
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

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
            let is_switch = !arg.get_action().takes_values();
            let says_default = help.contains("[default: ") || !arg.get_default_values().is_empty();
            assert!(is_switch || says_default || flag == "--port", "{flag} does not say its default");
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
