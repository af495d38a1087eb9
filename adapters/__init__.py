"""One adapter per framework: each turns an app into something the gateway serves faster. Imports fastcore.

Importing this registers the adapters that come with freelane; Pyre's registers as its apps import it.
"""

from freelane.adapters import fastapi as fastapi
from freelane.adapters import starlette as starlette
