"""`--reverse` before origins that each read paths in their own way: what is mounted elsewhere is not reached through them."""
import functools
import http.server
import os
import re
import socket
import threading
import urllib.parse
import wsgiref.simple_server

from kit import accepts, check, equal, eventually, free_port, spawn, test
from programs import program

# Each says at /admin/x that it is reached where it must not be; all but that is nobody's secret.
SECRET, OTHER, MOUNTED = b"the first origin's own admin", b"something else", b"the mounted admin"

# Ways to write /admin/x, or what somebody may take for it, while something else is asked for.
SPELLINGS = """
/admin/x /admin//x //admin/x ///admin/x /%61dmin/x /%61%64%6d%69%6e/x /admi%6E/x /a%64min/%78 //%61dmin//x
/ADMIN/x /Admin/x /%41dmin/x /admin%2fx /admin%2Fx /%2fadmin/x /%2Fadmin/x %2fadmin/x /%2f%2fadmin/x /x%2f..%2fadmin/x
/./admin/x /x/../admin/x /x/./../admin/x /%2e/admin/x /x/%2e%2e/admin/x /x/.%2e/admin/x /x/%2E./admin/x /x/..%2fadmin/x
/x/..%5cadmin/x /x\\..\\admin/x /\\admin/x \\admin/x /%5cadmin/x /admin\\x /admin%5cx //x/admin/x //x//admin/x ///x/admin/x
/;/admin/x /;a=b/admin/x /admin;a=b/x /adm;in/x /x/..;/admin/x /x/..;a/admin/x /admin%3bx /admin%3Ba/x /admin%3fx /admin%3f/x
/admin%23/x /admin%20/x /%20admin/x /admin%00/x /%00/admin/x /admin%0a/x /ad%0amin/x /ad%09min/x /admin%0d%0a/x
/%2561dmin/x /%252fadmin/x /x/%252e%252e/admin/x /%25%361dmin/x /x/%c0%ae%c0%ae/admin/x /%c0%afadmin/x /%c1%a1dmin/x /%e0%81%a1dmin/x
/x/%e0%80%ae%e0%80%ae/admin/x /%u0061dmin/x /%u2215admin/x /%%361dmin/x /%6/admin/x /admin./x /admin/x/ /admin/x;a
http://x/admin/x http://x//admin/x http://x/%61dmin/x http:///admin/x /http://x/admin/x /x?/../admin/x /?/admin/x
""".split()


@test(limit=90, needs=("nginx", "node"))
def reverse_prefixes(lab):
    """Whoever may not enter a mounted prefix would enter it by writing it otherwise, through the origin of everything else."""
    check(len(SPELLINGS) >= 60, "too few spellings are tried")
    mounted = in_thread(http.server.ThreadingHTTPServer(("127.0.0.1", 0), saying(lambda path: MOUNTED)))
    origins = {"nginx": nginx(lab), "node": node(lab), "http.server": files(lab), "wsgiref": wsgi(), "handler": handler()}
    for name, port in origins.items():
        equal(f"{name}: what it has itself", ask(port, "/admin/x")[1], SECRET)
        flags = ["--reverse", f"/=127.0.0.1:{port}", "--reverse", f"/admin=127.0.0.1:{mounted}"]
        for more in ([], ["--reverse-keep-encoded-slash", "--underscore-fields", "keep"]):
            proxy = lab.start_proxy("--listen", "127.0.0.1:0", *flags, *more)
            for spelling in SPELLINGS:
                status, body = ask(proxy.port, spelling)
                check(SECRET not in body, f"{name}: {spelling} reaches what is mounted elsewhere (status {status})")
                check(status in (200, 400, 404), f"{name}: {spelling} is answered {status}: {body[:100]!r}")
            for spelling in ("/admin/x", "//admin/x", "/%61dmin/x", "http://x/%61dmi%6e//x"):
                equal(f"{name}: {spelling}", ask(proxy.port, spelling), (200, MOUNTED))
            for spelling in ("/%2fadmin/x", "/x/..;/admin/x", "/x\\..\\admin/x", "/%2561dmin/x", "/%u0061dmin/x"):
                equal(f"{name}: status of {spelling}", ask(proxy.port, spelling)[0], 400)


def ask(port, target):
    """(status, content): the target is sent as it is written here."""
    with socket.create_connection(("127.0.0.1", port), 10) as client:
        client.sendall(f"GET {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
        answer = b"".join(iter(lambda: client.recv(65536), b""))
    head, _, body = answer.partition(b"\r\n\r\n")
    status = re.match(rb"HTTP/1\.[01] (\d+)", head)
    check(status, f"{target} got no answer but {answer[:80]!r}")
    return int(status[1]), body


def in_thread(server):
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server.server_address[1]


def saying(what):
    """A handler whose content depends on the path as it came."""
    class Says(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            body = what(self.path)
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass
    return Says


def own(path):
    """What an origin has at a path that it has decoded and whose slashes it merges."""
    return SECRET if re.match(r"/+admin/+x", path) else OTHER


def handler():
    """As many applications on http.server do it: a URL is split, its path is decoded."""
    return in_thread(http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), saying(lambda target: own(urllib.parse.unquote(urllib.parse.urlsplit(target).path)))))


def files(lab):
    with open(lab.path("files", "admin", "x"), "wb") as file:
        file.write(SECRET)

    class Files(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass
    served = functools.partial(Files, directory=lab.path("files", directory=True))
    return in_thread(http.server.ThreadingHTTPServer(("127.0.0.1", 0), served))


def wsgi():
    def application(environ, start_response):
        start_response("200 OK", [])
        return [own(environ["PATH_INFO"])]

    class Quiet(wsgiref.simple_server.WSGIRequestHandler):
        def log_message(self, *_):
            pass
    return in_thread(wsgiref.simple_server.make_server("127.0.0.1", 0, application, handler_class=Quiet))


NODE = """
require('http').createServer((request, response) => {
  let path = '/';
  try { path = decodeURIComponent(new URL(request.url, 'http://127.0.0.1').pathname); } catch {}
  response.end(/^\\/+admin\\/+x/.test(path) ? '%s' : '%s');
}).listen(%d, '127.0.0.1');
"""


def node(lab):
    port = free_port()
    spawn([program("node"), "-e", NODE % (SECRET.decode().replace("'", "\\'"), OTHER.decode(), port)], env=lab.env)
    eventually(lambda: accepts(port), 10, "node does not listen")
    return port


NGINX = """
daemon off;
{user}
worker_processes 1;
error_log {dir}/error.log;
pid {dir}/nginx.pid;
events {{ worker_connections 64; }}
http {{
    access_log off;
    client_body_temp_path {dir}/body;
    proxy_temp_path {dir}/proxy;
    fastcgi_temp_path {dir}/fastcgi;
    uwsgi_temp_path {dir}/uwsgi;
    scgi_temp_path {dir}/scgi;
    server {{
        listen 127.0.0.1:{port};
        location /admin/x {{ return 200 "{secret}"; }}
        location / {{ return 200 "{other}"; }}
    }}
}}
"""


def nginx(lab):
    home, port = lab.path("nginx-reverse", directory=True), free_port()
    with open(f"{home}/nginx.conf", "w") as config:
        user = "user root;" if os.geteuid() == 0 else ""
        config.write(NGINX.format(dir=home, user=user, port=port, secret=SECRET.decode(), other=OTHER.decode()))
    spawn([program("nginx"), "-p", home, "-c", f"{home}/nginx.conf", "-e", f"{home}/error.log"], env=lab.env)
    eventually(lambda: accepts(port), 10, "nginx does not listen")
    return port
