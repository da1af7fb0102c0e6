"""What tests of several subjects use: second implementations, networks, and programs that tests start."""

from pathlib import Path

#: The repository. Programs of this package are started there, as `python -m tests.support.NAME`.
ROOT = Path(__file__).parents[2]
