"""RL Zoo's configurations pasted in: its names and values, as they are written here."""

from tuneexp.algorithms.rl_zoo.keys import INSTEAD, RL_ZOO_KEYS, from_rl_zoo

__all__ = ["INSTEAD", "RL_ZOO_KEYS", "from_rl_zoo"]
