"""easim: the stand-in for the platform, its discovery API and the instances, with faults at will.

`python3 -m tests.easim --service NAME=100,50 ...` runs it by hand; tests and `make demo` use the
class Easim, which starts that same process and talks to its control API.
"""

from tests.easim.client import Easim, EasimError

__all__ = ["Easim", "EasimError"]
