"""`MultiAgentBatch`: experience of several policies in the same environments."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from tuneexp.data.sample_batch import FRAGMENT_AXES, SampleBatch, concat_samples
from tuneexp.errors import UserError


class MultiAgentBatch(Mapping[str, SampleBatch]):
    """Immutable mapping from policy names to fragments, columns [T, S, L, ...].

    The axis "env" (L) counts seats: an agent in an environment. Row t + 1 of a seat is the next action of this agent.
    Seats with fewer rows are padded at their end, with `valid` False. T and L differ between policies; S is the same. A
    policy whose rollout is not complete is absent.

    Args:
        batches: Fragments by policy, each with a column `valid`.
        env_steps: Calls of `step` per seed, over all its environments.

    Raises:
        UserError: A batch has other axes, or no column `valid`.
    """

    def __init__(self, batches: Mapping[str, SampleBatch], env_steps: int) -> None:
        for policy, batch in batches.items():
            if batch.axes != FRAGMENT_AXES or "valid" not in batch:
                raise UserError(
                    f"a MultiAgentBatch takes fragments with the axes {FRAGMENT_AXES} and a column valid; that of "
                    f"{policy!r} has {batch.axes} and {', '.join(batch)}"
                )
        self._batches, self.env_steps = dict(batches), env_steps

    def __getitem__(self, policy: str) -> SampleBatch:
        return self._batches[policy]

    def __iter__(self) -> Iterator[str]:
        return iter(self._batches)

    def __len__(self) -> int:
        return len(self._batches)

    # Equality of mappings would need a single truth value of tensors.
    __eq__ = object.__eq__
    __hash__ = object.__hash__

    @property
    def agent_steps(self) -> dict[str, int]:
        """Policy -> transitions of its agents, of all seeds; rows that aren't valid don't count."""
        return {policy: int(batch["valid"].sum()) for policy, batch in self.items()}

    def __repr__(self) -> str:
        return f"MultiAgentBatch(env_steps={self.env_steps}, agent_steps={self.agent_steps})"


def concat_multi_agent(batches: Sequence[MultiAgentBatch]) -> MultiAgentBatch:
    """Concatenate batches in time; a policy may be absent from some. Raises `UserError` as `concat_samples`, and for
    none.
    """
    if not batches:
        raise UserError("concat_multi_agent needs at least one batch")
    policies = dict.fromkeys(policy for batch in batches for policy in batch)
    joined = {
        policy: concat_samples([batch[policy] for batch in batches if policy in batch], axis="time")
        for policy in policies
    }
    return MultiAgentBatch(joined, sum(batch.env_steps for batch in batches))
