"""Before anything is trained: what clients of the champion would lose and gain."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from prefect import task
from prefect.cache_policies import NO_CACHE

from expectations.changes import Renamed
from expectations.contract.compare import Contract, compare_answers
from expectations.contract.consent import Change, consents_of
from expectations.gates.scores import card_heads
from expectations.spec import GateRules
from model.files import read_json
from model.spec import HeadSpec
from release.champion import ChampionRef
from report.progress import Step, print_line


@task(name="check-contract", task_run_name="check-contract", cache_policy=NO_CACHE)
def check_contract(
    heads: Mapping[str, HeadSpec],
    rules: GateRules,
    *,
    champion: ChampionRef | None,
    renamed: Sequence[Renamed] = (),
) -> Contract:
    """What a model of `heads` takes away from clients of the champion, and what of it is consented to;
    nothing before the first deployment.

    Args:
        heads: of the data, labels filled in.
        renamed: labels that have another name by their texts.

    Raises:
        expectations.contract.consent.BadConsent: a consent can't be read.
    """
    if champion is None:
        return Contract()
    with Step("what clients lose and gain") as step:
        contract = compare_answers(
            card_heads(read_json(Path(champion.bundle.path) / "card.json")),
            heads,
            consents_of(rules.contract.allow),
            suspected=[Change("label renamed", one.head, one.old, one.new) for one in renamed],
        )
        lost, missing = len(contract.lost), len(contract.missing)
        step.outcome = f"beside version {champion.version}: "
        step.outcome += f"{lost} to consent to, {missing} without consent" if lost else "nothing is lost"
    for change in contract.allowed:
        print_line(f"  consented: {change.said}")
    for what in contract.gained:
        print_line(f"  new: {what}")
    return contract
