"""Labels that are not what their author meant, planted one by one in good files of every format.

Each is read as meant, refused or remarked on by a rule about labels; none may become a class in silence.
Sound files of the same formats are neither refused nor remarked on, and the scan is cheap. `--only TEXT`
tries the defects whose name holds it.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections import Counter
from pathlib import Path

from tests.support.contract import Report, Size, run
from tests.support.label_file_defects import planted
from tests.support.label_files import FORMATS, Make, Read, read
from tests.support.label_scan import scan_share
from tests.support.measures import Measure, at_least, at_most
from tests.support.sound_labels import sound

GOAL = "no label is read in silence as something else, and no sound file is refused or remarked on"
QUICK_S, WHOLE_S = 45, 800
SIZES = {
    "every": Size(1, 23, "try one defect in so many"),
    "sound": Size(200, 10, "sound files"),
    "rows": Size(1_000_000, 20_000, "rows of the merge whose time the scan is compared with"),
    "seed": Size(17, 17, "of the made-up rows"),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options beside the sizes."""
    parser.add_argument("--only", default="", help="only defects whose name holds this text")


def measure(options: argparse.Namespace) -> Report:
    """Try all of them.

    Raises:
        CannotMeasure: nothing matches `--only`.
    """
    tried = [
        (kind, form, make) for form in FORMATS for kind, make in planted(form).items() if options.only in kind
    ]
    endings: Counter[str] = Counter()
    silent: list[str] = []
    print(f"seed {options.seed}, {len(tried[:: options.every])} defects", flush=True)
    for number, (kind, form, make) in enumerate(tried[:: options.every]):
        found = _tried(make, form, options.seed + number)
        endings[found.ending] += 1
        print(f"  {form:8} {kind}: {found.ending} {', '.join(sorted(found.rules))}", flush=True)
        if found.ending == "silent":
            silent.append(f"{kind} ({form})")
    refused = remarked = 0
    for number in range(options.sound):
        form = FORMATS[number % len(FORMATS)]
        found = _tried(sound, form, options.seed + number)
        refused += found.ending == "refused"
        remarked += bool(found.rules) or found.ending == "silent"
        if found.ending != "as meant" or found.rules:
            print(f"  sound {form}, seed {options.seed + number}: {found.ending} {found.said}", flush=True)
    share, merge = scan_share(options.rows)
    cheap = at_most(10) if options.rows >= 1_000_000 else None
    kinds = {kind for kind, _, _ in tried[:: options.every]}
    of_all = [kind for kind in planted("parquet") if options.only in kind]
    whole = options.every == 1 and not options.only
    return Report(
        (
            Measure("kinds that every format can have", len(of_all), "", at_least(40) if whole else None),
            Measure("kinds tried", len(kinds), "", None),
            *(
                Measure(f"defects {name}", endings[name], "", None)
                for name in ("as meant", "refused", "remarked")
            ),
            Measure("defects read in silence", len(silent), "", at_most(0)),
            Measure("sound files refused", refused, f"of {options.sound}", at_most(0)),
            Measure("sound files remarked on", remarked, f"of {options.sound}", at_most(0)),
            Measure(f"scan of {options.rows:,} rows", 100 * share, "% of the merge", cheap),
            Measure("merge", merge, "s of processor time"),
        )
    )


def _tried(make: Make, form: str, seed: int) -> Read:
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        return read(make(form, folder, seed), folder)


if __name__ == "__main__":
    sys.exit(run(measure))
