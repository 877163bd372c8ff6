"""`python -m tuneexp` is the same as `tuneexp`."""

import os
import sys

# `-m` puts the working folder first, where a `random.py` would replace Python's own. Unless this package is there.
_HERE = os.getcwd()
if not sys.flags.safe_path and sys.path[:1] == [_HERE] != [os.path.dirname(os.path.dirname(os.path.abspath(__file__)))]:
    del sys.path[0]

from tuneexp.cli import main  # noqa: E402

if __name__ == "__main__":
    main()
