"""One graph for all models of an architecture: filled, it is the graph that tracing would give."""

from __future__ import annotations

from pathlib import Path

import torch

from model.bundle.reader import Bundle
from model.cache import CacheEntry
from model.export.graph import PARITY, architecture_key, export_graph
from model.export.package import package
from model.spec import PackageJob, PackageSpec
from model.train.network import MultiHeadNetwork, load_fitted

LABELS = {"topic": ("weather", "food", "animal"), "names": ("sun", "tea", "cat", "fox")}


def network(fitted: Path, seed: int | None = None) -> MultiHeadNetwork:
    made = load_fitted(fitted, attn_implementation="eager").network
    if seed is not None:
        torch.manual_seed(seed)
        with torch.no_grad():
            for parameter in made.parameters():
                parameter.add_(0.1 * torch.randn(parameter.shape))
    return made


def test_filled_graphs_are_the_traced_ones(tiny_fitted: Path, tmp_path: Path) -> None:
    kept, made = CacheEntry(tmp_path / "graphs" / "key"), {}
    for seed in (None, 1, 2):
        model = network(tiny_fitted, seed)
        filled = export_graph(model, LABELS, max_length=16, scratch=tmp_path, template=kept)
        assert filled.fused and filled.difference <= PARITY
        made = made or {file: file.read_bytes() for file in kept.folder.iterdir()}
        assert {file: file.read_bytes() for file in kept.folder.iterdir()} == made, "made once for all"
        if seed is not None:  # before, some parameters are equal, and tracing merges them
            fresh = export_graph(model, LABELS, max_length=16, scratch=tmp_path)
            assert filled.model.SerializeToString() == fresh.model.SerializeToString()
    assert sum(map(len, made.values())) < 100_000, "no weights are kept"


def test_a_template_of_something_else_is_not_used(tiny_fitted: Path, tmp_path: Path) -> None:
    """Parity is looked at for each model: where the kept graph answers otherwise, the model is traced."""
    kept, other = CacheEntry(tmp_path / "graphs" / "key"), network(tiny_fitted)
    for module in other.modules():
        if isinstance(module, torch.nn.LayerNorm):
            module.eps = 0.5
    export_graph(other, LABELS, max_length=16, scratch=tmp_path, template=kept)
    model = network(tiny_fitted, 3)
    found = export_graph(model, LABELS, max_length=16, scratch=tmp_path, template=kept)
    fresh = export_graph(model, LABELS, max_length=16, scratch=tmp_path)
    assert found.difference <= PARITY
    assert found.model.SerializeToString() == fresh.model.SerializeToString()


def test_an_architecture_whose_parameters_are_not_all_found_is_traced(
    tiny_fitted: Path, tmp_path: Path
) -> None:
    kept, model = CacheEntry(tmp_path / "graphs" / "key"), network(tiny_fitted)
    model.register_parameter("unused", torch.nn.Parameter(torch.ones(3)))
    for _ in range(2):
        found = export_graph(model, LABELS, max_length=16, scratch=tmp_path, template=kept)
        assert found.fused and found.difference <= PARITY
    assert kept.complete, "that it is not possible is kept, too"


def test_the_key_names_what_the_graph_depends_on(tiny_fitted: Path) -> None:
    said = load_fitted(tiny_fitted).description
    same = {**said, "max_length": 9, "heads": {n: {**h, "weight": 2.0} for n, h in said["heads"].items()}}
    assert architecture_key(same) == architecture_key(said)
    wider = {**said["heads"]["topic"], "labels": [*said["heads"]["topic"]["labels"], "more"]}
    for other in (
        {**said, "pooling": "cls"},
        {**said, "encoder": {**said["encoder"], "num_attention_heads": 1}},
        {**said, "heads": {**said["heads"], "topic": wider}},
        {**said, "heads": dict(reversed(said["heads"].items()))},
    ):
        assert architecture_key(other) != architecture_key(said)


def test_two_bundles_of_one_model_are_the_same(tiny_fitted: Path, tmp_path: Path) -> None:
    """Bit by bit; and without rows nothing is measured."""
    made = []
    for _ in range(2):  # the first makes the template
        job = PackageJob(
            fitted=tiny_fitted,
            out=tmp_path / "bundle",
            name="x",
            rows=None,
            graphs=tmp_path / "graphs",
            package=PackageSpec(precision="int8"),
            threads=1,
        )
        made.append(package(job).digest)
    assert len(set(made)) == 1
    assert Bundle.load(tmp_path / "bundle", threads=1).card.metrics == {}
