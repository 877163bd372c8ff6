"""A search space that is a list of named configurations, for the sampler grid."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Self

from tuneexp.config import Config, without_suffixes
from tuneexp.errors import UserError
from tuneexp.nesting import ABSENT, flat_of_dotted, nested
from tuneexp.sweep.search.space.binding import Binding, written_over
from tuneexp.sweep.search.space.search_space import SearchSpace
from tuneexp.trial.schedule import check_schedule

if TYPE_CHECKING:
    from optuna.trial import BaseTrial

KEY = "configurations"  # of a space as a mapping
SCHEDULES = "schedules"  # beside it: changes of hyperparameters while a configuration trains, by its name
NAME = "configuration"  # the one parameter that Optuna sees


class ListedSpace(SearchSpace):
    """Named configurations. Optuna sees one choice, the name.

    Args:
        configurations: Hyperparameters of each configuration by its name, nested or flat. Those that one does not name
            have their defaults.
        schedules: Changes of some of them while they train, as in `TrialConfig`."""

    def __init__(
        self,
        configurations: Mapping[str, Mapping[str, Any]],
        schedules: Mapping[str, list[dict[str, Any]]] | None = None,
    ) -> None:
        super().__init__(())
        self.schedules = dict(schedules or {})
        self.configurations_by_name = {name: flat_of_dotted(values) for name, values in configurations.items()}

    @classmethod
    def of_mapping(cls, mapping: Mapping[str, Any]) -> Self:
        """Return the space of `{"configurations": {"small": {"learning_rate": 0.001}, ...}}`. UserError if it is
        wrong."""
        if others := [key for key in mapping if key not in (KEY, SCHEDULES)]:
            raise UserError(f"a space with {KEY} has nothing else; remove {others[0]!r}, or write it in each of them")
        listed = mapping[KEY]
        if isinstance(listed, Mapping) and listed and all(isinstance(one, Mapping) for one in listed.values()):
            found = {str(name): without_suffixes(values) for name, values in listed.items()}
            return cls(found, _schedules_in(mapping, found))
        raise UserError(f"{KEY} are named mappings, as in  {KEY}: {{small: {{n_envs: 4}}, large: {{n_envs: 16}}}}")

    def to_mapping(self) -> dict[str, Any]:
        listed = {KEY: {name: nested(values) for name, values in self.configurations_by_name.items()}}
        return {**listed, SCHEDULES: self.schedules} if self.schedules else listed

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
                check_schedule(self.schedules.get(name, ()), config_class, owner, owner)
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

    def trial_settings(self, params: Mapping[str, Any]) -> dict[str, Any]:
        schedule = self.schedules.get(params[NAME])
        return {"schedule": schedule} if schedule else {}

    def initial_params(self) -> list[dict[str, Any]]:
        """Return all configurations: they are tried in their order."""
        return [{NAME: name} for name in self.configurations_by_name]

    def listed_values(self, name: str) -> list[Any]:
        return [values[name] for values in self.configurations_by_name.values() if name in values]


def _schedules_in(mapping: Mapping[str, Any], listed: Mapping[str, Any]) -> dict[str, list[dict[str, Any]]]:
    found = mapping.get(SCHEDULES, {})
    if (
        not isinstance(found, Mapping)
        or not {*found} <= {*listed}
        or not all(isinstance(o, list) for o in found.values())
    ):
        raise UserError(f"{SCHEDULES} are lists of changes by the name of a configuration: {', '.join(listed)}")
    return dict(found)


def check_sampler(space: SearchSpace, sampler: str) -> None:
    """Raise UserError if the sampler would repeat or leave out configurations of a list."""
    if isinstance(space, ListedSpace) and sampler not in ("grid", "brute_force") and ":" not in sampler:
        raise UserError(f"{sampler} can't search a list of configurations; write --searcher grid: each is tried once")
