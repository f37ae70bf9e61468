"""The weights that learn: float32 masters in a flat piece of memory a group, and what the products read.

A matrix of the encoder is multiplied in bfloat16 where the training computes so: its module then holds a
bfloat16 copy that is renewed after each step (master weights, Micikevicius et al. 2018, section 3.1). Flat, a
step is a few large kernels: one norm, one AdamW with the clipping in it, one copy.

Does not know losses or batches.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

PIECE = 2**19
"""Weights that AdamW takes at once: gradient and moments of a piece stay in the cores' caches."""
MOMENTS = ("exp_avg", "exp_avg_sq")
"""Names of the averages in a checkpoint."""
BETA_1, EPSILON = 0.9, 1e-8
"""Of AdamW; PyTorch's defaults."""


@dataclass(frozen=True, slots=True)
class GroupPlan:
    """Parameters that learn at one rate."""

    parameters: Mapping[str, nn.Parameter]
    """Name → parameter, those in half precision first."""
    rate: float
    weight_decay: float


class Group:
    """The parameters of one plan in flat memory."""

    def __init__(self, plan: GroupPlan, halves: frozenset[str], workers: int) -> None:
        """`halves` names the parameters that the network holds in bfloat16."""
        names = [n for n in plan.parameters if n in halves]
        count = sum(plan.parameters[n].numel() for n in names)
        names += [n for n in plan.parameters if n not in halves]
        self.names = names
        parameters = [plan.parameters[n] for n in names]
        flat = torch.cat([p.detach().reshape(-1).float() for p in parameters])
        self.rate = self.peak_rate = plan.rate
        self.weight_decay = plan.weight_decay
        self.master, self.step = flat, torch.zeros((), device=flat.device)
        self.moments = torch.zeros_like(flat), torch.zeros_like(flat)
        self.low = flat[:count].bfloat16() if count else None
        self.low_gradients = [torch.zeros_like(flat[:count], dtype=torch.bfloat16) for _ in range(workers)]
        self.room = torch.empty(min(PIECE, count)) if count else None
        self.high_gradients = [torch.zeros_like(flat[count:]) for _ in range(workers)]
        self.state: dict[str, Tensor] = {f"{names[0]}/step": self.step}
        """Name of a parameter and of a moment → its part; the count of steps is the whole group's."""
        self.views: dict[str, Tensor] = {}
        """Name → its part of the masters."""
        self.gradients: list[dict[str, Tensor]] = [{} for _ in range(workers)]
        """Of each worker: name → where its gradient is written, of the type that the network holds it in."""
        start = 0
        for name, parameter in zip(names, parameters, strict=True):
            part = slice(start, start + parameter.numel())
            self.views[name] = self.master[part].view(parameter.shape)
            for key, moment in zip(MOMENTS, self.moments, strict=True):
                self.state[f"{name}/{key}"] = moment[part].view(parameter.shape)
            in_half = self.low is not None and part.stop <= count
            live = self.low if self.low is not None and in_half else self.master
            parameter.data = live[part].view(parameter.shape)
            shift = 0 if in_half else count
            for worker, found in enumerate(self.gradients):
                flat = self.low_gradients[worker] if in_half else self.high_gradients[worker]
                found[name] = flat[part.start - shift : part.stop - shift].view(parameter.shape)
            start = part.stop

    def renew(self) -> None:
        """Bring the masters to what the network holds."""
        if self.low is not None:
            self.low.copy_(self.master[: self.low.numel()])

    def gather(self) -> Tensor:
        """Add up the workers' gradients, always in the same order; their norm."""
        norms = []
        for first, *others in (self.low_gradients, self.high_gradients):
            # Piece by piece, so that a sum is still in the cache when its norm is taken.
            for piece, *more in zip(*(self._pieces(flat) for flat in (first, *others)), strict=True):
                for part in more:
                    piece.add_(part)
                norms.append(torch.linalg.vector_norm(self._exact(piece)))
        norm: Tensor = torch.linalg.vector_norm(torch.stack(norms))
        return norm

    def _pieces(self, flat: Tensor) -> Sequence[Tensor]:
        """In pieces on a CPU; whole on a GPU, where each would be a kernel of its own."""
        if flat.device.type != "cpu":
            return [flat] if len(flat) else []
        return [flat[start : start + PIECE] for start in range(0, len(flat), PIECE)]

    def _exact(self, piece: Tensor) -> Tensor:
        """A piece in float32: itself, or a copy in memory that the next call takes again."""
        if piece.dtype == torch.float32:
            return piece
        if self.room is None or piece.device.type != "cpu":
            return piece.float()
        room: Tensor = self.room[: len(piece)]
        return room.copy_(piece)

    def learn(self, beta2: float, divisor: Tensor) -> None:
        """AdamW with the gradients divided by `divisor`."""
        count = self.low_gradients[0].numel()
        for flat, start in ((self.low_gradients[0], 0), (self.high_gradients[0], count)):
            for gradient in self._pieces(flat):
                part = slice(start, start + len(gradient))
                start = part.stop
                torch._fused_adamw_(
                    [self.master[part]],
                    [self._exact(gradient)],
                    [self.moments[0][part]],
                    [self.moments[1][part]],
                    [],
                    [self.step + 1],
                    lr=self.rate,
                    beta1=BETA_1,
                    beta2=beta2,
                    weight_decay=self.weight_decay,
                    eps=EPSILON,
                    amsgrad=False,
                    maximize=False,
                    grad_scale=divisor,
                )
        self.step += 1
        self.renew()


class Masters:
    """All weights that learn, and their optimizer."""

    def __init__(
        self, plans: Sequence[GroupPlan], halves: frozenset[str], *, beta2: float, workers: int = 1
    ) -> None:
        """Takes the parameters over: until `release` the network's parameters are views of flat memory.

        Args:
            halves: names of the parameters that the network is to hold in bfloat16.
            workers: how many write gradients side by side.
        """
        self.groups = [Group(plan, halves, workers) for plan in plans]
        self.parameters = {n: p for plan in plans for n, p in plan.parameters.items()}
        self.named = {n: v for group in self.groups for n, v in group.views.items()}
        """Name → float32 weights."""
        self.gradients = [
            {n: v for group in self.groups for n, v in group.gradients[worker].items()}
            for worker in range(workers)
        ]
        """Of each worker: name → where its gradient is written."""
        self.written: frozenset[str] = frozenset()
        """Names whose gradients every worker writes to `gradients`; autograd leaves the others'."""
        self.beta2 = beta2

    @torch.no_grad()
    def step(self, clip: float) -> None:
        """One step of AdamW by the gradients of the last backward pass, clipped to the global norm `clip`."""
        into, found = [], []
        for name, parameter in self.parameters.items():
            if name not in self.written:
                if parameter.grad is None:
                    self.gradients[0][name].zero_()
                else:
                    into.append(self.gradients[0][name])
                    found.append(parameter.grad)
        if found:
            torch._foreach_copy_(into, found)
        norm = torch.linalg.vector_norm(torch.stack([group.gather() for group in self.groups]))
        # AdamW divides by it on its way, as GradScaler has it do: no pass of its own, and no wait for a GPU.
        divisor = ((norm + 1e-6) / clip).clamp(min=1.0)
        for group in self.groups:
            group.learn(self.beta2, divisor)
        for parameter in self.parameters.values():
            parameter.grad = None

    @torch.no_grad()
    def put(self, tensors: Mapping[str, Tensor]) -> None:
        """Set all weights, by name."""
        for name, view in self.named.items():
            view.copy_(tensors[name])
        self.renew()

    def renew(self) -> None:
        """Bring changed masters to what the network holds."""
        for group in self.groups:
            group.renew()

    def release(self) -> None:
        """Give the network float32 parameters of its own again, at the end; frees all else."""
        for name, parameter in self.parameters.items():
            parameter.data = self.named[name].clone()
        self.groups, self.named, self.gradients = [], {}, []

    def set_rate(self, factor: float) -> None:
        """Set every group's learning rate to its peak times `factor`."""
        for group in self.groups:
            group.rate = group.peak_rate * factor

    def state(self) -> dict[str, Tensor]:
        """The optimizer's state by parameter, as views."""
        return {f"optimizer/{key}": value for group in self.groups for key, value in group.state.items()}

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Put back what `state` gave."""
        for name, value in self.state().items():
            value.copy_(tensors[name])


def halved(network: nn.Module, learning: Mapping[str, nn.Parameter]) -> frozenset[str]:
    """Names of the parameters that autocast would convert for every product: the linear layers of the
    encoder."""
    return frozenset(
        full
        for name, module in network.named_modules()
        if isinstance(module, nn.Linear) and name.startswith("encoder.")
        for full in (f"{name}.weight", f"{name}.bias")
        if full in learning
    )
