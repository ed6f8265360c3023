"""Renew the locks: ``python -m millrace.artifacts jars POM LOCK`` or ``wheels REQUIREMENTS LOCK``."""

import argparse
import sys
from pathlib import Path

from millrace.artifacts import ArtifactError, lock_jars, lock_wheels


def main() -> int:
    """Write one lock and say how much it holds."""
    parser = argparse.ArgumentParser(prog="python -m millrace.artifacts", description="Renew a lock file")
    parser.add_argument("kind", choices=["jars", "wheels"])
    parser.add_argument("wanted", type=Path, help="pom.xml, or a requirements file")
    parser.add_argument("lock", type=Path, help="the lock file to write")
    options = parser.parse_args()
    try:
        if options.kind == "jars":
            number = lock_jars(options.wanted, options.lock)
        else:
            number = lock_wheels(options.wanted, options.lock)
    except ArtifactError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    sys.stdout.write(f"{options.lock}: {number} {options.kind}\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
