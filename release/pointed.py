"""Which version serves, by the signed pointers of the release folder and by the journal beside it.

Nothing serving yet and not knowing what serves are two things: whoever can't tell stops, because a candidate
that is compared with nothing would ship unopposed. Does not change anything.
"""

from __future__ import annotations

from model.errors import HeadgateError
from release.home import Home
from release.journal import Entry, Journal
from release.served import SERVES_AGAIN
from serving.store.pointer import Pointer, PointerBroken
from serving.store.release_folder import ReleaseFolder
from serving.store.signing import KeyProblem, KeySource


class ChampionUnverified(HeadgateError):
    """Something serves, and it can't be verified which version; nothing was moved. The message says what to
    do."""


def last_pointer(home: Home, folder: ReleaseFolder, keys: KeySource) -> Pointer | None:
    """The last pointer that was signed; None before the first promotion.

    Raises:
        ChampionUnverified: there are pointers and none verifies, or there is none although the journal says
            that a version serves.
    """
    journal = Journal(home.journal / f"{folder.name}.jsonl")
    try:
        pointer = folder.latest_pointer(keys)
    except (PointerBroken, KeyProblem) as error:
        raise ChampionUnverified(_advised(folder, journal, str(error))) from error
    if pointer is not None:
        return pointer
    last = _last_word(journal)
    if last is not None and last.event != "withdrawn" and last.version is not None:
        why = f"by the journal version {last.version} serves, and the release folder has no pointer"
        raise ChampionUnverified(_advised(folder, journal, why))
    return None


def serving_version(home: Home, folder: ReleaseFolder, keys: KeySource) -> int | None:
    """Version that the pointer names; None where there is none, or it was withdrawn.

    Raises:
        ChampionUnverified: something serves, and it can't be verified what.
    """
    pointer = last_pointer(home, folder, keys)
    withdrawn = pointer is None or not folder.version_dir(pointer.version).is_dir()
    return None if pointer is None or withdrawn else pointer.version


def was_withdrawn(home: Home, name: str) -> bool:
    """Whether the last thing that the journal says of who serves is that nothing does."""
    last = _last_word(Journal(home.journal / f"{name}.jsonl"))
    return last is not None and last.event == "withdrawn"


def _last_word(journal: Journal) -> Entry | None:
    """The last entry that says which version serves, or that none does."""
    words = [e for e in journal.entries() if e.event in (*SERVES_AGAIN, "withdrawn")]
    return words[-1] if words else None


def _advised(folder: ReleaseFolder, journal: Journal, why: str) -> str:
    return (
        f"{folder.name}: it can't be verified which version serves: {why}. If the key was exchanged, put "
        "`release.key` back from a copy, or, with the public key of then, run `headgate keys trust "
        f"{folder.name} FILE`. If the folder was damaged, `headgate follow {folder.name} --once` takes over "
        f"what the registry names. To give up what serves, move {folder.path} and {journal.path} aside: the "
        "next model is then judged as the first"
    )
