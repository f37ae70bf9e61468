"""Who teaches the shared model: the baselines, or models that have not seen the row. Order only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from flows.config.schema import Project
from flows.parts.folds import answers_out_of_fold
from flows.parts.graph import part, step
from model.references import FittedRef, Run
from tasks.train.answer_rows import answer_rows
from tasks.train.combine_folds import combine_folds


def teachers(
    project: Project, run: Run, baselines: Mapping[str, FittedRef], *, after: Sequence[object] = ()
) -> dict[str, str]:
    """Head → `.npy` file (N, L_h) of answers for all training rows; none where distillation is off.

    Args:
        after: results that it comes after.

    Raises:
        model.errors.BadInput: `out_of_fold`, and a head has fewer labelled rows than folds.
    """
    if project.train.distillation == 0 or len(baselines) == 1:
        return {}
    return part("teachers", lambda: _answers(project, run, baselines), after)


def _answers(project: Project, run: Run, baselines: Mapping[str, FittedRef]) -> dict[str, str]:
    recipe = project.train
    found = {name: step(answer_rows)(name, baseline, run.rows, run) for name, baseline in baselines.items()}
    if recipe.distillation_teachers == "in_sample":
        return found
    folds, seed = recipe.distillation_folds, recipe.seed
    return {
        name: step(combine_folds, [logits])(
            name, logits, answers_out_of_fold(project, run, name, folds=folds, seed=seed), run
        )
        for name, logits in found.items()
    }
