"""Side by side: prove that contenders give equal answers, then show what the answers cost.

``freelane bench`` on the command line, ``freelane.bench.compare(...)`` from Python, the fixture
``freelane_ab`` in pytest. Works on any app; the first contender need not be freelane.
"""

from freelane.bench.api import compare
from freelane.bench.contenders import Contender, ContenderFailed
from freelane.bench.differences import Difference
from freelane.bench.load import LoadFailed
from freelane.bench.requests import Request
from freelane.bench.results import Result

__all__ = ["Contender", "ContenderFailed", "Difference", "LoadFailed", "Request", "Result", "compare"]
