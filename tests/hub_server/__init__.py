"""A stand-in for the Hugging Face hub on loopback: repositories in memory, no network."""

import base64
import hashlib
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

Files = dict[str, bytes]


@dataclass
class Repository:
    """Its branches, each with its commits."""

    private: bool = False
    gated: bool = False
    commits: dict[str, Files] = field(default_factory=dict)
    branches: dict[str, str] = field(default_factory=dict)
    message: str = ""

    def commit(self, branch: str, files: Files) -> str:
        there = self.commits.get(self.branches.get(branch, self.branches.get("main", "")), {})
        name = hashlib.sha1(repr((branch, len(self.commits))).encode()).hexdigest()
        self.commits[name] = {**there, **files}
        self.branches[branch] = name
        return name


@dataclass
class Hub:
    """Repositories, the token that may read them, and the requests made."""

    repositories: dict[str, Repository] = field(default_factory=dict)
    token: str = "hf_right"
    asked: list[str] = field(default_factory=list)
    address: str = ""


class Handler(BaseHTTPRequestHandler):
    hub: Hub

    def log_message(self, *_: Any) -> None:
        """Nothing."""

    def answer(self, code: int, content: bytes = b"", **headers: str) -> None:
        self.send_response(code)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        if "Content_Length" not in headers:
            self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def say(self, code: int, **found: Any) -> None:
        self.answer(code, json.dumps(found).encode(), Content_Type="application/json")

    def refuse(self, code: int, reason: str) -> None:
        self.answer(code, b"", X_Error_Code=reason, X_Error_Message=reason)

    @property
    def allowed(self) -> bool:
        return self.headers.get("Authorization") == f"Bearer {self.hub.token}"

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        self.hub.asked.append(f"{self.command} {self.path}")
        found = re.fullmatch(r"/(\w+/[\w.-]+)/resolve/([^/]+)/([\w.-]+)", self.path)
        if found is None:
            return self.describe()
        name, revision, file = found.groups()
        repository = self.hub.repositories.get(name)
        if repository is None or (repository.private and not self.allowed):
            return self.refuse(401, "RepoNotFound")
        if repository.gated and not self.allowed:
            return self.refuse(401, "GatedRepo")
        commit = repository.branches.get(revision, revision)
        if commit not in repository.commits:
            return self.refuse(404, "RevisionNotFound")
        content = repository.commits[commit].get(file)
        if content is None:
            return self.answer(404, X_Error_Code="EntryNotFound", X_Repo_Commit=commit)
        tag = f'"{hashlib.sha256(content).hexdigest()}"'
        return self.answer(200, content, ETag=tag, X_Repo_Commit=commit)

    def describe(self) -> None:
        """A repository's commit, or the files of it."""
        found = re.match(r"/api/models/(\w+/[\w.-]+)/(revision|tree)/(\w+)", self.path)
        if found is None:
            return self.answer(404)
        name, what, revision = found.groups()
        repository = self.hub.repositories.get(name)
        if repository is None:
            return self.refuse(401, "RepoNotFound")
        commit = repository.branches.get(revision, revision)
        files = [
            {"type": "file", "path": path, "size": len(content), "oid": path}
            for path, content in repository.commits[commit].items()
        ]
        if what == "tree":
            return self.answer(200, json.dumps(files).encode(), Content_Type="application/json")
        siblings = [{"rfilename": file["path"]} for file in files]
        return self.say(200, id=name, sha=commit, siblings=siblings)

    def do_POST(self) -> None:
        self.hub.asked.append(f"{self.command} {self.path}")
        sent = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        path = self.path.partition("?")[0]
        if path == "/api/validate-yaml":
            return self.say(200, errors=[], warnings=[])
        if not self.allowed:
            return self.refuse(401, "Unauthorized")
        if path == "/api/repos/create":
            return self.create(json.loads(sent))
        found = re.fullmatch(r"/api/models/(\w+/[\w.-]+)/(preupload|commit|branch)/([^/]+)", path)
        assert found is not None, path
        name, what, revision = found.groups()
        repository = self.hub.repositories[name]
        if what == "preupload":
            files = [
                {"path": file["path"], "uploadMode": "regular", "shouldIgnore": False}
                for file in json.loads(sent)["files"]
            ]
            return self.say(200, files=files)
        if what == "branch":
            repository.commit(revision, {})
            return self.answer(200)
        lines = [json.loads(line) for line in sent.splitlines()]
        header = next(line["value"] for line in lines if line["key"] == "header")
        repository.message = header["summary"]
        added = [line["value"] for line in lines if line["key"] == "file"]
        files = {file["path"]: base64.b64decode(file["content"]) for file in added}
        commit = repository.commit(revision, files)
        address = f"{self.hub.address}/{name}/commit/{commit}"
        return self.say(200, success=True, commitOid=commit, commitUrl=address, hookOutput="")

    def create(self, asked: dict[str, Any]) -> None:
        name = f"{asked['organization']}/{asked['name']}"
        address = f"{self.hub.address}/{name}"
        if name in self.hub.repositories:
            return self.say(409, error="You already created this model repo", url=address)
        private = asked.get("private", asked.get("visibility") == "private")
        self.hub.repositories[name] = Repository(private=private)
        return self.say(200, url=address, name=name)


@contextmanager
def serving() -> Iterator[Hub]:
    hub = Hub()
    handler = type("OfHub", (Handler,), {"hub": hub})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    hub.address = f"http://127.0.0.1:{server.server_address[1]}"
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
