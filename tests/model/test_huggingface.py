"""An exported head is a model of transformers that answers as the bundle: by itself, with any tokenizer."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from huggingface_hub import ModelCard

from model.bundle.card import Precision
from model.bundle.reader import Bundle
from model.errors import BadInput
from model.export.hub.huggingface import export_bundle
from model.export.hub.model_card import About, Measured, licence_of
from model.export.package import write_manifest
from tests.support.tiny_encoder import make_tiny_backbone
from tests.support.tiny_models import make_tiny_bundles, make_tiny_fitted
from tests.support.tokenizer_kinds import KINDS

ABOUT = About(
    project="tiny",
    version=7,
    outcome="pass",
    test={"topic": Measured(metric="accuracy", value=0.91237, lower=0.88, rows=60)},
)
TEXTS = ["sun rain tea", "  tea\r\ncafe\u0301 fox ", "cat " * 40, "fox", "🙂 ! ok", "e\u0301\u0323"]
BY_ITSELF = """
import json, sys
from transformers import pipeline
classify = pipeline("text-classification", sys.argv[1], top_k=None)
texts = json.loads(sys.argv[2])
alone = classify(texts, truncation=True)
batch = classify(texts, truncation=True, batch_size=4)
answers = [[{one["label"]: one["score"] for one in row} for row in rows] for rows in (alone, batch)]
assert not {"model", "release", "headgate"} & set(sys.modules)
config = classify.model.config
print(json.dumps([*answers, getattr(config, "thresholds", None), config.problem_type]))
"""


@pytest.fixture(scope="module")
def exported(tiny_bundles: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("exported") / "tiny"
    export_bundle(tiny_bundles["float32"], out, ABOUT)
    return out


@pytest.mark.slow
def test_the_pipeline_loads_it_without_this_project_and_answers_the_same(
    exported: Path, tiny_bundles: dict[str, Path], tmp_path: Path
) -> None:
    """In another process, elsewhere, alone and in batches with padding."""
    bundle = Bundle.load(tiny_bundles["float32"], threads=1)
    expected = bundle.probabilities(TEXTS)
    for head, card in bundle.card.heads.items():
        asked = [sys.executable, "-P", "-c", BY_ITSELF, str(exported / head), json.dumps(TEXTS)]
        environment = {**os.environ, "PYTHONPATH": "", "HF_HUB_OFFLINE": "1"}
        done = subprocess.run(
            asked, capture_output=True, text=True, cwd=tmp_path, env=environment, check=False
        )
        assert done.returncode == 0, done.stderr
        *answers, thresholds, problem = json.loads(done.stdout.splitlines()[-1])
        for rows in answers:
            seen = np.array([[row[label] for label in card.labels] for row in rows])
            assert np.abs(seen - expected[head]).max() < 1e-4
        kinds = {"multiclass": "single_label_classification", "multilabel": "multi_label_classification"}
        assert problem == kinds[card.kind]
        wanted = None if card.thresholds is None else dict(zip(card.labels, card.thresholds, strict=True))
        assert thresholds == wanted


def test_an_eight_bit_bundle_is_exported_with_the_weights_that_ship(
    tiny_bundles: dict[str, Path], tmp_path: Path
) -> None:
    for one in export_bundle(tiny_bundles["int8"], tmp_path / "out", ABOUT):
        assert 0 < one.difference < 0.01
        assert (one.folder / "model.safetensors").is_file()
        assert not list(one.folder.glob("*.py"))


def test_its_card_holds_what_the_hub_shows_and_what_one_has_to_know(exported: Path) -> None:
    card = ModelCard.load(exported / "topic" / "README.md")
    result = card.data.eval_results[0]
    assert (result.metric_type, result.metric_value, result.dataset_split) == ("accuracy", 0.9124, "test")
    assert card.data.pipeline_tag == "text-classification"
    assert card.data.library_name == "transformers"
    for sentence in ("surely more than 0.8800", "Version 7", "half precision", "look it up", "**pass**"):
        assert sentence in card.text
    assert "applies from its own threshold" not in card.text
    assert "| sun | 0.4000 |" in (exported / "names" / "README.md").read_text()


def test_the_packaged_encoders_licence_is_known_and_a_strangers_is_not(tmp_path: Path) -> None:
    assert licence_of({"name": "offline"}) == "apache-2.0"
    assert licence_of({"name": str(tmp_path)}) is None
    (tmp_path / "README.md").write_text("---\nlanguage: en\nlicense: mit\n---\n# An encoder\n")
    assert licence_of({"name": str(tmp_path)}) == "mit"


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_tokenizer_reads_as_the_bundles(kind: str, tiny_rows: Path, tmp_path: Path) -> None:
    """Byte-level, SentencePiece's unigrams, word pieces and whole words; the golden texts are asked, too."""
    from transformers import AutoTokenizer

    backbone = make_tiny_backbone(tmp_path / "encoder", tokenizer=kind)
    fitted = make_tiny_fitted(tmp_path / "fitted", backbone)
    precision: Precision = "float32"
    bundle = make_tiny_bundles(tmp_path / "bundles", fitted, tiny_rows)[precision]
    heads = export_bundle(bundle, tmp_path / "out", ABOUT)
    tokenizer = AutoTokenizer.from_pretrained(heads[0].folder)
    expected = Bundle.load(bundle, threads=1).encode(TEXTS)
    seen = tokenizer(TEXTS, padding=True, truncation=True, return_tensors="np")
    assert np.array_equal(seen["input_ids"], expected.input_ids)
    assert np.array_equal(seen["attention_mask"], expected.attention_mask)


def test_a_bundle_that_does_not_say_how_it_is_built_is_refused(
    tiny_bundles: dict[str, Path], tmp_path: Path
) -> None:
    import shutil

    old = tmp_path / "old"
    shutil.copytree(tiny_bundles["float32"], old)
    card: Any = json.loads((old / "card.json").read_text())
    del card["provenance"]["network"]
    (old / "card.json").write_text(json.dumps(card))
    write_manifest(old)
    with pytest.raises(BadInput, match="retrain CONFIG --force"):
        export_bundle(old, tmp_path / "out", ABOUT)
    assert not (tmp_path / "out").exists()
