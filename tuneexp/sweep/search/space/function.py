"""Define-by-run search spaces: a user's function of an Optuna trial, stored by its address."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Self

from tuneexp.addresses import address_of, load_address
from tuneexp.config import Config
from tuneexp.errors import TuneexpError, UserError, reason_of
from tuneexp.nesting import flat_of_dotted, nested, slashed
from tuneexp.sweep.search.space.binding import Binding, overlap
from tuneexp.sweep.search.space.rehearsal import rehearse
from tuneexp.sweep.search.space.search_space import SearchSpace
from tuneexp.sweep.search.space.space_parser import plain_value
from tuneexp.sweep.search.space.walk import InfeasiblePoint

if TYPE_CHECKING:
    from optuna.trial import BaseTrial

_HELPER = "_"


class FunctionSpace(SearchSpace):
    """Search space of a function.

    `function(trial)` calls `trial.suggest_*`, whose names are hyperparameters (`model/activation` for nested ones),
    and may return a mapping of further values. A name that begins with `_` is a helper variable: Optuna records it,
    but it is no hyperparameter.

    The function is stored by its address. `validate` finds its hyperparameters in random rehearsals."""

    def __init__(self, function: Callable[[BaseTrial], dict[str, Any] | None], address: str | None = None) -> None:
        super().__init__(())
        self.address = address or address_of(function, "search space")
        self._function = function
        self._names: list[str] = []

    def to_mapping(self) -> dict[str, Any]:
        return {"function": self.address}

    @property
    def names(self) -> list[str]:
        return list(self._names)

    def validate(self, config_class: type[Config], fixed: Mapping[str, Any] | None = None, owner: str = "ppo") -> Self:
        """Call the function with random trials, and check names, bounds and whole configurations."""
        from optuna.distributions import distribution_to_json

        binding = Binding(config_class, flat_of_dotted(fixed or {}), owner)
        binding.check_names(binding.fixed)
        for name, value in binding.fixed.items():
            binding.check_value(name, value)
        self._binding = binding
        self.rehearsed = []
        seen: dict[str, Any] = {}
        varied: dict[str, None] = {}  # in the order of the calls

        self.suggested = {}

        def one(trial: BaseTrial) -> None:
            values = self._values(trial)
            for name, distribution in trial.distributions.items():
                self._note(name, distribution_to_json(distribution))
            binding.check_names(values)
            binding.check_not_fixed(values)
            for name, value in values.items():
                for probe in _ends(trial, name, value):
                    binding.check_value(name, probe)
                if name in trial.distributions or seen.setdefault(name, value) != value:
                    varied[name] = None
            self._refuse_invalid(values)
            self.rehearsed.append(values)

        rehearse(one)
        if not varied:
            raise UserError(
                f"search space {self.address} varies nothing; call trial.suggest_float(...) or a similar method in it"
            )
        self._names = list(varied)
        return self

    def _note(self, name: str, asked: str) -> None:
        if asked not in (noted := self.suggested.setdefault(name, [])):
            noted.append(asked)

    def suggest(self, trial: BaseTrial) -> dict[str, Any]:
        values = self._values(trial)
        self._refuse_invalid(values)
        return nested(values)

    def _refuse_invalid(self, values: Mapping[str, Any]) -> None:
        if self._binding is not None and (problem := self._binding.problem(values)):
            raise InfeasiblePoint(problem)

    def _values(self, trial: BaseTrial) -> dict[str, Any]:
        """Return the suggested and the returned values as one flat mapping."""
        try:
            returned = self._function(trial)
        except TuneexpError:
            raise
        except BaseException as error:
            raise UserError(f"search space {self.address} raised {reason_of(error)}") from error
        if not isinstance(returned, Mapping | None):
            raise UserError(
                f"search space {self.address} returned {returned!r}; return a mapping of values, or nothing"
            )
        asked = {slashed(name): value for name, value in trial.params.items() if not name.startswith(_HELPER)}
        values = {name: plain_value(name, value) for name, value in flat_of_dotted(returned or {}).items()}
        for name in values:
            if any(overlap(name, other) for other in asked):
                raise UserError(
                    f"search space {self.address} suggests {name!r} and returns it, too; name the suggestion '_{name}'"
                )
        return asked | values

    def __getstate__(self) -> dict[str, Any]:
        # By address: another process can't import a function of a file by its module's name.
        return {key: value for key, value in self.__dict__.items() if key != "_function"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._function = load_address(self.address, "search space")


def _ends(trial: BaseTrial, name: str, value: Any) -> list[Any]:
    distribution: Any = trial.distributions.get(name)
    if distribution is None:
        return [value]
    return list(getattr(distribution, "choices", ())) or [distribution.low, distribution.high, value]
