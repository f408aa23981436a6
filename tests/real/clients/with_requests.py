"""requests through a proxy, as a program would use it: pages, a session, uploads and downloads as streams."""
import hashlib
import os
import sys

import requests

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from pattern import MIB, digest, digest_of, pattern  # noqa: E402

proxy, origin, secure_origin, file, secure_file, ca = sys.argv[1:]

with requests.Session() as session:
    session.trust_env = False
    session.proxies = {"http": proxy, "https": proxy}
    session.verify = ca

    for url in (file, secure_file):
        answer = session.get(url, timeout=20)
        answer.raise_for_status()
        assert hashlib.sha256(answer.content).hexdigest() == digest_of(3 * MIB), f"{url}: the body is not the file"

    for base in (origin, secure_origin):
        answer = session.post(base + "/upload", json={"parcel": 1}, timeout=20)
        assert answer.json()["bytes"] == 13, f"{base}: {answer.text}"

        answer = session.post(base + "/upload", data=pattern(20 * MIB), timeout=20)
        assert answer.json() == {"sha256": digest_of(20 * MIB), "bytes": 20 * MIB, "chunked": True}, f"{base}: {answer.text}"

        with session.get(base + f"/pattern?bytes={20 * MIB}&framing=chunked", stream=True, timeout=20) as answer:
            assert digest(answer.iter_content(65536)) == (digest_of(20 * MIB), 20 * MIB), f"{base}: the stream differs"

        assert session.get(base + "/no-such-page", timeout=20).status_code == 404
