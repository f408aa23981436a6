"""The proxies, each with one worker and set up to do what sluicegate does: stream, keep connections, log nothing."""
import glob
import os
import subprocess

import machine

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(HERE)
TARGET = os.environ.get("CARGO_TARGET_DIR") or os.path.join(ROOT, "target")
LOAD = os.path.join(TARGET, "release", "sluicegate-bench")

HAPROXY = """
global
    nbthread 1
    maxconn 8000
    {log_to}
defaults
    timeout connect 5s
    timeout client 60s
    timeout server 60s
    timeout tunnel 60s
    {log}
listen http
    mode http
    bind 127.0.0.1:{port}
    {abort}
    http-reuse always
    server origin 127.0.0.1:{origin}
listen tunnel
    mode tcp
    bind 127.0.0.1:{tunnel}
    server origin 127.0.0.1:{origin}
"""

NGINX = """
daemon off;
{user}
worker_processes 1;
worker_rlimit_nofile 20000;
error_log {dir}/error.log crit;
pid {dir}/nginx.pid;
events {{ worker_connections 16000; }}
http {{
    {log}
    keepalive_requests 1000000000;
    keepalive_timeout 60s;
    client_max_body_size 0;
    client_body_temp_path {dir}/body;
    proxy_temp_path {dir}/proxy;
    fastcgi_temp_path {dir}/fastcgi;
    uwsgi_temp_path {dir}/uwsgi;
    scgi_temp_path {dir}/scgi;
    upstream origin {{
        server 127.0.0.1:{origin};
        keepalive 128;
        keepalive_requests 1000000000;
    }}
    server {{
        listen 127.0.0.1:{port} backlog=4096;
        location / {{
            proxy_pass http://origin;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_set_header Host $http_host;
            proxy_request_buffering off;
            # Buffers of the size of sluicegate's; nothing goes to disk.
            proxy_buffers 8 16k;
            proxy_max_temp_file_size 0;
        }}
    }}
}}
"""

SQUID = """
http_port 127.0.0.1:{port}
acl loopback src 127.0.0.0/8
http_access allow loopback
cache deny all
cache_mem 8 MB
workers 1
max_filedescriptors 20000
shutdown_lifetime 0 seconds
pid_filename {dir}/squid.pid
cache_log {dir}/cache.log
cache_store_log none
coredump_dir {dir}
pinger_enable off
{log}
"""

TINYPROXY = """
Port {port}
Listen 127.0.0.1
Allow 127.0.0.0/8
MaxClients 8000
Timeout 60
LogLevel Critical
LogFile "{dir}/tinyproxy.log"
PidFile "{dir}/tinyproxy.pid"
"""

TRAFFICSERVER = """
CONFIG proxy.config.http.server_ports STRING {port}:ip-in=127.0.0.1
CONFIG proxy.config.url_remap.remap_required INT 0
CONFIG proxy.config.reverse_proxy.enabled INT 0
CONFIG proxy.config.http.cache.http INT 0
CONFIG proxy.config.http.connect_ports STRING *
CONFIG proxy.config.exec_thread.autoconfig.enabled INT 0
CONFIG proxy.config.exec_thread.limit INT 1
CONFIG proxy.config.accept_threads INT 0
CONFIG proxy.config.task_threads INT 1
CONFIG proxy.config.http.insert_response_via_str INT 0
CONFIG proxy.config.log.logging_enabled INT {log}
CONFIG proxy.config.net.connections_throttle INT 16000
CONFIG proxy.config.http.keep_alive_no_activity_timeout_in INT 60
"""


class Peer:
    """One program. `can` says what of it is measured, and `why_not` why the rest is not."""

    name = program = package = ""
    tunnels = "connect"  # or "raw": connected to without CONNECT; or None
    keeps = True  # its clients' connections
    root = True  # may be started by root; if not, it is nobody's

    def __init__(self, path=None):
        self.path = path or machine.find(self.program)

    def why_not(self, scenario):
        if scenario.tunnel and not self.tunnels:
            return "has no CONNECT"
        if scenario.kept and not self.keeps:
            return "closes the connection after each request"
        return None

    def version(self):
        run = subprocess.run([self.path, self.version_flag], capture_output=True, text=True, timeout=10)
        lines = (run.stdout + run.stderr).strip().splitlines()
        return lines[0].split(" https")[0] if lines else "unknown"

    version_flag = "-v"

    def command(self, run):
        """The command line, with its files written to `run.dir`."""
        raise NotImplementedError

    def clean_up(self, run):
        """Removes what it leaves outside `run.dir`."""

    def port(self, run, scenario):
        return run.tunnel if self.tunnels == "raw" and scenario.tunnel else run.port


class Sluicegate(Peer):
    name = "sluicegate"
    version_flag = "--version"

    def command(self, run):
        log = ["--access-log", f"{run.dir}/access.log"] if run.log else []
        return [self.path, "--listen", f"127.0.0.1:{run.port}", "--workers", "1", *log]


class Haproxy(Peer):
    name = program = package = "haproxy"
    tunnels = "raw"

    def command(self, run):
        log_to, log = ("log stdout format raw local0", "log global\n    option httplog") if run.log else ("", "")
        abort = "option abortonclose" if run.scenario.name.startswith("gone") else ""
        config = run.write("haproxy.cfg", HAPROXY.format(
            port=run.port, tunnel=run.tunnel, origin=run.origin, log_to=log_to, log=log, abort=abort))
        return [self.path, "-db", "-f", config]


class Nginx(Peer):
    name = program = "nginx"
    package = "nginx-light"
    tunnels = None

    def command(self, run):
        # As root, nginx would change to a user that cannot read the temporary directory.
        user = "user root;" if os.geteuid() == 0 else ""
        log = f"access_log {run.dir}/access.log combined;" if run.log else "access_log off;"
        config = run.write("nginx.conf", NGINX.format(dir=run.dir, user=user, port=run.port, origin=run.origin, log=log))
        return [self.path, "-p", run.dir, "-c", config, "-e", f"{run.dir}/error.log"]


class Squid(Peer):
    name = program = package = "squid"
    root = False

    def command(self, run):
        log = f"access_log stdio:{run.dir}/access.log" if run.log else "access_log none"
        config = run.write("squid.conf", SQUID.format(dir=run.dir, port=run.port, log=log))
        # A name of its own for its shared memory, so that neither another squid nor an aborted run is in its way.
        return [self.path, "-N", "-d1", "-n", self.service(run), "-f", config]

    @staticmethod
    def service(run):
        return f"sluicegatebench{run.port}"

    def clean_up(self, run):
        for left in glob.glob(f"/dev/shm/{self.service(run)}-*"):
            os.remove(left)


class Tinyproxy(Peer):
    name = program = package = "tinyproxy"
    keeps = False

    def command(self, run):
        config = TINYPROXY.format(dir=run.dir, port=run.port)
        if run.log:
            config = config.replace("LogLevel Critical", "LogLevel Connect")
        return [self.path, "-d", "-c", run.write("tinyproxy.conf", config)]


class Trafficserver(Peer):
    name = package = "trafficserver"
    program = "traffic_server"
    root = False
    version_flag = "-V"

    def command(self, run):
        root = os.path.join(run.dir, "ats")
        for folder in ("etc", "cache", "log", "run"):
            os.makedirs(os.path.join(root, folder), exist_ok=True)
        run.write("ats/runroot.yaml", "".join(f"{key}: {root}/{folder}\n" for key, folder in (
            ("sysconfdir", "etc"), ("cachedir", "cache"), ("logdir", "log"), ("runtimedir", "run"),
            ("localstatedir", "run"), ("datadir", "etc"))) + "prefix: /usr\nbindir: /usr/bin\nsbindir: /usr/bin\n")
        run.write("ats/etc/ip_allow.yaml", "ip_allow:\n"
                  "- {apply: in, ip_addrs: 127.0.0.0/8, action: allow, methods: ALL}\n"
                  "- {apply: out, ip_addrs: 127.0.0.0/8, action: allow, methods: ALL}\n")
        run.write("ats/etc/storage.config", f"{root}/cache 32M\n")
        run.write("ats/etc/records.config", TRAFFICSERVER.format(port=run.port, log=3 if run.log else 0))
        return [self.path, f"--run-root={root}/runroot.yaml"]


class Relay(Peer):
    """The floor: a blind relay that copies."""

    name = "floor"
    tunnels = "raw"
    flags = ()

    def why_not(self, scenario):
        return "holds an origin connection for each client" if scenario.name == "idle" else None

    def version(self):
        return "blind relay of this repository"

    def command(self, run):
        return [self.path, "relay", "--listen", f"127.0.0.1:{run.port}", "--to", f"127.0.0.1:{run.origin}", *self.flags]

    def port(self, run, scenario):
        return run.port


class SpliceRelay(Relay):
    """The floor for bulk: a blind relay that lets the kernel move the bytes."""

    name = "floor-splice"
    flags = ("--splice",)


def all_peers(sluicegate):
    return [Sluicegate(sluicegate), Haproxy(), Nginx(), Squid(), Trafficserver(), Tinyproxy(), Relay(LOAD), SpliceRelay(LOAD)]
