"""A hub on this machine: it speaks as much of the real hub's protocol as clients need, and can fail like it."""

import hashlib
import http.server
import json
import re
import socket
import struct
import threading
import urllib.parse
from contextlib import contextmanager, suppress

COMMIT = hashlib.sha1(b"a commit").hexdigest()
POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n"
LARGE = (".parquet", ".safetensors")
"""Suffixes of files that Git LFS stores. They have another address, to which the hub redirects clients."""


class Hub(http.server.BaseHTTPRequestHandler):
    """Serves the repositories below `root`: {models,datasets}/{organisation}/{name}/…, and files: files/….

    It describes repositories named `gated…` to everyone, but sends their files only with the right token. For
    repositories named `enormous…`, it states file sizes that are a thousand million times too large.

    Attributes:
        halted: names of files; it stops in the middle of each until `released` is set.
        broken: by file name, how often it ends the connection in the middle of the file.
        resets: whether it ends the connection by a TCP reset.
        busy: by the last part of the path, how often it answers that there are too many requests.
        changed: by file name, what it sends instead of the file; it still states the checksum of the original file.
        down: whether it answers 503 to everything.
        ranges: whether it sends parts of files.
        given: names of files that it has sent.
        asked: (path, Range, Authorization) of every GET.
    """

    root = None

    def log_message(self, *_):
        pass

    def answer(self, status, body=b"", **headers):
        begin = 0
        asked = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        if asked and self.ranges and status == 200 and int(asked[1]) >= len(body):
            body, status = b"", 416
        elif asked and self.ranges and status == 200:
            begin, status = int(asked[1]), 206
            headers["Content-Range"] = f"bytes {begin}-{len(body) - 1}/{len(body)}"
            body = body[begin:]
        self.send_response(status)
        for name, value in {**headers, "Content-Length": len(body)}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command == "GET":
            with suppress(ConnectionError):  # the client may have been killed
                self.send(body)

    def send(self, body):
        name, half = self.path.rpartition("/")[2], len(body) // 2
        if name in self.halted:
            self.wfile.write(body[:half])
            self.wfile.flush()
            self.released.wait()
            body = body[half:]
        if self.broken.get(name):
            self.broken[name] -= 1
            self.wfile.write(body[:half])
            self.wfile.flush()
            if self.resets:
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                self.connection.close()
            self.close_connection = True
            return
        self.wfile.write(body)

    def do_GET(self):
        path = urllib.parse.unquote(urllib.parse.urlsplit(self.path).path).strip("/")
        if self.command == "GET":
            self.asked.append((path, self.headers.get("Range"), self.headers.get("Authorization")))
        last = path.rpartition("/")[2]
        if self.down:
            return self.answer(503)
        if self.busy.get(last):
            self.busy[last] -= 1
            return self.answer(429, Retry_After="0")
        if path.startswith(("cdn/", "files/")):
            return self.give(self.root / path.removeprefix("cdn/"))
        return self.as_hub(path.split("/"))

    do_HEAD = do_GET  # noqa: N815

    def as_hub(self, parts):
        token = self.headers.get("Authorization", "").removeprefix("Bearer ")
        if token == "expired":
            return self.answer(401, b"{}", X_Error_Message="Invalid credentials in Authorization header")
        asks, parts = parts[0] == "api", parts[parts[0] == "api" :]
        kind, parts = (parts[0], parts[1:]) if parts[0] in ("models", "datasets") else ("models", parts)
        name, question = "/".join(parts[:2]), parts[2:]
        if len(parts) < 2:  # a request about the hub itself, not about a repository
            return self.answer(404, b"{}")
        forbidden = parts[1].startswith("gated") and token != "welcome"
        if forbidden and question[0] in ("auth-check", "resolve"):
            return self.answer(403 if token else 401, b"{}", X_Error_Code="GatedRepo")
        if asks:
            return self.describe(kind, name, question)
        path = self.root / kind / name / "/".join(question[2:])  # organisation/name/resolve/commit/path
        if not path.is_file():
            return self.answer(404, X_Error_Code="EntryNotFound", X_Repo_Commit=COMMIT)
        if not path.name.endswith(LARGE):
            return self.give(path, ETag=f'"{blob(path)}"', X_Repo_Commit=COMMIT)
        stated = {"ETag": f'"{blob(path)}"', "X_Linked_ETag": f'"{sha256(path)}"', "X_Linked_Size": len(read(path))}
        # Another origin, like that of the real hub's CDN.
        address = f"http://localhost:{self.server.server_port}/cdn/{path.relative_to(self.root)}"
        return self.answer(302, Location=urllib.parse.quote(address, safe=":/"), X_Repo_Commit=COMMIT, **stated)

    def give(self, path, **headers):
        if not path.is_file():
            return self.answer(404)
        if self.command == "GET":
            self.given.append(path.name)
        return self.answer(200, self.changed.get(path.name, read(path)), **headers)

    def describe(self, kind, name, question):
        folder = self.root / kind / name
        if not folder.is_dir():
            return self.answer(404, b"{}", X_Error_Code="RepoNotFound")
        if question[0] == "auth-check":
            return self.answer(200, b"{}")
        if question[1] not in ("main", COMMIT):
            return self.answer(404, b"{}", X_Error_Code="RevisionNotFound")
        below = "/".join(question[2:])
        scale = 10**9 if folder.name.startswith("enormous") else 1
        files = {str(path.relative_to(folder)): path for path in sorted(folder.rglob("*")) if path.is_file()}
        wanted = {name: path for name, path in files.items() if name.startswith(below)}
        if question[0] == "tree":
            tree = [{"type": "file", "path": name, "size": scale * len(read(path)), "oid": blob(path)}
                    for name, path in wanted.items()]  # fmt: skip
            return self.answer(200, json.dumps(tree).encode())
        about = {
            "id": name,
            "sha": COMMIT,
            "gated": "manual" if folder.name.startswith("gated") else False,
            "siblings": [described(name, path, scale) for name, path in wanted.items()],
        }
        return self.answer(200, json.dumps(about).encode())


def read(path):
    return path.read_bytes()


def sha256(path):
    return hashlib.sha256(read(path)).hexdigest()


def blob(path):
    """The id under which Git stores a file."""
    return hashlib.sha1(f"blob {len(read(path))}\0".encode() + read(path)).hexdigest()


def described(name, path, scale):
    size = scale * len(read(path))
    stored = {"lfs": {"sha256": sha256(path), "size": size, "pointerSize": 100}} if name.endswith(LARGE) else {}
    return {"rfilename": name, "size": size, "blobId": blob(path), **stored}


@contextmanager
def serving(root):
    """Run a hub with the files below `root`; its `state` is the handler class, whose attributes a test may change."""
    state = {"root": root, "halted": set(), "released": threading.Event(), "broken": {}, "busy": {}, "changed": {},
             "down": False, "resets": False, "ranges": True, "given": [], "asked": []}  # fmt: skip
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), type("OurHub", (Hub,), state))
    server.daemon_threads = True
    server.state = server.RequestHandlerClass
    server.address = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server
    finally:
        server.shutdown()
