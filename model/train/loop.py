"""The training loop: batches in, better weights out, resumable at any moment.

Knows one network, its data in memory and a recipe. Does not know files other than its checkpoint, nor
what the result is for.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..bundle.batches import Batch, padding_share, plan_batches
from ..errors import TrainingDiverged
from ..faults import fault
from ..spec import HeadSpec, TrainSpec
from .checkpoint import load_tensors, optimizer_tensors, restore_optimizer, save_tensors
from .device import Compute
from .evaluate import head_metrics, predict_logits
from .losses import HeadScale, LossShape, combine, head_loss, head_scale, label_weights
from .network import MultiHeadNetwork
from .optimizer import (
    WeightAverage,
    freeze_embeddings,
    make_optimizer,
    plateaus,
    rate_factor,
    set_encoder_dropout,
    set_rate,
)
from .rows import History, TrainingRows

Tell = Callable[[Mapping[str, Any]], None]
"""Takes one progress event."""

LOG_POINTS = 200
"""Points of a whole training's loss curve, at most."""


def teacher_share_at(recipe: TrainSpec, done: float) -> float:
    """Share of the loss taken from the teachers when the share `done` of all steps has been made."""
    last = recipe.distillation_final
    return recipe.distillation + (last - recipe.distillation) * done


class Training:
    """One training of one network, from its start or from its checkpoint to its end."""

    def __init__(
        self,
        network: MultiHeadNetwork,
        heads: Mapping[str, HeadSpec],
        recipe: TrainSpec,
        compute: Compute,
        *,
        train: TrainingRows,
        validation: TrainingRows,
        pad_id: int,
        folder: Path,
        key: str,
        tell: Tell,
    ) -> None:
        """`folder` gets the checkpoint; `key` says which training it belongs to: another one's is ignored."""
        self.network = network.to(compute.device)
        self.processes = compute.processes
        self.heads, self.recipe, self.compute = heads, recipe, compute
        self.train, self.validation, self.pad_id = train, validation, pad_id
        self.checkpoint, self.best = folder / "checkpoint.safetensors", folder / "best.safetensors"
        self.key, self.tell = key, tell
        self.plan = [self._batches(epoch) for epoch in range(recipe.epochs)]
        self.steps = sum(len(batches) for batches in self.plan)
        self.padding_share = padding_share([b for e in self.plan for b in e], train.tokens.lengths)
        self.scales, self.shapes = self._scales(), self._shapes()
        set_encoder_dropout(network, recipe.encoder_dropout)
        if recipe.frozen_embeddings:
            freeze_embeddings(network)
        self.called = self.processes.wrap(self.network)
        self.optimizer = make_optimizer(
            network,
            learning_rate=recipe.learning_rate,
            head_learning_rate=recipe.head_learning_rate,
            weight_decay=recipe.weight_decay,
            layer_decay=recipe.layer_decay,
            beta2=recipe.adam_beta2,
        )
        self.parameters = {n: p for n, p in network.named_parameters() if p.requires_grad}
        self.average = WeightAverage(network, recipe.ema_decay) if recipe.ema_decay > 0 else None
        self.history = History()
        self.done = 0
        self.log_every = max(1, self.steps // LOG_POINTS)
        self._pending: list[tuple[int, Batch, Tensor]] = []
        self._factor = 0.0
        self._told_s: float | None = None

    def run(self) -> History:
        """Train to the end; the network (of the main process) then holds the weights to ship.

        Raises:
            TrainingDiverged: a loss is not finite; the message names the step and the rows.
        """
        self._resume()
        self._told_s = time.monotonic()
        for epoch, batches in enumerate(self.plan):
            first = sum(len(b) for b in self.plan[:epoch])
            if self.done >= first + len(batches):
                continue
            if self._has_ended():
                break
            for batch in batches[self.done - first :]:
                self._step(epoch, batch)
                every = self.recipe.checkpoint_every_steps
                if every and self.done % every == 0 and self.done < first + len(batches):
                    self._read_losses(epoch)  # never keep weights whose loss nobody looked at
                    self._save()
            self._end_epoch(epoch)
        if self.recipe.keep_best and self.processes.is_main:  # who wrote it; nobody else needs it
            tensors, _ = load_tensors(self.best)
            with torch.no_grad():
                for name, parameter in self.parameters.items():
                    parameter.copy_(tensors[name])
        elif self.average is not None:
            self.average.swap()
        return self.history

    def forget(self) -> None:
        """Remove the checkpoint, once the result is safe elsewhere."""
        for file in (self.checkpoint, self.best):
            file.unlink(missing_ok=True)

    @property
    def best_epoch(self) -> int:
        """The epoch (from 1) whose weights ship."""
        epochs = self.history.epochs
        if not self.recipe.keep_best:
            return len(epochs)
        return int(max(epochs, key=lambda e: float(e["mean"]))["epoch"])

    def _has_ended(self) -> bool:
        """Whether the recipe ends the training before its last epoch."""
        recipe, found = self.recipe, plateaus(self._means(), self.recipe.patience)
        if recipe.schedule == "plateau":
            return found > recipe.plateau_drops
        return recipe.early_stopping and found > 0

    def _means(self) -> list[float]:
        return [float(epoch["mean"]) for epoch in self.history.epochs]

    def _batches(self, epoch: int) -> list[Batch]:
        recipe = self.recipe
        return plan_batches(
            self.train.tokens.lengths,
            batch_rows=recipe.batch_rows,
            batch_tokens=recipe.batch_tokens,
            seed=recipe.seed,
            epoch=epoch,
        )

    def _scales(self) -> dict[str, HeadScale]:
        return {
            name: head_scale(
                head.kind,
                self.train.targets[name],
                self.train.weights,
                len(head.labels),
                weight=head.weight,
                balance=self.recipe.balance_losses,
                batches=max(1, round(self.steps / self.recipe.epochs)),
                mixing=self.recipe.mixing_exponent,
                teacher_mixing=self.recipe.distillation_mixing,
            )
            for name, head in self.heads.items()
        }

    def _shapes(self) -> dict[str, LossShape]:
        recipe, shapes = self.recipe, {}
        for name, head in self.heads.items():
            rare = label_weights(
                head.kind, self.train.targets[name], len(head.labels), recipe.rare_label_exponent
            )
            shapes[name] = LossShape(
                recipe.loss,
                recipe.focal_gamma,
                recipe.label_smoothing,
                None if rare is None else self._put(rare),
            )
        return shapes

    def _step(self, epoch: int, batch: Batch) -> None:
        started_s, cpu_started_s = time.perf_counter(), time.process_time()
        recipe, step = self.recipe, self.done
        self.network.train()
        self._factor = rate_factor(
            step,
            self.steps,
            warmup_share=recipe.warmup_share,
            schedule=recipe.schedule,
            drops=plateaus(self._means(), recipe.patience),
        )
        set_rate(self.optimizer, self._factor)
        # A batch smaller than the number of processes: the others take a row that counts nothing.
        part, counts = self.processes.part(batch), 1.0
        if len(part) == 0:
            part, counts = batch[:1], 0.0
        ids, mask = self.train.tokens.padded(part, self.pad_id)
        with self.compute.autocast():
            logits = self.called(self._put(ids), self._put(mask))
        losses = {name: loss * counts for name, loss in self._losses(part, logits, step / self.steps).items()}
        loss = combine(losses)
        # Several processes' gradients are averaged, and ours are to be added.
        torch.autograd.backward(loss * self.processes.count)
        torch.nn.utils.clip_grad_norm_(list(self.parameters.values()), recipe.gradient_clip)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        if self.average is not None:
            self.average.update(step)
        self.done = step + 1
        # Kept on the device: reading it at every step would make the host wait for the GPU.
        self._pending.append((step, batch, torch.stack([part.detach() for part in losses.values()])))
        if self.done % self.log_every == 0 or self.done == self.steps:
            self._read_losses(epoch)
        self.history.seconds += time.perf_counter() - started_s
        self.history.cpu_seconds += time.process_time() - cpu_started_s

    def _losses(self, batch: Batch, logits: Mapping[str, Tensor], done: float) -> dict[str, Tensor]:
        """Scaled loss of each head, when the share `done` of all steps has been made."""
        recipe, last = self.recipe, self.recipe.mixing_final_exponent
        first = recipe.mixing_exponent
        mixing = first if last is None else first + (last - first) * done
        weights = self._put(self.train.weights[batch])
        losses = {}
        for name, scale in self.scales.items():
            teacher = self.train.teachers.get(name)
            targets = self.train.targets[name][batch]
            losses[name] = head_loss(
                scale,
                logits[name],
                self._put(targets.astype(np.int64) if scale.kind == "multiclass" else targets),
                weights,
                teacher=None if teacher is None else self._put(teacher[batch]),
                teacher_share=teacher_share_at(recipe, done),
                temperature=recipe.distillation_temperature,
                shape=self.shapes[name],
                mixing=mixing,
            )
        return losses

    def _put(self, array: NDArray[Any]) -> Tensor:
        tensor = torch.from_numpy(np.ascontiguousarray(array))
        if self.compute.device.type == "cuda":
            return tensor.pin_memory().to(self.compute.device, non_blocking=True)
        return tensor

    def _read_losses(self, epoch: int) -> None:
        """Bring the losses since the last call to the host, check them and log their means."""
        if not self._pending:
            return
        kept = torch.stack([losses for _, _, losses in self._pending])
        values = self.processes.summed(kept).double().cpu().numpy()
        for (step, batch, _), row in zip(self._pending, values, strict=True):
            if not np.isfinite(row).all():
                names = [n for n, v in zip(self.heads, row, strict=True) if not math.isfinite(v)]
                rows = ", ".join(str(n + 1) for n in self.train.numbers[batch][:40])
                raise TrainingDiverged(
                    f"step {step + 1} of {self.steps}: the loss of {', '.join(names)} is not finite. Rows of "
                    f"the training split (lines of train.texts.jsonl): {rows}"
                    f"{' …' if len(batch) > 40 else ''}. Lower train.learning_rate, or look at these rows"
                )
        rows_done = sum(len(batch) for _, batch, _ in self._pending)
        self._pending.clear()
        means = dict(zip(self.heads, values.mean(0).tolist(), strict=True))
        loss = sum(means.values())
        self.history.steps.append(
            {
                "step": self.done,
                "epoch": epoch + 1,
                "loss": loss,
                "heads": means,
                "learning_rate": self.recipe.learning_rate * self._factor,
            }
        )
        now_s = time.monotonic()
        rate = (
            rows_done / (now_s - self._told_s) if self._told_s is not None and now_s > self._told_s else 0.0
        )
        self._told_s = now_s
        self.tell(
            {
                "event": "step",
                "step": self.done,
                "steps": self.steps,
                "loss": round(loss, 5),
                "rows_per_s": round(rate, 1),
            }
        )

    def _end_epoch(self, epoch: int) -> None:
        self._read_losses(epoch)
        if self.average is not None:
            self.average.swap()
        logits = predict_logits(self.network, self.validation.tokens, self.compute, pad_id=self.pad_id)
        # Of the main process: the others' may differ in the last digit, and all must decide the same.
        metrics = self.processes.from_main(head_metrics(self.heads, logits, self.validation.targets))
        mean = float(np.mean(list(metrics.values())))
        former = max(self._means(), default=-math.inf)
        if self.recipe.keep_best and mean > former and self.processes.is_main:
            save_tensors(self.best, self.parameters)
        if self.average is not None:
            self.average.swap()
        losses = [point["loss"] for point in self.history.steps if point["epoch"] == epoch + 1]
        self.history.epochs.append(
            {
                "epoch": epoch + 1,
                "step": self.done,
                "loss": float(np.mean(losses)) if losses else None,
                "metrics": metrics,
                "mean": mean,
            }
        )
        self.tell({"event": "epoch", **self.history.epochs[-1]})
        if self.done < self.steps:
            self._save()
        self._told_s = time.monotonic()

    def _save(self) -> None:
        tensors: dict[str, Tensor] = {f"weight/{n}": p for n, p in self.parameters.items()}
        tensors |= optimizer_tensors(self.optimizer, {id(p): n for n, p in self.parameters.items()})
        if self.average is not None:
            tensors |= {f"average/{n}": t for n, t in self.average.average.items()}
        for rank, state in enumerate(self.processes.from_all(torch.get_rng_state())):
            tensors[f"random/cpu/{rank}"] = state
        if self.compute.device.type == "cuda":
            for rank, state in enumerate(self.processes.from_all(torch.cuda.get_rng_state())):
                tensors[f"random/cuda/{rank}"] = state
        if not self.processes.is_main:
            return
        about = {
            "key": self.key,
            "done": self.done,
            "steps": self.history.steps,
            "epochs": self.history.epochs,
            "seconds": self.history.seconds,
            "cpu_seconds": self.history.cpu_seconds,
        }
        save_tensors(self.checkpoint, tensors, about)
        fault("checkpoint_written")

    def _resume(self) -> None:
        if not self.checkpoint.is_file():
            return
        tensors, state = load_tensors(self.checkpoint)
        if state.get("key") != self.key:
            return
        with torch.no_grad():
            for name, parameter in self.parameters.items():
                parameter.copy_(tensors[f"weight/{name}"])
            if self.average is not None:
                for name, tensor in self.average.average.items():
                    tensor.copy_(tensors[f"average/{name}"])
        restore_optimizer(self.optimizer, self.parameters, tensors)
        torch.set_rng_state(tensors[f"random/cpu/{self.processes.rank}"])
        if self.compute.device.type == "cuda":
            torch.cuda.set_rng_state(tensors[f"random/cuda/{self.processes.rank}"])
        self.done = int(state["done"])
        spent = float(state["seconds"]), float(state["cpu_seconds"])
        self.history = History(state["steps"], state["epochs"], *spent)
        self.tell({"event": "resumed", "step": self.done, "steps": self.steps})
