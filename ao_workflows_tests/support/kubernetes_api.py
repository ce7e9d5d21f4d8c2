"""A small Kubernetes API over HTTP: it takes what is right by Kubernetes' own schemas, keeps it, and gives it back.

What belongs here: what kubectl and dagster-k8s ask of a cluster for creating, looking and deleting. What does not:
doing what an object says; a Job ends when a test says so.
"""

from __future__ import annotations

import functools
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import kubernetes_validate
import yaml

VERSION = "1.37"
"""Of Kubernetes. Within a version of an API (v1 of apps, of batch) nothing is taken away, so that the newest serves."""

NOW = "2026-11-21T06:32:44Z"

KINDS = {
    "v1": {
        "namespaces": "Namespace",
        "configmaps": "ConfigMap",
        "secrets": "Secret",
        "services": "Service",
        "serviceaccounts": "ServiceAccount",
        "persistentvolumeclaims": "PersistentVolumeClaim",
        "pods": "Pod",
        "events": "Event",
    },
    "apps/v1": {"deployments": "Deployment"},
    "batch/v1": {"jobs": "Job"},
    "networking.k8s.io/v1": {"networkpolicies": "NetworkPolicy"},
    "rbac.authorization.k8s.io/v1": {"roles": "Role", "rolebindings": "RoleBinding"},
}
_PATH = re.compile(
    r"/apis?/(?P<api>v1|[a-z0-9.]+/v1)(?:/namespaces/(?P<namespace>[a-z0-9-]+)(?=/))?/(?P<plural>[a-z]+)"
    r"(?:/(?P<name>[a-z0-9.-]+))?(?:/(?P<sub>[a-z]+))?"
)


class KubernetesApi:
    """The server, and what it keeps: ``objects`` by kind, namespace and name. ``asked`` has every request's method and
    path; a request whose method and path end as in ``refused`` gets that status.
    """

    def __init__(self) -> None:
        self.objects: dict[tuple[str, str, str], dict[str, Any]] = {}
        self.asked: list[tuple[str, str]] = []
        self.refused: dict[tuple[str, str], int] = {}
        api = self

        class Handler(_Handler):
            cluster = api

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}"
        # Each check reads a megabyte of definitions again otherwise.
        self._schemas = kubernetes_validate.utils.schema_contents
        kubernetes_validate.utils.schema_contents = functools.cache(self._schemas)

    def close(self) -> None:
        self.http.shutdown()
        self.http.server_close()
        kubernetes_validate.utils.schema_contents = self._schemas

    def write_kubeconfig(self, path: Path) -> Path:
        """What kubectl and Kubernetes' Python client read to find the server."""
        cluster = {"name": "c", "cluster": {"server": self.url}}
        context = {"name": "c", "context": {"cluster": "c", "user": "c"}}
        config = {"apiVersion": "v1", "kind": "Config", "clusters": [cluster], "contexts": [context]}
        path.write_text(yaml.safe_dump(config | {"users": [{"name": "c", "user": {}}], "current-context": "c"}))
        return path

    def of(self, kind: str) -> dict[str, dict[str, Any]]:
        """The objects of a kind, by name."""
        return {name: each for (its, _, name), each in self.objects.items() if its == kind}

    def answer(self, method: str, path: str, body: dict[str, Any] | None) -> tuple[int, dict[str, Any]]:
        """The status and the body of an answer."""
        self.asked.append((method, path))
        if refusal := next(
            (self.refused[way] for way in self.refused if method == way[0] and path.endswith(way[1])), 0
        ):
            return _status(refusal, "refused by the test")
        if (found := _discovery(path)) is not None:
            return 200, found
        match = _PATH.fullmatch(path)
        kind = KINDS.get(match["api"], {}).get(match["plural"]) if match else None
        if match is None or kind is None:
            return _status(404, f"there is no {path}")
        if match["name"] is None:
            return self._create(match, kind, body) if method == "POST" else self._list(match, kind)
        key = (kind, match["namespace"] or "", match["name"])
        if key not in self.objects:
            return _status(404, f"{kind} {match['name']} not found")
        return (200, self.objects.pop(key)) if method == "DELETE" else (200, self.objects[key])

    def _create(self, match: re.Match[str], kind: str, body: dict[str, Any] | None) -> tuple[int, dict[str, Any]]:
        assert body is not None
        namespace, name = match["namespace"] or "", body["metadata"]["name"]
        if namespace and namespace not in self.of("Namespace"):
            return _status(404, f"namespaces {namespace!r} not found")
        if (kind, namespace, name) in self.objects:
            return _status(409, f"{kind} {name} already exists")
        try:
            kubernetes_validate.validate(body, VERSION, strict=True)
        except kubernetes_validate.ValidationError as error:
            return _status(422, f"{kind} {name}: {'.'.join(map(str, error.absolute_path))}: {error.message}")
        body["metadata"] |= {"creationTimestamp": NOW} | ({"namespace": namespace} if namespace else {})
        if kind == "Job":
            body["status"] = {"active": 1, "startTime": NOW}
        self.objects[kind, namespace, name] = body
        return 201, body

    def _list(self, match: re.Match[str], kind: str) -> tuple[int, dict[str, Any]]:
        items = [
            each
            for (its, namespace, _), each in sorted(self.objects.items())
            if its == kind and namespace == (match["namespace"] or namespace)
        ]
        return 200, {"kind": f"{kind}List", "apiVersion": match["api"], "metadata": {}, "items": items}


def _discovery(path: str) -> dict[str, Any] | None:
    """What kubectl asks first: which kinds there are."""
    if path == "/version":
        return {"major": "1", "minor": VERSION.partition(".")[2], "gitVersion": f"v{VERSION}.0"}
    if path == "/api":
        return {"kind": "APIVersions", "versions": ["v1"]}
    if path == "/apis":
        groups = []
        for api in KINDS.keys() - {"v1"}:
            version = {"groupVersion": api, "version": "v1"}
            groups.append({"name": api.partition("/")[0], "versions": [version], "preferredVersion": version})
        return {"kind": "APIGroupList", "apiVersion": "v1", "groups": groups}
    api = re.sub("^/apis?/", "", path)
    if api not in KINDS:
        return None
    verbs = ["create", "delete", "get", "list", "patch"]
    resources = [
        {"name": plural, "singularName": "", "namespaced": plural != "namespaces", "kind": kind, "verbs": verbs}
        for plural, kind in KINDS[api].items()
    ]
    return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": api, "resources": resources}


def _status(code: int, message: str) -> tuple[int, dict[str, Any]]:
    reason = {404: "NotFound", 409: "AlreadyExists", 403: "Forbidden"}.get(code, "Invalid")
    return code, {
        "kind": "Status",
        "apiVersion": "v1",
        "status": "Failure",
        "code": code,
        "reason": reason,
        "message": message,
    }


class _Handler(BaseHTTPRequestHandler):
    cluster: KubernetesApi

    def log_message(self, *_: object) -> None:
        """Says nothing."""

    def _answer(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        body = json.loads(self.rfile.read(length)) if length else None
        status, answer = self.cluster.answer(self.command, self.path.partition("?")[0], body)
        said = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(said)))
        self.end_headers()
        self.wfile.write(said)

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    def do_DELETE(self) -> None:
        self._answer()


@contextmanager
def serving() -> Iterator[KubernetesApi]:
    """The server, for as long as the block."""
    api = KubernetesApi()
    thread = threading.Thread(target=api.http.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield api
    finally:
        api.close()
        thread.join()
