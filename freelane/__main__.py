"""``python -m freelane``."""

import sys

from freelane.cli.main import main

sys.exit(main())
