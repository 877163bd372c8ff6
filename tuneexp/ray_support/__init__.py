"""Ray: start, environment variables, placement, exit causes, and patches of its internals."""

import warnings

# Arrays of the object store are read-only, and nothing here writes to them.
warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
