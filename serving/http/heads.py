"""Which heads a request asks for, and what is said of one that is not answered.

Does not know answers.
"""

from __future__ import annotations

from collections.abc import Sequence

from serving.http.body import Refused
from serving.http.loading import Served


def heads_of(wanted: Sequence[str] | None, served: Served) -> tuple[str, ...]:
    """The heads to answer, each once and in the card's order; all of them where none is asked for.

    Raises:
        Refused: 422, for a head that the version does not answer: with its place, or where an earlier version
            answered it, with the one that dropped it.
    """
    known = served.bundle.card.heads
    if wanted is None:
        return tuple(known)
    for number, head in enumerate(wanted):
        if head in known:
            continue
        if (gone := served.manifest.dropped_heads.get(head)) is not None:
            since = f"version {gone.version} ({gone.at})"
            if gone.now in known:
                said = f'head "{head}" is called "{gone.now}" since {since}'
            else:
                said = f'head "{head}" is not answered any more: {since} dropped it'
            raise Refused(422, "head_dropped", said)
        what = f"version {served.version}, which answers {', '.join(known)}"
        raise Refused(422, "no_such_head", f'"heads.{number}" is not a head of {what}')
    return tuple(head for head in known if head in set(wanted))
