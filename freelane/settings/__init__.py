"""The one table of options, and where their values come from; imports ``errors`` alone.

``table`` has the options, ``sources`` the environment and pyproject, ``checks`` what cannot be, ``uvicorn`` what
its options mean here, ``documentation`` the tables of the migration guide.
"""

from freelane.settings.sources import convert, resolve
from freelane.settings.table import Settings, flag, kinds

__all__ = ["Settings", "convert", "flag", "kinds", "resolve"]
