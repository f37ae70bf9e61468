"""Who makes another version serve hears what clients lose and gain; a loss that nobody consented to is
refused."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from expectations.contract.consent import BadConsent
from expectations.spec import ContractRules, GateRules
from expectations.verdict import ApprovedVersion
from flows.cli.commands import main
from model.bundle.card import HeadCard
from release.home import Home
from release.journal import Journal
from release.moves.adopt import adopt_registry
from release.moves.carry import carry
from release.moves.contract import ContractBroken
from release.moves.promote import promote_version
from release.moves.promote_by_hand import promote_by_hand
from release.moves.rollback import roll_back
from release.registry.candidate import Candidate
from release.registry.judgement import read_judgement
from release.registry.register import RegisteredVersion, register_version
from release.releases import open_releases
from release.saved_settings import Settings, save_settings
from release.spec import RegistrySpec
from serving.spec import DeploySpec
from serving.store.manifest import verify_release
from serving.store.release_folder import PromotionRefused
from tests.support.toy_bundle import HEADS, write_bundle

SPEC = RegistrySpec()
MOOD, TOPICS = HEADS["mood"], HEADS["topics"]
Make = Callable[..., Candidate]
Heads = Mapping[str, HeadCard]


@pytest.fixture(autouse=True)
def settled(home: Home, deploy_spec: DeploySpec) -> None:
    """The project is known, and deployed nowhere yet."""
    save_settings(home, "toy", Settings(registry=SPEC, deploy=deploy_spec))


@pytest.fixture
def register(home: Home, candidate: Make, tmp_path: Path) -> Callable[..., Candidate]:
    """Registers a candidate that answers `heads`, with consents in its configuration."""

    def make(seed: int, heads: Heads, *allow: str, outcome: str = "pass", **more: Any) -> Candidate:
        bundle = tmp_path / "other" / str(seed) / "bundle"
        gates = asdict(GateRules(contract=ContractRules(allow=allow)))
        made = replace(
            candidate(seed, outcome),
            bundle=bundle,
            bundle_sha256=write_bundle(bundle, seed, heads=heads),
            configuration={"gates": gates, **more},
        )
        assert register_version(home, "toy", SPEC, made).version == seed
        return made

    return make


def ship(home: Home, version: int, made: Candidate) -> None:
    approved = ApprovedVersion(
        name="toy", version=version, bundle_sha256=made.bundle_sha256, verdict=made.verdict
    )
    promote_version(home, "toy", SPEC, approved, bundle=made.bundle, configuration=made.configuration)


def serving(home: Home) -> int | None:
    return open_releases(home, "toy", SPEC).serving()


def dropped(home: Home) -> dict[str, tuple[int, str | None]]:
    releases = open_releases(home, "toy", SPEC)
    version = releases.serving()
    assert version is not None
    manifest = verify_release(releases.folder.version_dir(version), releases.public_key, "toy")
    assert all(one.at for one in manifest.dropped_heads.values())
    return {head: (one.version, one.now) for head, one in manifest.dropped_heads.items()}


def test_a_version_that_takes_something_away_is_promoted_by_consent_alone(
    home: Home, register: Callable[..., Candidate]
) -> None:
    ship(home, 1, register(1, HEADS))
    less = register(2, {"mood": MOOD})
    with pytest.raises(ContractBroken, match=r"• head `topics` is not answered any more\n.*--allow 'drop"):
        ship(home, 2, less)
    with pytest.raises(ContractBroken):
        promote_by_hand(home, "toy", 2)
    assert serving(home) == 1
    last = Journal(home.journal / "toy.jsonl").entries()[-1]
    assert (last.event, last.version) == ("promotion refused", 2) and "drop topics" in last.detail
    with pytest.raises(PromotionRefused, match="--allow belongs to an --override"):
        promote_by_hand(home, "toy", 2, allow=["drop topics"])

    register(3, {"mood": MOOD}, "drop topics")
    heard: list[str] = []
    assert promote_by_hand(home, "toy", 3, tell=heard.append).outcome.serving == 3
    assert heard == [
        "version 3 in place of version 1:",
        "  • clients lose: head `topics` is not answered any more",
    ]
    # The signed record names what was allowed.
    releases = open_releases(home, "toy", SPEC)
    judged = read_judgement(releases.registry, releases.public_key, 3)
    assert judged.configuration["gates"]["contract"] == {"allow": ["drop topics"]}


def test_an_override_covers_what_its_author_says_and_says_it(
    home: Home, register: Callable[..., Candidate]
) -> None:
    ship(home, 1, register(1, HEADS))
    other = replace(MOOD, labels=("low", "middle", "high"))
    register(2, {"mood": other}, outcome="fail")
    asked = {"reason": "a demonstration", "expires": "1h"}
    with pytest.raises(ContractBroken) as refused:
        promote_by_hand(home, "toy", 2, **asked)  # type: ignore[arg-type]
    assert "--allow drop mood:mid" in str(refused.value).replace("'", "")
    with pytest.raises(ContractBroken):
        promote_by_hand(home, "toy", 2, allow=["drop topics"], **asked)  # type: ignore[arg-type]
    with pytest.raises(BadConsent, match=r"--allow: saw .drop Topics., expected one of"):
        promote_by_hand(home, "toy", 2, allow=["drop Topics"], **asked)  # type: ignore[arg-type]
    assert serving(home) == 1
    allow = ["drop topics", "rename mood:mid -> middle"]
    heard: list[str] = []
    done = promote_by_hand(home, "toy", 2, allow=allow, tell=heard.append, **asked)  # type: ignore[arg-type]
    assert done.outcome.serving == 2 and done.override is not None
    assert done.override.reason == (
        "a demonstration (clients may lose: drop topics, rename mood:mid → middle)"
    )
    assert heard[1:] == [
        "  • clients lose: head `topics` is not answered any more",
        "  • clients must follow: label `mid` of `mood` is called `middle`",
    ]
    assert dropped(home) == {"topics": (2, None)}


def test_a_rollback_says_what_it_takes_away_before_it_moves(
    home: Home, register: Callable[..., Candidate]
) -> None:
    ship(home, 1, register(1, {"mood": MOOD}))
    more = {"mood": replace(MOOD, labels=("low", "middle", "high")), "topics": TOPICS}
    ship(home, 2, register(2, more, "rename mood:mid → middle"))
    heard: list[str] = []

    def tell(line: str) -> None:
        assert serving(home) == 2, "before it moves"
        heard.append(line)

    assert roll_back(home, "toy", tell=tell).serving == 1
    assert heard == [
        "version 1 in place of version 2:",
        "  • clients lose: head `topics` is not answered any more",
        "  • clients must follow: label `middle` of `mood` is called `mid`",
    ]
    done = CliRunner().invoke(main, ["rollback", "toy", "--to", "2", "--home", str(home.root)])
    assert done.exit_code == 0, done.output
    assert done.stderr.splitlines()[:3] == [
        "version 2 in place of version 1:",
        "  • clients must follow: label `mid` of `mood` is called `middle`",
        "  • clients gain: head `topics` is new",
    ]
    assert "version 2 serves again" in done.stdout
    register(3, more)
    heard.clear()
    promote_by_hand(home, "toy", 3, tell=heard.append)
    assert heard == ["version 3 in place of version 2: clients lose and gain nothing"]


def test_a_released_version_knows_who_dropped_which_head(
    home: Home, register: Callable[..., Candidate]
) -> None:
    ship(home, 1, register(1, {"mood": MOOD, "topics": TOPICS, "tone": MOOD}))
    assert dropped(home) == {}
    ship(home, 2, register(2, {"mood": MOOD, "topics": TOPICS}, "drop tone"))
    assert dropped(home) == {"tone": (2, None)}
    ship(home, 3, register(3, {"feeling": MOOD, "topics": TOPICS}, "rename mood → feeling", "drop tone"))
    assert dropped(home) == {"tone": (2, None), "mood": (3, "feeling")}
    ship(home, 4, register(4, {"feeling": MOOD, "topics": TOPICS, "tone": MOOD}))
    assert dropped(home) == {"mood": (3, "feeling")}, "it is answered again"
    roll_back(home, "toy", 2)
    assert dropped(home) == {"tone": (2, None)}
    # Registered again under another number, it has dropped under that one.
    releases = open_releases(home, "toy", SPEC)
    with releases.locked():
        assert carry(releases, 2) == 5
    assert dropped(home) == {"tone": (5, None)}


def test_a_head_that_went_is_followed_to_what_it_is_called_last(
    home: Home, register: Callable[..., Candidate]
) -> None:
    ship(home, 1, register(1, {"a": MOOD, "topics": TOPICS}))
    ship(home, 2, register(2, {"b": MOOD, "topics": TOPICS}, "rename a → b"))
    ship(home, 3, register(3, {"c": MOOD, "topics": TOPICS}, "rename b → c"))
    assert dropped(home) == {"a": (2, "c"), "b": (3, "c")}
    ship(home, 4, register(4, {"topics": TOPICS}, "drop c"))
    assert dropped(home) == {"a": (2, None), "b": (3, None), "c": (4, None)}
    # Beside a version whose card can't be read, what is answered is not dropped either.
    releases = open_releases(home, "toy", SPEC)
    card = releases.folder.version_dir(4) / "bundle" / "card.json"
    card.chmod(0o600)
    card.write_text("{", encoding="utf-8")
    ship(home, 5, register(5, {"b": MOOD, "topics": TOPICS}))
    assert dropped(home) == {"a": (2, None), "c": (4, None)}


def test_a_version_that_passed_and_takes_away_can_be_let_through_as_its_refusal_says(
    home: Home, register: Callable[..., Candidate]
) -> None:
    ship(home, 1, register(1, HEADS))
    register(2, {"mood": MOOD})
    heard: list[str] = []
    with pytest.raises(ContractBroken, match=r"--override .* --allow 'drop topics'"):
        promote_by_hand(home, "toy", 2, tell=heard.append)
    assert not heard, "the refusal says what is lost"
    with pytest.raises(PromotionRefused, match="promote it without an override"):
        promote_by_hand(home, "toy", 2, reason="needless")
    done = promote_by_hand(home, "toy", 2, reason="agreed", allow=["drop topics"])
    assert done.outcome.serving == 2 and done.override is not None


def test_a_run_whose_version_takes_away_beside_what_serves_now_is_held(
    home: Home, register: Callable[..., Candidate]
) -> None:
    from tasks.release.promote import promote

    ship(home, 1, register(1, HEADS))
    made = register(2, {"mood": MOOD})
    registered = RegisteredVersion(
        name="toy", version=2, run_id="", bundle_sha256=made.bundle_sha256, tracking_uri=""
    )
    held = promote.fn(home, "toy", SPEC, registered, made)
    assert isinstance(held, str) and "head `topics`" in held and serving(home) == 1


def test_a_record_of_before_that_allowed_dropped_heads_still_does(
    home: Home, register: Callable[..., Candidate]
) -> None:
    ship(home, 1, register(1, HEADS))
    old = {name: value for name, value in asdict(GateRules()).items() if name != "contract"}
    ship(home, 2, register(2, {"mood": MOOD}, gates={**old, "allow_dropped_heads": True}))
    assert serving(home) == 2
    register(3, {"mood": replace(MOOD, labels=("low", "mid"))}, gates={**old, "allow_dropped_heads": True})
    with pytest.raises(ContractBroken, match="label `high` of `mood`"):
        promote_by_hand(home, "toy", 3)


def test_who_takes_over_a_registry_hears_what_clients_lose(
    home: Home, register: Callable[..., Candidate], tmp_path: Path, deploy_spec: DeploySpec
) -> None:
    import shutil

    ship(home, 1, register(1, HEADS))
    twin = Home(tmp_path / "twin")
    shutil.copytree(home.keys, twin.keys, dirs_exist_ok=True)
    elsewhere = RegistrySpec(tracking_uri=f"sqlite:///{tmp_path}/elsewhere.sqlite")
    made = register(2, {"mood": MOOD}, "drop topics")
    number = register_version(twin, "toy", elsewhere, made).version
    approved = ApprovedVersion(
        name="toy", version=number, bundle_sha256=made.bundle_sha256, verdict=made.verdict
    )
    promote_version(twin, "toy", elsewhere, approved, bundle=made.bundle, evidence=made.evidence)
    done = adopt_registry(home, "toy", elsewhere, deploy_spec)
    assert "in place of version 1; clients lose: head `topics` is not answered any more" in done.said
