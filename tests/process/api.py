"""The REST interface as a publisher's script would use it: requests and nothing of ours."""

import hashlib
import pathlib
import socket
import time
import urllib.parse

import requests

from programs import PATIENCE

TUS = {"Tus-Resumable": "1.0.0", "Content-Type": "application/offset+octet-stream"}


def sha256(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


def files_of(folder):
    """Every file of a checkpoint folder by its relative path."""
    folder = pathlib.Path(folder)
    return {f.relative_to(folder).as_posix(): f for f in sorted(folder.rglob("*")) if f.is_file()}


def begin_patch(api, url, offset, total):
    """A connection on which the server has agreed to take a PATCH of `total` bytes, and has none of them."""
    where = urllib.parse.urlsplit(url)
    connection = socket.create_connection((where.hostname, where.port), timeout=PATIENCE)
    head = (f"PATCH {where.path} HTTP/1.1\r\nHost: {where.netloc}\r\nAuthorization: Bearer {api.token}\r\n"
            f"Content-Type: application/offset+octet-stream\r\nTus-Resumable: 1.0.0\r\n"
            f"Upload-Offset: {offset}\r\nContent-Length: {total}\r\nExpect: 100-continue\r\n\r\n")
    connection.sendall(head.encode())
    agreed = connection.recv(4096)
    assert agreed == b"HTTP/1.1 100 Continue\r\n\r\n", agreed
    return connection


class Api:
    def __init__(self, url, token=None, verify=True):
        self.url = url
        self.token = token
        self.session = requests.Session()
        self.session.trust_env = False
        self.session.verify = verify
        if token:
            self.session.headers["Authorization"] = f"Bearer {token}"

    def call(self, method, path, expect=None, **options):
        """One request; `expect` is the status (or statuses) that it must answer."""
        options.setdefault("timeout", PATIENCE)
        response = self.session.request(method, urllib.parse.urljoin(self.url, path), **options)
        if expect is not None:
            statuses = expect if isinstance(expect, tuple) else (expect,)
            body = response.text[:800]
            assert response.status_code in statuses, f"{method} {path}: {response.status_code} {body}"
        return response

    def get(self, path, expect=200, **options):
        return self.call("GET", path, expect, **options)

    def json(self, path, **options):
        return self.get(path, **options).json()

    def post(self, path, body=None, expect=(200, 201, 202), **options):
        return self.call("POST", path, expect, json=body if body is not None else {}, **options)

    def put(self, path, body, expect=(200, 201), **options):
        return self.call("PUT", path, expect, json=body, **options)

    def delete(self, path, expect=204, **options):
        return self.call("DELETE", path, expect, **options)

    def problem(self, method, path, status, code=None, **options):
        """The problem that a refused request answers, checked for the fields each must have."""
        response = self.call(method, path, status, **options)
        assert response.headers["Content-Type"].startswith("application/problem+json")
        problem = response.json()
        assert problem["status"] == status
        assert problem["title"] and problem["detail"] and problem["type"]
        assert problem["request_id"]
        if code:
            assert problem["code"] == code, problem
        return problem

    def begin_upload(self, contents, digests=True):
        """Declares files, {path: bytes}; the upload resource."""
        files = [{"path": path, "size": len(data)} for path, data in contents.items()]
        if digests:
            for file, data in zip(files, contents.values()):
                file["sha256"] = sha256(data)
        return self.post("/v1/uploads", {"files": files}, 201).json()

    def upload(self, contents, digests=True):
        """Uploads {path: bytes} with PUT; the upload's id."""
        upload = self.begin_upload(contents, digests)
        for file in upload["files"]:
            self.call("PUT", file["url"], 200, data=contents[file["path"]])
        return upload["id"]

    def upload_folder(self, folder):
        return self.upload({path: file.read_bytes() for path, file in files_of(folder).items()})

    def push_base(self, name, folder):
        upload = self.upload_folder(folder)
        return self.post(f"/v1/bases/{name}", {"upload": upload}, 201).json()

    def create_version(self, model, upload, base, **options):
        """POST versions for `tenant/model`, not distilled unless options say so; the 202 answer."""
        body = {"upload": upload, "base": base, "method": "none", **options}
        return self.post(self.model_path(model) + "/versions", body, 202).json()

    def publish(self, model, folder, base="base", **options):
        """Uploads a fine-tune, waits for its job; the ready version's resource."""
        created = self.create_version(model, self.upload_folder(folder), base, **options)
        return self.wait_version(model, created["version"])

    def wait_version(self, model, version, state="ready", timeout=PATIENCE):
        deadline = time.monotonic() + timeout
        while True:
            resource = self.json(f"{self.model_path(model)}/versions/{version}")
            if resource["state"] == state:
                return resource
            assert resource["state"] in ("queued", "running"), resource
            assert time.monotonic() < deadline, f"{model}@{version} still {resource['state']}"
            time.sleep(0.05)

    def wait_job(self, job, timeout=PATIENCE):
        """The resource of a job that has ended, however it did."""
        deadline = time.monotonic() + timeout
        while True:
            resource = self.json(f"/v1/jobs/{job}")
            if resource["state"] in ("done", "failed", "cancelled"):
                return resource
            assert time.monotonic() < deadline, f"job {job} still {resource['state']}"
            time.sleep(0.05)

    def promote(self, model, version, alias="live", **options):
        return self.put(f"{self.model_path(model)}/aliases/{alias}", {"version": version}, **options)

    def create_token(self, role, *tenants):
        body = {"role": role}
        if role == "publisher":
            body["tenant"] = tenants[0]
        elif tenants:
            body["tenants"] = list(tenants)
        return self.post("/v1/admin/tokens", body, 201).json()["token"]

    def as_role(self, role, *tenants):
        """The same registry as another principal."""
        return Api(self.url, self.create_token(role, *tenants), self.session.verify)

    @staticmethod
    def model_path(model):
        tenant, name = model.split("/")
        return f"/v1/tenants/{tenant}/models/{name}"
