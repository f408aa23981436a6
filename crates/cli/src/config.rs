//! What the flags mean together, checked.

use std::borrow::Cow;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use sluicegate::limits::{Family, Names, SocketBuffers};
use sluicegate::{ClientFin, ForwardedFields, LimitError, Limits, Reverse};
use tracing::level_filters::LevelFilter;

use crate::args::{
    Access, Args, ClientFinArg, DEFAULT_PORT, Deadlines, FamilyArg, ForwardedFieldsArg, Forwarding, Instead, KeepArg,
    Listen, LogFormat, LogLevel, Logs, Mount, Size, Sizes,
};
use crate::egress::Egress;
use crate::rules::{Ranges, Rules};

/// Everything that the flags decide.
#[derive(Debug)]
pub(crate) struct Config {
    /// Not empty, and no address twice.
    pub(crate) listen: Vec<Listen>,
    /// At least 1.
    pub(crate) workers: usize,
    /// Checked, but for what depends on the limit of descriptors.
    pub(crate) limits: Limits,
    /// None: as many as there are descriptors for.
    pub(crate) max_connections: Option<usize>,
    /// Per worker. None: as many as there are descriptors for.
    pub(crate) max_idle_origins: Option<usize>,
    pub(crate) via: bool,
    /// Instead of forwarding.
    pub(crate) reverse: Option<Reverse>,
    pub(crate) rules: Arc<Rules>,
    /// The files of --config.
    pub(crate) egress: Option<Arc<Egress>>,
    pub(crate) shutdown_timeout: Duration,
    pub(crate) access_log: Option<LogFile>,
    pub(crate) log_query: bool,
    pub(crate) log_level: LevelFilter,
    pub(crate) quiet: bool,
    /// Only say what a connection holds at most.
    pub(crate) explain_memory: bool,
    pub(crate) instead: Option<Instead>,
}

/// Where the access log goes, and how it looks.
#[derive(Debug)]
pub(crate) struct LogFile {
    /// `-` is the standard output.
    pub(crate) path: PathBuf,
    pub(crate) format: LogFormat,
}

impl Config {
    /// Makes sense of `args`.
    ///
    /// # Errors
    /// What is wrong and what is right, in one line that names the flag.
    pub(crate) fn new(mut args: Args, egress: Option<Egress>) -> Result<Self, String> {
        if let Some(egress) = &egress {
            clients(&mut args.access, egress)?;
        }
        let listen = listen(&args)?;
        let Args { instead, listening, access, forwarding, sizes, deadlines, logs } = args;
        let client_fin = match forwarding.client_fin {
            ClientFinArg::Abort => ClientFin::Abort,
            ClientFinArg::Allow => ClientFin::Allow,
        };
        let mut limits = limits(&sizes, &deadlines, client_fin);
        limits.names = names(&forwarding, &deadlines);
        limits.upgrades.clone_from(&forwarding.upgrade);
        limits.max_connections_per_client = listening.max_connections_per_client;
        limits.check().map_err(|error| of_flag(&error))?;
        let workers = listening.workers.or_else(|| std::thread::available_parallelism().ok().map(usize::from));
        Ok(Self {
            listen,
            workers: workers.unwrap_or(1),
            limits,
            max_connections: listening.max_connections,
            max_idle_origins: forwarding.max_idle_origins,
            via: !forwarding.no_via,
            reverse: reverse(&forwarding)?,
            rules: Arc::new(rules(access)),
            egress: egress.map(Arc::new),
            shutdown_timeout: listening.shutdown_timeout.0,
            log_query: logs.log_query,
            log_level: level(logs.log_level.unwrap_or(if logs.quiet { LogLevel::Error } else { LogLevel::Warn })),
            quiet: logs.quiet,
            explain_memory: sizes.explain_memory,
            instead,
            access_log: log_file(logs)?,
        })
    }
}

fn names(forwarding: &Forwarding, deadlines: &Deadlines) -> Names {
    let prefer = match forwarding.prefer {
        FamilyArg::Ipv4 => Family::Ipv4,
        FamilyArg::Ipv6 => Family::Ipv6,
    };
    let mut names = Names::default();
    names.servers.clone_from(&forwarding.dns_server);
    names.timeout = deadlines.dns_timeout.map(|timeout| timeout.0);
    names.prefer = prefer;
    names
}

/// The addresses to listen on, each once, and none that is open to others by accident.
fn listen(args: &Args) -> Result<Vec<Listen>, String> {
    let listen = match (args.listening.listen.as_slice(), args.listening.port.unwrap_or(DEFAULT_PORT)) {
        ([], port) => vec![Listen::Address(([127, 0, 0, 1], port).into())],
        (given, _) => given.to_vec(),
    };
    let mut seen = Vec::new();
    for address in listen.iter().flat_map(|listen| listen.addresses()) {
        if address.port() != 0 && seen.contains(&address) {
            return Err(format!(
                "--listen {address} is given twice (localhost is both 127.0.0.1 and [::1]); give it once"
            ));
        }
        seen.push(address);
        closed_or_deliberate(address, &args.access)?;
    }
    Ok(listen)
}

fn closed_or_deliberate(address: std::net::SocketAddr, access: &Access) -> Result<(), String> {
    if address.ip().to_canonical().is_loopback() || !access.allow_client.is_empty() {
        return Ok(());
    }
    let example = if address.is_ipv4() { "192.168.0.0/16" } else { "fd00::/8" };
    Err(format!(
        "--listen {address} can be reached by other machines; say which of them may use the proxy \
         with --allow-client, for example --allow-client {example}, or with clients = [\"{example}\"] in the file of --config"
    ))
}

/// The reverse proxy, if it is to be one.
fn reverse(forwarding: &Forwarding) -> Result<Option<Reverse>, String> {
    if forwarding.reverse.is_empty() {
        return Ok(None);
    }
    let mut reverse = Reverse::new()
        .keep_host(forwarding.reverse_keep_host)
        .keep_encoded_slashes(forwarding.reverse_keep_encoded_slash)
        .keep_underscores(forwarding.underscore_fields == KeepArg::Keep)
        .x_forwarded(forwarded_fields(forwarding.x_forwarded))
        .forwarded(forwarded_fields(forwarding.forwarded));
    for Mount { prefix, origin } in &forwarding.reverse {
        reverse = reverse.mount(prefix, origin).map_err(|error| format!("--reverse {prefix}={origin}: {error}"))?;
    }
    Ok(Some(reverse))
}

/// The clients of the files, unless flags name some.
fn clients(access: &mut Access, egress: &Egress) -> Result<(), String> {
    if !access.allow_destination.is_empty() {
        return Err(
            "--allow-destination cannot be used with --config; write private = [\"10.4.0.7:5432\"] in the file"
                .to_owned(),
        );
    }
    if !access.deny_destination.is_empty() {
        return Err(
            "--deny-destination cannot be used with --config; write deny = [\"10.0.0.0/8\"] in the file".to_owned()
        );
    }
    if access.allow_client.is_empty() {
        access.allow_client = egress.rules().clients().unwrap_or_default().to_vec();
    }
    Ok(())
}

fn rules(access: Access) -> Rules {
    let denied = access.deny_destination.into_iter().flat_map(|ranges| ranges.0).collect();
    let ranges = Ranges { allowed: access.allow_destination, denied, guards_all: access.guard };
    Rules::new(access.allow_client, ranges)
}

fn forwarded_fields(fields: ForwardedFieldsArg) -> ForwardedFields {
    match fields {
        ForwardedFieldsArg::Replace => ForwardedFields::Replace,
        ForwardedFieldsArg::Append => ForwardedFields::Append,
        ForwardedFieldsArg::Remove => ForwardedFields::Remove,
        ForwardedFieldsArg::Keep => ForwardedFields::Keep,
    }
}

fn limits(sizes: &Sizes, deadlines: &Deadlines, client_fin: ClientFin) -> Limits {
    let mut limits = Limits::default();
    limits.client_buffer = sizes.client_buffer.bytes();
    limits.origin_buffer = sizes.origin_buffer.bytes();
    limits.head.bytes = sizes.max_head.bytes();
    limits.head.fields = sizes.max_fields;
    limits.response_head.bytes = sizes.max_response_head.bytes();
    limits.response_head.fields = sizes.max_response_fields;
    limits.max_memory = sizes.max_memory.map(Size::bytes);
    limits.splice_memory = sizes.splice_memory.bytes();
    limits.memory_timeout = deadlines.memory_timeout.0;
    limits.client_fin = client_fin;
    limits.head_timeout = deadlines.head_timeout.0;
    limits.idle_timeout = deadlines.idle_timeout.0;
    limits.origin_idle_timeout = deadlines.origin_idle_timeout.0;
    limits.tcp_keepalive = deadlines.tcp_keepalive.0;
    limits.tcp_user_timeout = deadlines.tcp_user_timeout.0;
    limits.connect_timeout = deadlines.connect_timeout.0;
    limits.response_timeout = deadlines.response_timeout.0;
    limits.body_timeout = deadlines.body_timeout.0;
    limits.tunnel_idle_timeout = deadlines.tunnel_idle_timeout.0;
    limits.half_closed_timeout = deadlines.half_closed_timeout.0;
    limits.linger_timeout = deadlines.linger_timeout.0;
    limits.linger_bytes = sizes.linger_bytes.0;
    limits.abort_timeout = deadlines.abort_timeout.0;
    limits.max_unsent = sizes.max_unsent.0;
    limits.setting_name = flag;
    limits.sockets = SocketBuffers {
        client_send: sizes.client_send_buffer,
        client_receive: sizes.client_receive_buffer,
        origin_send: sizes.origin_send_buffer,
        origin_receive: sizes.origin_receive_buffer,
    };
    limits
}

/// What is wrong with a limit, told of its flag.
fn of_flag(error: &LimitError) -> String {
    let LimitError { name, value, .. } = error;
    let rule = match *name {
        "max_memory" => "at least what one connection may hold (--explain-memory says how much)",
        _ => error.rule,
    };
    format!("{} is {value}; it must be {rule}", flag(name))
}

/// The flag that sets the field of [`Limits`] with this name.
fn flag(field: &'static str) -> Cow<'static, str> {
    Cow::Borrowed(match field {
        "head.bytes" => "--max-head",
        "head.fields" => "--max-fields",
        "response_head.bytes" => "--max-response-head",
        "response_head.fields" => "--max-response-fields",
        "names.timeout" => "--dns-timeout",
        "upgrades" => "--upgrade",
        _ => return format!("--{}", field.replace('_', "-")).into(),
    })
}

fn log_file(logs: Logs) -> Result<Option<LogFile>, String> {
    match (logs.access_log, logs.access_log_format) {
        (Some(path), _) if path.as_os_str().is_empty() => {
            Err("--access-log names no file; write --access-log FILE, or --access-log - for the standard output"
                .to_owned())
        }
        (Some(path), format) => Ok(Some(LogFile { path, format: format.unwrap_or(LogFormat::Combined) })),
        (None, Some(_)) => Err("--access-log-format needs --access-log FILE, or --access-log -".to_owned()),
        (None, None) => Ok(None),
    }
}

fn level(level: LogLevel) -> LevelFilter {
    match level {
        LogLevel::Off => LevelFilter::OFF,
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Trace => LevelFilter::TRACE,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits_of(flags: &[&str]) -> Limits {
        let arguments = std::iter::once("sluicegate").chain(flags.iter().copied());
        Config::new(Args::read(arguments.map(Into::into)).unwrap(), None).unwrap().limits
    }

    #[test]
    fn whom_to_ask_for_names() {
        assert_eq!(limits_of(&[]).names, Names::default());
        let names =
            limits_of(&["--dns-server=10.0.0.53", "--dns-server=[::1]:5353", "--dns-timeout=2s", "--prefer=ipv4"])
                .names;
        let servers = ["10.0.0.53:53", "[::1]:5353"].map(|server| server.parse().unwrap()).to_vec();
        assert_eq!((names.servers, names.timeout, names.prefer), (servers, Some(Duration::from_secs(2)), Family::Ipv4));
    }

    /// Whoever adds a rule about a limit and calls its flag otherwise is told here.
    #[test]
    fn a_limit_out_of_its_bounds_is_told_of_its_flag() {
        type Break = fn(&mut Limits);
        let broken: [Break; 20] = [
            |limits| limits.client_buffer = 0,
            |limits| limits.origin_buffer = 0,
            |limits| limits.head.bytes = 0,
            |limits| limits.head.fields = 0,
            |limits| limits.response_head.bytes = 0,
            |limits| limits.response_head.fields = 0,
            |limits| limits.max_connections = 0,
            |limits| limits.max_connections_per_client = Some(0),
            |limits| limits.max_memory = Some(0),
            |limits| limits.tcp_keepalive = Some(Duration::ZERO),
            |limits| limits.head_timeout = Some(Duration::ZERO),
            |limits| limits.idle_timeout = Some(Duration::ZERO),
            |limits| limits.connect_timeout = Some(Duration::ZERO),
            |limits| limits.response_timeout = Some(Duration::ZERO),
            |limits| limits.body_timeout = Some(Duration::ZERO),
            |limits| limits.tunnel_idle_timeout = Some(Duration::ZERO),
            |limits| limits.half_closed_timeout = Some(Duration::ZERO),
            |limits| limits.abort_timeout = Some(Duration::ZERO),
            |limits| limits.names.timeout = Some(Duration::ZERO),
            |limits| limits.tcp_user_timeout = Some(Duration::ZERO),
        ];
        let command = <Args as clap::CommandFactory>::command();
        let flags: Vec<_> = command.get_arguments().filter_map(clap::Arg::get_long).collect();
        for (place, make) in broken.into_iter().enumerate() {
            let mut limits = Limits::default();
            make(&mut limits);
            let error = limits.check().expect_err("it is out of its bounds");
            let told = of_flag(&error);
            let flag = told.split(' ').next().unwrap();
            assert!(flags.contains(&flag.trim_start_matches('-')), "{place}: {told}");
        }
    }

    #[test]
    fn what_is_asked_of_the_kernel() {
        let SocketBuffers { client_send, client_receive, origin_send, origin_receive } = limits_of(&[
            "--client-send-buffer=4KiB",
            "--client-receive-buffer=5KiB",
            "--origin-send-buffer=6KiB",
            "--origin-receive-buffer=7KiB",
        ])
        .sockets;
        let all = [client_send, client_receive, origin_send, origin_receive];
        assert_eq!(all, [4096, 5120, 6144, 7168].map(Some));
        assert_eq!(limits_of(&[]).sockets, SocketBuffers::default());
        assert_eq!(limits_of(&["--max-unsent=32KiB"]).max_unsent, Some(32_768));
        assert_eq!(limits_of(&["--max-unsent=off"]).max_unsent, None);
        assert_eq!(limits_of(&[]).max_unsent, Limits::default().max_unsent);
    }
}
