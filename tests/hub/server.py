"""A small Hub on this machine: resolve with redirects and hashes, ranges, refusals, uploads, and faults on demand.

It speaks what huggingface_hub asks for, over real HTTP; `Hub.faults` breaks one file's transfer.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit

COMMIT = "a" * 40
TOKEN = "hf_right"


def git_hash(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


@dataclass
class Fault:
    """What goes wrong with one file; `times`: how often, then it works."""

    kind: str  # status, corrupt, cut, cut_then_down, stall, no_range, liar
    value: int = 0  # the status, or after how many bytes
    times: int = 1_000_000


@dataclass
class Hub:
    """Repositories and plain files in memory, and the log of what was asked."""

    repos: dict[str, dict[str, bytes]] = field(default_factory=dict)
    plain: dict[str, bytes] = field(default_factory=dict)
    gated: set[str] = field(default_factory=set)  # given only with the token
    faults: dict[str, Fault] = field(default_factory=dict)  # by file path or plain name
    small_bytes: int = 1000  # smaller files are no LFS files
    log: list[tuple[str, str, str, str]] = field(default_factory=list)  # method, path, range, authorization
    uploaded: dict[str, bytes] = field(default_factory=dict)  # LFS objects by hash
    url: str = ""
    cdn_url: str = ""  # where large files lie: another host, as with the real one
    slow_s: float = 0.0  # before a large file is sent

    def fault(self, name: str, *kinds: str) -> Fault | None:
        """The fault of a file if it is due, counted down."""
        found = self.faults.get(name)
        if found is None or found.kind not in kinds or found.times <= 0:
            return None
        found.times -= 1
        return found

    def bodies(self, part: str) -> list[tuple[str, str]]:
        """(path, range) of the GET requests whose path holds `part`."""
        return [(path, ranged) for method, path, ranged, _ in self.log if method == "GET" and part in path]


class Handler(BaseHTTPRequestHandler):
    hub: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, *args: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self._serve()

    def do_GET(self) -> None:
        self._serve()

    def do_PUT(self) -> None:
        body = self._body()
        self.hub.uploaded[hashlib.sha256(body).hexdigest()] = body
        self._note()
        self._answer(200)

    def do_POST(self) -> None:
        body = self._body()
        self._note()
        self._api_post(urlsplit(self.path).path, body)

    def _note(self) -> None:
        headers = (self.headers.get("Range", ""), self.headers.get("Authorization", ""))
        self.hub.log.append((self.command, self.path, *headers))

    def _body(self) -> bytes:
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def _has_token(self) -> bool:
        return self.headers.get("Authorization") == f"Bearer {TOKEN}"

    def _answer(self, status: int, content: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        if "Content_Length" not in headers:
            self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def _json(self, value: object, status: int = 200) -> None:
        self._answer(status, json.dumps(value).encode(), Content_Type="application/json")

    def _serve(self) -> None:
        self._note()
        path = unquote(urlsplit(self.path).path)
        if found := re.fullmatch(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", path):
            self._resolve(*found.groups())
        elif found := re.fullmatch(r"/cdn/([^/]+/[^/]+)/(.+)", path):
            self._content(self.hub.repos[found[1]][found[2]], found[2])
        elif path.startswith("/plain/") and (name := path.removeprefix("/plain/")) in self.hub.plain:
            self._content(self.hub.plain[name], name, ETag='"no hash"')
        else:
            self._api_get(path)

    def _resolve(self, repo: str, revision: str, name: str) -> None:
        if fault := self.hub.fault(name, "status"):
            return self._answer(fault.value)
        if repo not in self.hub.repos:  # the Hub does not tell strangers what exists
            return self._answer(401, X_Error_Code="RepoNotFound")
        if repo in self.hub.gated and not self._has_token():
            return self._answer(401, X_Error_Code="GatedRepo")
        if revision not in ("main", COMMIT):
            return self._answer(404, X_Error_Code="RevisionNotFound")
        content = self.hub.repos[repo].get(name)
        if content is None:
            return self._answer(404, X_Error_Code="EntryNotFound", X_Repo_Commit=COMMIT)
        if len(content) < self.hub.small_bytes:
            return self._content(content, name, ETag=f'"{git_hash(content)}"', X_Repo_Commit=COMMIT)
        size = 10**18 if self.hub.fault(name, "liar") else len(content)
        return self._answer(
            302,
            X_Repo_Commit=COMMIT,
            X_Linked_ETag=f'"{hashlib.sha256(content).hexdigest()}"',
            X_Linked_Size=str(size),
            Location=f"{self.hub.cdn_url}/cdn/{repo}/{name}",
        )

    def _content(self, content: bytes, name: str, **headers: str) -> None:
        if fault := self.hub.fault(name, "down"):
            return self._answer(fault.value)
        if self.hub.fault(name, "corrupt"):
            content = content[:-1] + bytes([content[-1] ^ 1])
        start = 0
        ranged = self.headers.get("Range")
        if ranged and not self.hub.fault(name, "no_range"):
            start = int(re.fullmatch(r"bytes=(\d+)-", ranged)[1])
            headers["Content_Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
        rest = content[start:]
        fault = self.hub.fault(name, "cut", "cut_then_down", "stall") if self.command == "GET" else None
        if fault is None:
            time.sleep(self.hub.slow_s)
            return self._answer(206 if start else 200, rest, **headers)
        self._answer(206 if start else 200, rest[: fault.value], Content_Length=str(len(rest)), **headers)
        self.wfile.flush()
        if fault.kind == "stall":
            time.sleep(60)
        if fault.kind == "cut_then_down":
            self.hub.faults[name] = Fault("down", 503)
        self.close_connection = True

    def _api_get(self, path: str) -> None:
        if path == "/api/whoami-v2":
            if fault := self.hub.fault("whoami", "status"):
                return self._answer(fault.value)
            return self._json({"name": "ada", "type": "user"}) if self._has_token() else self._answer(401)
        if found := re.fullmatch(r"/api/models/([^/]+/[^/]+)", path):
            if found[1] in self.hub.repos:
                files = [{"rfilename": name} for name in self.hub.repos[found[1]]]
                return self._json({"id": found[1], "sha": COMMIT, "siblings": files, "private": False, "tags": []})
            return self._answer(404 if self._has_token() else 401, X_Error_Code="RepoNotFound")
        return self._answer(404)

    def _api_post(self, path: str, body: bytes) -> None:
        if not self._has_token():
            return self._answer(401)
        if path == "/api/repos/create":
            return self._create(json.loads(body))
        if path == "/api/validate-yaml":
            return self._json({"errors": [], "warnings": []})
        if found := re.fullmatch(r"/([^/]+/[^/]+)\.git/info/lfs/objects/batch", path):
            return self._lfs(json.loads(body))
        if found := re.fullmatch(r"/api/models/([^/]+/[^/]+)/(paths-info|preupload|commit)/main", path):
            return getattr(self, "_" + found[2].replace("-", "_"))(found[1], body)
        return self._answer(404)

    def _create(self, asked: dict) -> None:
        repo = f"{asked.get('organization') or 'ada'}/{asked['name']}"
        if repo in self.hub.repos:
            return self._json({"error": "exists", "url": f"{self.hub.url}/{repo}"}, 409)
        self.hub.repos[repo] = {}
        return self._json({"url": f"{self.hub.url}/{repo}", "id": repo, "name": repo})

    def _paths_info(self, repo: str, body: bytes) -> None:
        asked = parse_qs(body.decode())["paths"]  # the client sends a form here
        there = {name: content for name, content in self.hub.repos[repo].items() if name in asked}
        self._json([self._path(name, content) for name, content in there.items()])

    def _path(self, name: str, content: bytes) -> dict:
        facts = {"type": "file", "path": name, "size": len(content), "oid": git_hash(content)}
        if len(content) >= self.hub.small_bytes:
            oid = hashlib.sha256(content).hexdigest()
            facts["lfs"] = {"oid": oid, "size": len(content), "pointerSize": 134}
        return facts

    def _preupload(self, repo: str, body: bytes) -> None:
        files = [
            {
                "path": file["path"],
                "uploadMode": "lfs" if file["size"] >= self.hub.small_bytes else "regular",
                "shouldIgnore": False,
            }
            for file in json.loads(body)["files"]
        ]
        self._json({"files": files})

    def _lfs(self, asked: dict) -> None:
        objects = [
            {**each, "actions": {"upload": {"href": f"{self.hub.url}/upload/{each['oid']}"}}}
            for each in asked["objects"]
        ]
        self._json({"transfer": "basic", "objects": objects})

    def _commit(self, repo: str, body: bytes) -> None:
        for line in map(json.loads, body.splitlines()):
            if line["key"] == "file":
                self.hub.repos[repo][line["value"]["path"]] = base64.b64decode(line["value"]["content"])
            elif line["key"] == "lfsFile":
                self.hub.repos[repo][line["value"]["path"]] = self.hub.uploaded[line["value"]["oid"]]
        url = f"{self.hub.url}/{repo}/commit/{COMMIT}"
        self._json({"success": True, "commitOid": COMMIT, "commitUrl": url, "hookOutput": ""})


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        pass  # clients that are killed in a test


def start() -> tuple[Hub, Server]:
    """A Hub that answers at hub.url until the server is shut down."""
    hub = Hub()
    handler = type("BoundHandler", (Handler,), {"hub": hub})
    server = Server(("127.0.0.1", 0), handler)
    hub.url = f"http://127.0.0.1:{server.server_address[1]}"
    hub.cdn_url = hub.url.replace("127.0.0.1", "localhost")
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    return hub, server
