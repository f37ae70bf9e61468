"""The training loop: batches in, better weights out, resumable at any moment.

Knows one network, its data in memory and a recipe. Does not know files other than its checkpoint, nor
what the result is for.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..bundle.batches import Batch, padding_share, plan_batches
from ..errors import BadInput, TrainingDiverged
from ..events import OnEvent
from ..faults import fault
from ..spec import FitJob, TrainSpec
from .checkpoint import load_tensors, save_tensors
from .device import Compute
from .evaluate import predict_logits, primary_metrics
from .fast.encoder import quick_encoder
from .fast.memory import give_back_memory, keep_memory
from .fast.packed import packed_encoder, segments_of
from .fast.shapes import padded_lengths
from .fast.workers import Workers
from .history import History
from .losses import combine
from .network import MultiHeadNetwork
from .objective import Objective
from .optimizer import (
    WeightAverage,
    freeze_embeddings,
    make_masters,
    plateaus,
    rate_factor,
    set_encoder_dropout,
)
from .rows import TrainingData

LOG_POINTS = 200
"""Points of a whole training's loss curve, at most."""
GPU_READS_STEPS = 32
"""Steps between two looks at the losses on a GPU, at least: at each look the host waits for the GPU, which
then waits for the host."""
GIVE_BACK_STEPS = 50
"""Steps between two times that free memory is given back, at least: the steps after it get it anew."""
MOST_ROWS_NAMED = 40
"""Rows that a message about a diverged training names, at most."""


@dataclass(frozen=True, slots=True)
class _Made:
    """A step whose losses were not looked at yet."""

    step: int
    batch: Batch
    losses: Tensor
    """(H,) on the device."""
    rate: float
    """The encoder's learning rate."""


class Training:
    """One training of one network, from its start or from its checkpoint to its end."""

    def __init__(
        self,
        network: MultiHeadNetwork,
        job: FitJob,
        compute: Compute,
        data: TrainingData,
        *,
        key: str,
        on_event: OnEvent,
    ) -> None:
        """The checkpoint lies in the folder `job.out`. `key` identifies the training: the
        checkpoint of another training is ignored."""
        self.heads, self.recipe, self.compute, self.data = job.heads, job.train, compute, data
        self.network = network.to(compute.device)
        self.processes = compute.processes
        folder = Path(job.out)
        self.checkpoint, self.best = folder / "checkpoint.safetensors", folder / "best.safetensors"
        self.key, self.on_event = key, on_event
        recipe = self.recipe
        lengths = data.train.tokens.lengths
        self.shapes = padded_lengths(lengths, recipe.max_length, compute.precision)
        """(N,) to how many tokens each row is padded at least."""
        self.plan = [_epoch_batches(self.shapes, recipe, epoch) for epoch in range(recipe.epochs)]
        self.steps = sum(len(batches) for batches in self.plan)
        self.padding_share = padding_share([b for e in self.plan for b in e], lengths, self.shapes)
        batches = max(1, round(self.steps / recipe.epochs))
        self.objective = Objective(self.heads, recipe, data.train, batches, self._put)
        set_encoder_dropout(network, recipe.encoder_dropout)
        if recipe.frozen_embeddings:
            freeze_embeddings(network)
        keep_memory()
        self.workers = Workers(compute.threads if self._alone_on_cpu else 1)
        self.masters = make_masters(network, recipe, in_half=self._in_half, workers=self.workers.count)
        self.way: Literal["layers", "packed", "encoder"] = self._take_quick_way()
        """Who computes the encoder: `fast.layer`, `fast.packed`, or transformers' own modules."""
        self.wrapped = self.processes.wrap(self.network)
        self.average = WeightAverage(self.masters, recipe.ema_decay) if recipe.ema_decay > 0 else None
        self.history = History()
        self.done = 0
        """Steps made."""
        self.log_every = max(1, self.steps // LOG_POINTS)
        self.read_every = self.log_every * (
            -(-GPU_READS_STEPS // self.log_every) if compute.device.type == "cuda" else 1
        )
        """After how many steps the losses are brought to the host: a multiple of `log_every`."""
        self._unread: list[_Made] = []
        self._reported_s: float | None = None

    def run(self) -> History:
        """Train to the end; the network (of the main process) then holds the weights to ship.

        Raises:
            TrainingDiverged: a loss is not finite; the message names the step and the rows.
        """
        try:
            return self._run()
        finally:
            self.workers.close()

    def _run(self) -> History:
        self._resume()
        self._reported_s = time.monotonic()
        for epoch, batches in enumerate(self.plan):
            first = sum(len(b) for b in self.plan[:epoch])
            if self.done >= first + len(batches):
                continue
            if self._ends_early():
                break
            for batch in batches[self.done - first :]:
                with self.history.timed():
                    self._step(epoch, batch)
                every = self.recipe.checkpoint_every_steps
                if every and self.done % every == 0 and self.done < first + len(batches):
                    self._read_losses(epoch)  # a checkpoint must not hold weights whose loss is not finite
                    self._save()
            self._end_epoch(epoch)
        self._take_weights_to_ship()
        return self.history

    def remove_checkpoint(self) -> None:
        """Remove the checkpoint, once the result is safe elsewhere."""
        for file in (self.checkpoint, self.best):
            file.unlink(missing_ok=True)

    @property
    def best_epoch(self) -> int:
        """The epoch (from 1) whose weights ship."""
        return self.history.best_epoch if self.recipe.keep_best else len(self.history.epochs)

    @property
    def _in_half(self) -> bool:
        """Whether the network holds the encoder's matrices in the products' type. Processes on CPUs add up
        their gradients in float32."""
        return self.compute.precision == "bfloat16" and self.processes.count == 1

    @property
    def _alone_on_cpu(self) -> bool:
        return self.compute.device.type == "cpu" and self.processes.count == 1

    def _take_quick_way(self) -> Literal["layers", "packed", "encoder"]:
        """Compute the encoder by `fast.layer`, on a GPU by `fast.packed`, where these know it. Several
        processes go transformers' way: theirs is the one that tells them when gradients are there."""
        if self._in_half and self.compute.device.type == "cuda":
            encoder = self.network.train().encoder
            self.network.packed = packed_encoder(encoder, torch.bfloat16, self.compute.device)
            return "encoder" if self.network.packed is None else "packed"
        if not self._alone_on_cpu:
            return "encoder"
        dtype = torch.bfloat16 if self._in_half else torch.float32
        self.network.train()  # dropout inside the encoder counts only then
        found = quick_encoder(self.network, dtype, self.workers, self.masters.gradients)
        if found is None:
            return "encoder"
        self.network.quick, self.masters.written = found
        return "layers"

    def _ends_early(self) -> bool:
        """Whether the recipe ends the training before its last epoch."""
        recipe, count = self.recipe, plateaus(self.history.means, self.recipe.patience)
        if recipe.schedule == "plateau":
            return count > recipe.plateau_drops
        return recipe.early_stopping and count > 0

    def _step(self, epoch: int, batch: Batch) -> None:
        recipe, step = self.recipe, self.done
        self.network.train()
        drops = plateaus(self.history.means, recipe.patience)
        factor = rate_factor(
            step, self.steps, warmup_share=recipe.warmup_share, schedule=recipe.schedule, drops=drops
        )
        self.masters.set_rate(factor)
        losses = self._forward(batch, step / self.steps)
        # The gradients of several processes are averaged; they must be added.
        torch.autograd.backward(combine(losses) * self.processes.count)
        self.masters.step(recipe.gradient_clip)
        if self.average is not None:
            self.average.update(step)
        self.done = step + 1
        # Kept on the device: reading losses at every step would make the host wait for the GPU.
        found = torch.stack([loss.detach() for loss in losses.values()])
        self._unread.append(_Made(step, batch, found, recipe.learning_rate * factor))
        if self.done % self.read_every == 0 or self.done == self.steps:
            self._read_losses(epoch)

    def _forward(self, batch: Batch, done: float) -> dict[str, Tensor]:
        """Head → its loss on this process's part of a batch."""
        part, factor = self.processes.part(batch), 1.0
        if len(part) == 0:
            # A batch with fewer rows than there are processes: this one takes a row that does not count.
            part, factor = batch[:1], 0.0
        length = int(self.shapes[part].max())
        ids, mask = self.data.train.tokens.padded(part, self.data.pad_id, length)
        told: dict[str, Any] = {"unpadded": bool(mask.all())}
        if self.network.packed is not None:
            told["segments"] = segments_of(mask, self._put)
        with self.compute.autocast():
            logits = self.wrapped(self._put(ids), self._put(mask), **told)
        return {name: loss * factor for name, loss in self.objective.losses(part, logits, done).items()}

    def _put(self, array: NDArray[Any]) -> Tensor:
        tensor = torch.from_numpy(np.ascontiguousarray(array))
        if self.compute.device.type == "cuda":
            return tensor.pin_memory().to(self.compute.device, non_blocking=True)
        return tensor

    def _read_losses(self, epoch: int) -> None:
        """Bring the losses since the last call to the host, check them and log their means, over `log_every`
        steps each."""
        made, self._unread = self._unread, []
        if not made:
            return
        values = self.processes.summed(torch.stack([one.losses for one in made])).double().cpu().numpy()
        for one, row in zip(made, values, strict=True):
            if not np.isfinite(row).all():
                raise TrainingDiverged(self._diverged(one.step, one.batch, row))
        if made[-1].step // GIVE_BACK_STEPS > (made[0].step - 1) // GIVE_BACK_STEPS:
            give_back_memory()  # or what batches of other shapes have left between its pieces adds up
        rows_done = sum(len(one.batch) for one in made)
        now_s, before_s = time.monotonic(), self._reported_s
        rows_per_s = rows_done / (now_s - before_s) if before_s is not None and now_s > before_s else 0.0
        self._reported_s = now_s
        first = 0
        for last, one in enumerate(made):
            if (one.step + 1) % self.log_every == 0 or last + 1 == len(made):
                self._log(one, epoch, values[first : last + 1].mean(0), rows_per_s)
                first = last + 1

    def _log(self, last: _Made, epoch: int, losses: NDArray[np.float64], rows_per_s: float) -> None:
        """Add a point of the loss curve: means (H,) of the steps up to `last`."""
        means, step = dict(zip(self.heads, losses.tolist(), strict=True)), last.step + 1
        loss = self.history.add_point(step, epoch + 1, means, last.rate)
        event = {"event": "step", "step": step, "steps": self.steps, "learning_rate": last.rate}
        event |= {"loss": round(loss, 5), "rows_per_s": round(rows_per_s, 1)}
        self.on_event({**event, "heads": {head: round(mean, 5) for head, mean in means.items()}})

    def _diverged(self, step: int, batch: Batch, losses: NDArray[np.float64]) -> str:
        names = [name for name, loss in zip(self.heads, losses, strict=True) if not math.isfinite(loss)]
        rows = ", ".join(str(n + 1) for n in self.data.train.numbers[batch][:MOST_ROWS_NAMED])
        return (
            f"step {step + 1} of {self.steps}: the loss of {', '.join(names)} is not finite. Rows of "
            f"the training split (lines of train.texts.jsonl): {rows}"
            f"{' …' if len(batch) > MOST_ROWS_NAMED else ''}. Lower train.learning_rate, or look at these "
            "rows"
        )

    def _end_epoch(self, epoch: int) -> None:
        self._read_losses(epoch)
        if self.average is not None:
            self.average.swap()
        validation = self.data.validation
        logits = predict_logits(self.network, validation.tokens, self.compute, pad_id=self.data.pad_id)
        # Of the main process: the others' may differ in the last digit, and all must decide alike.
        metrics = self.processes.from_main(primary_metrics(self.heads, logits, validation.targets))
        best_before = max(self.history.means, default=-math.inf)
        point = self.history.add_epoch(self.done, epoch + 1, metrics)
        if self.recipe.keep_best and point["mean"] > best_before and self.processes.is_main:
            save_tensors(self.best, self.masters.named)
        if self.average is not None:
            self.average.swap()
        self.on_event({"event": "epoch", **point})
        if self.done < self.steps:
            give_back_memory()
            self._save()
        self._reported_s = time.monotonic()

    def _take_weights_to_ship(self) -> None:
        keep_best = self.recipe.keep_best and self.processes.is_main  # who alone wrote the file
        if self.average is not None and not keep_best:
            self.average.swap()
        self.network.quick = self.network.packed = None
        self.masters.release()
        give_back_memory()
        if keep_best:
            tensors, _ = load_tensors(self.best)
            with torch.no_grad():
                for name, parameter in self.masters.parameters.items():
                    parameter.copy_(tensors[name])

    def _save(self) -> None:
        tensors: dict[str, Tensor] = {f"weight/{n}": p for n, p in self.masters.named.items()}
        tensors |= self.masters.state()
        if self.average is not None:
            tensors |= {f"average/{n}": t for n, t in self.average.average.items()}
        for rank, state in enumerate(self.processes.from_all(torch.get_rng_state())):
            tensors[f"random/cpu/{rank}"] = state
        if self.compute.device.type == "cuda":
            for rank, state in enumerate(self.processes.from_all(torch.cuda.get_rng_state())):
                tensors[f"random/cuda/{rank}"] = state
        if not self.processes.is_main:
            return
        save_tensors(self.checkpoint, tensors, {"key": self.key, "done": self.done, **self.history.state()})
        fault("checkpoint_written")

    def _resume(self) -> None:
        """Go on from the checkpoint; from the beginning where there is none, or it is damaged."""
        try:
            tensors, state = load_tensors(self.checkpoint)
            if self.recipe.keep_best and state.get("epochs"):
                load_tensors(self.best)  # without it the training could not end
        except BadInput:
            return
        if state.get("key") != self.key:
            return
        self.masters.put({name: tensors[f"weight/{name}"] for name in self.masters.named})
        if self.average is not None:
            for name, tensor in self.average.average.items():
                tensor.copy_(tensors[f"average/{name}"])
        self.masters.restore(tensors)
        torch.set_rng_state(tensors[f"random/cpu/{self.processes.rank}"])
        if self.compute.device.type == "cuda":
            torch.cuda.set_rng_state(tensors[f"random/cuda/{self.processes.rank}"])
        self.done = int(state["done"])
        self.history = History.from_state(state)
        self.on_event({"event": "resumed", "step": self.done, "steps": self.steps})


def _epoch_batches(lengths: NDArray[np.int64], recipe: TrainSpec, epoch: int) -> list[Batch]:
    return plan_batches(
        lengths,
        batch_rows=recipe.batch_rows,
        batch_tokens=recipe.batch_tokens,
        seed=recipe.seed,
        epoch=epoch,
    )
