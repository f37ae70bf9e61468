"""One side of `benchmarks.train_speed`: train on a rows folder, print one line of JSON.

    python -m benchmarks.parts.train_speed_side SIDE ROWS OUT '{"epochs": 2, "threads": 2}'

SIDE: headgate, against (which also takes `code`, the folder of another checkout), or trainer. Trainer also
takes `learning_rate`; both take `backbone`, by default the packaged encoder.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

BATCH_ROWS = 32
"""Of Trainer, as the goal says."""

RECIPE = {"learning_rate": 2e-4, "max_length": 64}
"""Of Headgate, as in configs/feelings.yaml; the length is Trainer's too."""


def main(argv: list[str]) -> int:
    """Train one side and print its figures."""
    side, rows, out, asked = argv[0], Path(argv[1]), Path(argv[2]), json.loads(argv[3])
    os.environ.setdefault("GOMP_SPINCOUNT", "1000")  # as `python -m model fit` sets it
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    backbone = asked.pop("backbone", "offline")
    if "code" in asked:
        sys.path.insert(0, asked.pop("code"))  # another checkout's `model`
    figures = {"headgate": _headgate, "against": _headgate, "trainer": _trainer}[side](
        rows, out, backbone, asked
    )
    print(json.dumps({**figures, **asked}))
    return 0


def _headgate(rows: Path, out: Path, encoder: str, asked: Mapping[str, int]) -> dict[str, Any]:
    from model.rows import open_rows
    from model.spec import BackboneSpec, FitJob, TrainSpec
    from model.train.fit import fit, quiet_libraries
    from model.train.network import load_fitted

    quiet_libraries()
    train = TrainSpec(distillation=0.0, **asked, **RECIPE)  # type: ignore[arg-type]
    job = FitJob(
        heads=open_rows(rows).heads,
        backbone=BackboneSpec(name=encoder),
        train=train,
        rows=str(rows),
        out=str(out),
    )
    facts = fit(job, lambda event: None)
    return {
        **{name: facts[name] for name in ("rows", "rows_per_s", "padding_share", "seconds", "cpu_seconds")},
        "mean_metric": _mean_metric(load_fitted(out).network, rows, encoder, asked["threads"]),
    }


def _trainer(rows: Path, out: Path, encoder: str, asked: Mapping[str, int]) -> dict[str, Any]:
    import torch
    from transformers import DataCollatorWithPadding, PreTrainedTokenizerFast, Trainer, TrainingArguments

    from model.rows import open_rows
    from model.spec import BackboneSpec
    from model.train.backbone import load_encoder, load_tokenizer, resolve
    from model.train.device import multiplies_bfloat16
    from model.train.losses import hard_loss
    from model.train.network import MultiHeadNetwork
    from model.train.tokens import tokenise

    torch.set_num_threads(asked["threads"])
    torch.manual_seed(17)
    backbone = resolve(BackboneSpec(name=encoder))
    tokenizer = load_tokenizer(backbone, int(RECIPE["max_length"]))
    folder = open_rows(rows)
    part = folder.split("train")
    tokens = tokenise(part.texts(), tokenizer)
    examples = [
        {
            "input_ids": tokens.ids[start:end].tolist(),
            **{f"target_{h}": t[i].tolist() for h, t in part.targets.items()},
        }
        for i, (start, end) in enumerate(zip(tokens.offsets[:-1], tokens.offsets[1:], strict=True))
    ]
    counts = {"real": 0, "computed": 0}

    class Model(torch.nn.Module):
        """Our network; the plain mean of each head's loss over its labelled rows, summed."""

        def __init__(self) -> None:
            super().__init__()
            labels = {name: len(head.labels) for name, head in folder.heads.items()}
            body = load_encoder(backbone).train()
            self.network = MultiHeadNetwork(body, labels, pooling="mean", dropout=0.1)

        def forward(self, input_ids: Any, attention_mask: Any, **targets: Any) -> dict[str, Any]:
            """Loss of one padded batch."""
            counts["real"] += int(attention_mask.sum())
            counts["computed"] += attention_mask.numel()
            logits = self.network(input_ids, attention_mask)
            loss = torch.zeros(())
            for name, head in folder.heads.items():
                target = targets[f"target_{name}"]
                known = target != -1
                summed = hard_loss(head.kind, logits[name], target, torch.ones(len(target)))
                loss = loss + summed / known.sum().clamp(min=1)
            return {"loss": loss}

    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="[PAD]")
    model = Model()
    trainer = Trainer(
        model=model,
        args=TrainingArguments(
            output_dir=str(out),
            num_train_epochs=asked["epochs"],
            per_device_train_batch_size=BATCH_ROWS,
            learning_rate=asked["learning_rate"],
            use_cpu=True,
            bf16=multiplies_bfloat16(torch.device("cpu")),
            remove_unused_columns=False,
            save_strategy="no",
            report_to=[],
            disable_tqdm=True,
        ),
        train_dataset=examples,
        data_collator=DataCollatorWithPadding(fast),
    )
    cpu_started_s = time.process_time()
    seconds = trainer.train().metrics["train_runtime"]
    cpu_seconds = time.process_time() - cpu_started_s
    return {
        "rows": len(examples),
        "rows_per_s": len(examples) * asked["epochs"] / seconds,
        "seconds": seconds,
        "cpu_seconds": cpu_seconds,
        "padding_share": 1 - counts["real"] / counts["computed"],
        "mean_metric": _mean_metric(model.network, rows, encoder, asked["threads"]),
    }


def _mean_metric(network: Any, rows: Path, encoder: str, threads: int) -> float:
    """Mean over heads of the primary metric on test rows, calibrated on validation rows."""
    import numpy as np

    from model.measure.calibrate import calibrate
    from model.rows import open_rows
    from model.spec import BackboneSpec
    from model.train.backbone import load_tokenizer, resolve
    from model.train.device import choose_compute
    from model.train.evaluate import predict_logits, primary_metrics
    from model.train.tokens import tokenise

    compute = choose_compute("auto", threads)
    tokenizer = load_tokenizer(resolve(BackboneSpec(name=encoder)), int(RECIPE["max_length"]))
    folder = open_rows(rows)
    logits, parts = {}, {}
    for split in ("validation", "test"):
        parts[split] = folder.split(split)
        tokens = tokenise(parts[split].texts(), tokenizer)
        logits[split] = predict_logits(network, tokens, compute, pad_id=0)
    read = {
        name: calibrate(
            head.kind, head.primary_metric, logits["validation"][name], parts["validation"].targets[name]
        )
        for name, head in folder.heads.items()
    }
    figures = primary_metrics(
        folder.heads,
        logits["test"],
        parts["test"].targets,
        temperatures={name: c.temperature for name, c in read.items()},
        thresholds={name: c.thresholds for name, c in read.items()},
    )
    return float(np.mean(list(figures.values())))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
