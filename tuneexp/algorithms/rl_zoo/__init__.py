"""Translation of RL Zoo configurations to names and values used here."""

from tuneexp.algorithms.rl_zoo.keys import INSTEAD, RL_ZOO_KEYS, from_rl_zoo

__all__ = ["INSTEAD", "RL_ZOO_KEYS", "from_rl_zoo"]
