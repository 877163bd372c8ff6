"""PettingZoo environments, S x N of them with a leading seed axis, seen from the policies that act in them."""

from tuneexp.envs.multi_agent.envs import MultiAgentEnvs, PolicySpaces, PolicyStep, policy_spaces
from tuneexp.envs.multi_agent.sources import MultiAgentSource, is_multi_agent, resolve_multi_agent

__all__ = [
    "MultiAgentEnvs",
    "MultiAgentSource",
    "PolicySpaces",
    "PolicyStep",
    "is_multi_agent",
    "policy_spaces",
    "resolve_multi_agent",
]
