"""nginx as an origin: files and WebDAV over http and https, and TLS in front of origin.py."""
import os
from dataclasses import dataclass

from kit import accepts, eventually, free_port, last_words, run, spawn
from programs import program

CONFIG = """
daemon off;
{user}
worker_processes 1;
error_log {dir}/error.log;
pid {dir}/nginx.pid;
events {{ worker_connections 512; }}
http {{
    log_format served '$scheme $connection $connection_requests "$request" $status $http_via';
    access_log {dir}/access.log served;
    default_type application/octet-stream;
    types {{ text/plain txt; text/html html; }}
    client_body_temp_path {dir}/body;
    proxy_temp_path {dir}/proxy;
    fastcgi_temp_path {dir}/fastcgi;
    uwsgi_temp_path {dir}/uwsgi;
    scgi_temp_path {dir}/scgi;
    client_max_body_size 0;
    keepalive_requests 10000;
    server {{
        listen 127.0.0.1:{http};
        listen 127.0.0.1:{https} ssl;
        ssl_certificate {cert};
        ssl_certificate_key {key};
        root {dir}/www;
        location / {{ autoindex on; }}
        location /dav/ {{ dav_methods PUT DELETE; create_full_put_path on; }}
        location /behind/ {{
            proxy_pass {origin}/;
            proxy_http_version 1.1;
            proxy_buffering off;
            proxy_request_buffering off;
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection $http_connection;
        }}
    }}
}}
"""


@dataclass(frozen=True)
class Nginx:
    child: object
    http: str
    https: str
    www: str
    ca: str
    access_log: str

    def behind(self, path):
        """The https address of something that origin.py serves."""
        return f"{self.https}/behind{path}"


def start(lab):
    home = lab.path("nginx", directory=True)
    os.makedirs(f"{home}/www/dav", exist_ok=True)
    ca, cert, key = certificates(lab)
    http, https = free_port(), free_port()
    with open(f"{home}/nginx.conf", "w") as config:
        # As root, nginx would change to a user that cannot read the temporary directory.
        user = "user root;" if os.geteuid() == 0 else ""
        config.write(CONFIG.format(dir=home, user=user, http=http, https=https, cert=cert, key=key, origin=lab.origin))
    child = spawn([program("nginx"), "-p", home, "-c", f"{home}/nginx.conf", "-e", f"{home}/error.log"], env=lab.env)
    eventually(lambda: accepts(https) or child.poll() is not None, 10, "nginx does not listen")
    if child.poll() is not None:
        with open(f"{home}/error.log") as log:
            raise RuntimeError(f"nginx did not start: {last_words(log.read())}")
    return Nginx(child, f"http://127.0.0.1:{http}", f"https://127.0.0.1:{https}", f"{home}/www", ca, f"{home}/access.log")


def certificates(lab):
    """A certificate authority of our own and a certificate for loopback: (ca, certificate, key)."""
    tls = lab.path("tls", directory=True)
    ca, ca_key, cert, key = (f"{tls}/{name}" for name in ("ca.pem", "ca.key", "cert.pem", "key.pem"))
    new = [program("openssl"), "req", "-newkey", "rsa:2048", "-nodes"]
    run([*new, "-x509", "-days", "2", "-subj", "/CN=sluicegate test CA", "-keyout", ca_key, "-out", ca,
         "-addext", "keyUsage=critical,keyCertSign,cRLSign"], env=lab.env)
    run([*new, "-subj", "/CN=localhost", "-keyout", key, "-out", f"{tls}/request.pem"], env=lab.env)
    with open(f"{tls}/names.cnf", "w") as names:
        names.write("subjectAltName=DNS:localhost,IP:127.0.0.1\nauthorityKeyIdentifier=keyid\n")
    run([program("openssl"), "x509", "-req", "-in", f"{tls}/request.pem", "-CA", ca, "-CAkey", ca_key, "-CAcreateserial",
         "-days", "2", "-extfile", f"{tls}/names.cnf", "-out", cert], env=lab.env)
    return ca, cert, key
