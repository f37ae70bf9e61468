"""Lists all benchmarks; `--quick` runs them."""

import sys

from tests.support.catalogue import main

if __name__ == "__main__":
    sys.exit(main("benchmarks"))
