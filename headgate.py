"""The command `headgate`: has this program's own packages imported and no others, then hands over.

They have plain names such as `tasks` and `model`. A file of the user's with such a name, in a folder that
`PYTHONPATH` puts in front, would take a package's place, here and in each process that is started.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path


def own_packages_first() -> None:
    """Put this program's folder in front of what `PYTHONPATH` names, here and for processes started here."""
    given = os.environ.get("PYTHONPATH")
    if given:
        own = str(Path(__file__).resolve().parent)
        sys.path.insert(0, own)
        os.environ["PYTHONPATH"] = os.pathsep.join([own, given])


def main() -> None:
    """Run the command line."""
    own_packages_first()
    from flows.cli.commands import main as command

    command()


if __name__ == "__main__":
    main()
