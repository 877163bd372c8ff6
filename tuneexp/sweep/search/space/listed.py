"""A search space that is a list of named configurations, for the sampler grid."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Self

from tuneexp.config import Config, without_suffixes
from tuneexp.errors import UserError
from tuneexp.nesting import ABSENT, flat_of_dotted, nested
from tuneexp.sweep.search.space.binding import Binding, written_over
from tuneexp.sweep.search.space.search_space import SearchSpace

if TYPE_CHECKING:
    from optuna.trial import BaseTrial

KEY = "configurations"  # of a space as a mapping
NAME = "configuration"  # the one parameter that Optuna sees


class ListedSpace(SearchSpace):
    """Named configurations. Optuna sees one choice, the name.

    Args:
        configurations: Hyperparameters of each configuration by its name, nested or flat. Those that one does not name
            have their defaults."""

    def __init__(self, configurations: Mapping[str, Mapping[str, Any]]) -> None:
        super().__init__(())
        self.configurations_by_name = {name: flat_of_dotted(values) for name, values in configurations.items()}

    @classmethod
    def of_mapping(cls, mapping: Mapping[str, Any]) -> Self:
        """Return the space of `{"configurations": {"small": {"learning_rate": 0.001}, ...}}`. UserError if it is
        wrong."""
        if others := [key for key in mapping if key != KEY]:
            raise UserError(f"a space with {KEY} has nothing else; remove {others[0]!r}, or write it in each of them")
        listed = mapping[KEY]
        if isinstance(listed, Mapping) and listed and all(isinstance(one, Mapping) for one in listed.values()):
            return cls({str(name): without_suffixes(values) for name, values in listed.items()})
        raise UserError(f"{KEY} are named mappings, as in  {KEY}: {{small: {{n_envs: 4}}, large: {{n_envs: 16}}}}")

    def to_mapping(self) -> dict[str, Any]:
        return {KEY: {name: nested(values) for name, values in self.configurations_by_name.items()}}

    @property
    def names(self) -> list[str]:
        """Flat names of the hyperparameters that differ between the configurations; of a single one, all names."""
        every = list(self.configurations_by_name.values())
        names = dict.fromkeys(name for values in every for name in values)
        differs = [name for name in names if any(one.get(name, ABSENT) != every[0].get(name, ABSENT) for one in every)]
        return differs if len(every) > 1 else list(names)

    def validate(self, config_class: type[Config], fixed: Mapping[str, Any] | None = None, owner: str = "ppo") -> Self:
        """Check each configuration, with the fixed values, which it must not name."""
        binding = Binding(config_class, flat_of_dotted(fixed or {}), owner)
        binding.check_names(binding.fixed)
        for name, values in self.configurations_by_name.items():
            try:
                binding.check_names(values)
                binding.check_not_fixed(values)
                for hyperparameter, value in values.items():
                    binding.check_value(hyperparameter, value)
                if problem := binding.problem(values):
                    raise UserError(problem)
            except UserError as error:
                raise UserError(f"configuration {name!r}: {error}") from None
        self._binding = binding
        self.rehearsed = list(self.configurations_by_name.values())
        return self

    def corners(self) -> Iterator[Any]:
        """Yield all configurations."""
        assert self._binding is not None
        background = self._background()
        for values in self.configurations_by_name.values():
            yield self._binding.config_class.model_validate(nested(written_over(background, values)))

    def suggest(self, trial: BaseTrial) -> dict[str, Any]:
        return nested(self.configurations_by_name[trial.suggest_categorical(NAME, list(self.configurations_by_name))])

    def initial_params(self) -> list[dict[str, Any]]:
        """Return all configurations: they are tried in their order."""
        return [{NAME: name} for name in self.configurations_by_name]

    def listed_values(self, name: str) -> list[Any]:
        return [values[name] for values in self.configurations_by_name.values() if name in values]


def check_sampler(space: SearchSpace, sampler: str) -> None:
    """Raise UserError if the sampler would repeat or leave out configurations of a list."""
    if isinstance(space, ListedSpace) and sampler not in ("grid", "brute_force") and ":" not in sampler:
        raise UserError(f"{sampler} can't search a list of configurations; write --searcher grid: each is tried once")
