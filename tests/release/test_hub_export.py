"""`headgate export`: the verified bundle of a version goes out, and onto the hub only where asked for."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest
from click.testing import CliRunner
from huggingface_hub import constants

from expectations.verdict import ApprovedVersion, Finding, Verdict
from flows.cli.commands import main
from model.files import file_sha256
from release.home import Home
from release.moves.promote import promote_version
from release.registry.register import register_version
from release.saved_settings import Settings, save_settings
from release.spec import RegistrySpec
from serving.spec import DeploySpec
from tests.support.tiny_models import tiny_backbone, tiny_bundles, tiny_fitted, tiny_rows
from tests.support.toy_release import toy_candidate

__all__ = ["tiny_backbone", "tiny_bundles", "tiny_fitted", "tiny_rows"]

VERDICT = Verdict(
    gate="release",
    findings=(
        Finding(
            subject="topic",
            outcome="pass",
            reason="as good as alone",
            figures={"metric": "accuracy", "shared": 0.9, "shared_lower": 0.85, "n": 60},
        ),
    ),
)


class Hub(BaseHTTPRequestHandler):
    """Takes repositories and commits as the hub does, small files within the request."""

    made: ClassVar[dict[str, Any]] = {}
    files: ClassVar[dict[str, bytes]] = {}

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.headers.get("Authorization") != "Bearer hf_token":
            return self._answer({"error": "no"}, 401)
        if self.path == "/api/repos/create":
            asked = json.loads(body)
            name = f"{asked['organization']}/{asked['name']}"
            self.made[name] = asked.get("private", asked.get("visibility"))
            return self._answer({"url": f"http://{self.headers['Host']}/{name}", "id": name})
        if "/preupload/" in self.path:
            return self._answer(
                {
                    "files": [
                        {"path": f["path"], "uploadMode": "regular", "shouldIgnore": False}
                        for f in json.loads(body)["files"]
                    ]
                }
            )
        if "/commit/" in self.path:
            repository = self.path.split("/api/models/")[1].split("/commit/")[0]
            for line in map(json.loads, body.splitlines()):
                if line["key"] == "file":
                    content = base64.b64decode(line["value"]["content"])
                    self.files[f"{repository}/{line['value']['path']}"] = content
            return self._answer(
                {
                    "commitUrl": f"http://{self.headers['Host']}/{repository}/commit/{'1' * 40}",
                    "commitOid": "1" * 40,
                }
            )
        return self._answer({"errors": [], "warnings": []})  # of the card's metadata

    def do_GET(self) -> None:
        self._answer({"id": "acme/tiny", "sha": "0" * 40, "siblings": []})

    def _answer(self, value: Any, status: int = 200) -> None:
        content = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Hub]]:
    Hub.made.clear()
    Hub.files.clear()
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{server.server_address[1]}")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setenv("HF_TOKEN", "hf_token")
    yield Hub
    server.shutdown()
    server.server_close()


@pytest.fixture
def registered(home: Home, tiny_bundles: dict[str, Path], tmp_path: Path, deploy_spec: DeploySpec) -> Home:
    """Project `tiny`, whose version 1 serves and whose version 2 is a candidate."""
    spec = RegistrySpec()
    save_settings(home, "tiny", Settings(registry=spec, deploy=deploy_spec))
    for seed, precision in ((1, "float32"), (2, "int8")):
        bundle = tiny_bundles[precision]
        digest = file_sha256(bundle / "manifest.json")
        made = replace(toy_candidate(tmp_path, seed), bundle=bundle, bundle_sha256=digest, verdict=VERDICT)
        register_version(home, "tiny", spec, made)
    first = tiny_bundles["float32"]
    digest = file_sha256(first / "manifest.json")
    approved = ApprovedVersion(name="tiny", version=1, bundle_sha256=digest, verdict=VERDICT)
    promote_version(home, "tiny", spec, approved, bundle=first)
    return home


def run(*arguments: object) -> Any:
    return CliRunner().invoke(main, [str(one) for one in arguments])


@pytest.mark.slow
def test_the_champion_or_a_named_version_is_exported_and_pushed_on_request(
    registered: Home, hub: type[Hub], tmp_path: Path
) -> None:
    home, out = registered.root, tmp_path / "out"
    done = run("export", "tiny", "--home", home, "--to", out)
    assert done.exit_code == 0, done.output
    assert "tiny version 1, 2 of 2 heads" in done.output
    assert {path.name for path in out.iterdir()} == {"topic", "names"}
    assert (
        "| test | accuracy | 0.9000 (surely more than 0.8500) | 60 |" in (out / "topic/README.md").read_text()
    )
    assert not hub.made and not hub.files, "nothing leaves the machine unasked"

    again = run("export", "tiny", "--home", home, "--to", out)
    assert again.exit_code == 2 and "expected an empty folder" in again.output

    pushed = run(
        "export", "tiny", "--home", home, "--version", 2, "--to", tmp_path / "2", "--push", "acme/tiny"
    )
    assert pushed.exit_code == 0, pushed.output
    assert set(hub.made) == {"acme/tiny-topic", "acme/tiny-names"}
    assert all(private in (True, "private") for private in hub.made.values())
    for head in ("topic", "names"):
        for file in (tmp_path / "2" / head).iterdir():
            assert hub.files[f"acme/tiny-{head}/{file.name}"] == file.read_bytes()


def test_where_nothing_serves_a_version_has_to_be_named(home: Home, tmp_path: Path) -> None:
    save_settings(home, "tiny", Settings())
    done = run("export", "tiny", "--home", home.root, "--to", tmp_path / "out")
    assert done.exit_code == 2 and "--version N" in " ".join(done.output.split())
    assert not (tmp_path / "out").exists()


def test_a_hub_that_refuses_is_said(hub: type[Hub], tmp_path: Path, monkeypatch: Any) -> None:
    from model.jobs.hub import PushFailed, push_folder

    monkeypatch.setenv("HF_TOKEN", "hf_another")
    (tmp_path / "one").mkdir()
    (tmp_path / "one" / "config.json").write_text("{}")
    with pytest.raises(PushFailed, match="HF_TOKEN"):
        push_folder(tmp_path / "one", "acme/tiny", message="tiny version 1")
    with pytest.raises(PushFailed, match="expected ORG/NAME"):
        push_folder(tmp_path / "one", "a b/c d", message="tiny version 1")
