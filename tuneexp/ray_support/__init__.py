"""Ray: start, environment variables, placement, exit causes, and patches of its internals."""

import warnings

# What comes from the object store is read only, and nothing here writes to it.
warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
