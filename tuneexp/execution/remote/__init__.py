"""What runs in processes of its own: the one part of execution that knows Ray."""

import warnings

# What comes from the object store is read only, and nothing here writes to it.
warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
