"""Where things lie that tests read."""

import os
from pathlib import Path

ROOT = Path(__file__).parents[2]
# The real data and weights.
SHARED = Path(os.environ.get("HEADSTART_SHARED", ROOT / ".." / "shared")).resolve()
