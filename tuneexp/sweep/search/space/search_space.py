"""Search spaces of a sweep: in YAML, as Tune's sample objects, or as a define-by-run function."""

from __future__ import annotations

import copy
import json
import logging
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from pydantic import ValidationError

from tuneexp.addresses import is_address, load_address
from tuneexp.commands import command
from tuneexp.config import Config
from tuneexp.errors import UserError
from tuneexp.files.yaml_reading import load_yaml_mapping
from tuneexp.nesting import flat_of_dotted, nested
from tuneexp.sweep.search.space import walk as conditional
from tuneexp.sweep.search.space.binding import Binding, overlap, written_over
from tuneexp.sweep.search.space.dimensions import Values
from tuneexp.sweep.search.space.points import check_point, flat_point, initial_points
from tuneexp.sweep.search.space.rehearsal import rehearse
from tuneexp.sweep.search.space.space_parser import Dimension, parse_entries
from tuneexp.sweep.search.space.walk import (
    InfeasiblePoint,
    active_part,
    check_conditions,
    check_constraints,
    narrowable,
    offered,
    ordered,
)

if TYPE_CHECKING:
    from optuna.trial import BaseTrial

logger = logging.getLogger(__name__)


class SearchSpace:
    """A search space. `SearchSpace.of` reads every accepted form; `validate` comes before the first `suggest`.

    Args:
        dimensions: Hyperparameters that vary.
        constants: Hyperparameters with the same value in every trial.
        initial: Points to try first."""

    def __init__(
        self,
        dimensions: Sequence[Dimension],
        constants: Mapping[str, Any] | None = None,
        initial: Sequence[Mapping[str, Any]] = (),
    ) -> None:
        self.dimensions = {dimension.name: dimension for dimension in dimensions}
        self.constants = dict(constants or {})
        self.initial = [flat_point(point, self.dimensions) for point in initial]
        self._binding: Binding | None = None
        # Suggestions of a define-by-run function in its rehearsals, by name. Empty for other spaces.
        self.suggested: dict[str, list[str]] = {}
        self.rehearsed: list[dict[str, Any]] = []  # flat values of random suggestions
        self._tried = list(self.initial)  # without points that contradict fixed values
        for number, point in enumerate(self.initial, 1):
            check_point(point, self.dimensions, number)
        check_conditions(self.dimensions)
        self._order = ordered(self.dimensions, ())
        # What Optuna sees of each dimension, the same in every trial: its values without those that no trial can have.
        self._offered: dict[str, Values] = {name: dimension.values for name, dimension in self.dimensions.items()}

    @classmethod
    def of(cls, space: Any) -> SearchSpace:
        """Return the space of a YAML path, an address, a mapping (also with Tune's sample objects) or a function."""
        if isinstance(space, SearchSpace):
            return space
        if isinstance(space, str) and is_address(space):
            return cls.of(load_address(space, "search space"))
        if isinstance(space, str | Path):
            return cls.load(space)
        if isinstance(space, Mapping):
            return cls.from_mapping(space)
        if not callable(space):
            raise UserError(f"{space!r} is no search space; give a YAML file, a mapping, module:NAME or a function")
        return cls.from_function(space)

    @classmethod
    def load(cls, path: str | Path) -> SearchSpace:
        """Read a space from a YAML file. UserError with the name of the file."""
        mapping = load_yaml_mapping(path)
        if len({"algorithm", "env", "space", "trials", "env_steps"} & set(mapping)) > 1:
            raise UserError(f"{path} is an experiment, no search space; write {command('sweep', path)}")
        try:
            return cls.from_mapping(mapping)
        except UserError as error:
            raise UserError(f"{path}: {error}") from None

    @classmethod
    def from_mapping(cls, mapping: Mapping[str, Any]) -> SearchSpace:
        """Read the form of `to_mapping`, also with Tune's sample objects: `{"gamma": tune.uniform(0.9, 0.99)}`."""
        if set(mapping) == {"function"} and isinstance(mapping["function"], str):
            return cls.of(mapping["function"])
        if "configurations" in mapping:
            from tuneexp.sweep.search.space.listed import ListedSpace

            return ListedSpace.of_mapping(mapping)
        dimensions: list[Dimension] = []
        constants: dict[str, Any] = {}
        names: list[str] = []
        for name, entry in parse_entries({key: value for key, value in mapping.items() if key != "initial"}):
            if clash := next((other for other in names if overlap(name, other)), None):
                raise UserError(f"{name!r} and {clash!r} of the space are the same hyperparameter; keep one of them")
            names.append(name)
            if isinstance(entry, Dimension):
                dimensions.append(entry)
            else:
                constants[name] = entry
        if not dimensions:
            raise UserError("the space varies nothing; write at least one range, as in  gamma: {uniform: [0.9, 0.999]}")
        return cls(dimensions, constants, initial_points(mapping.get("initial", [])))

    @classmethod
    def from_function(cls, function: Callable[[BaseTrial], dict[str, Any] | None]) -> SearchSpace:
        """Return a define-by-run space: `function(trial)` calls `trial.suggest_*` and may return further values."""
        from tuneexp.sweep.search.space.function import FunctionSpace

        return FunctionSpace(function)

    def to_mapping(self) -> dict[str, Any]:
        """Return the space as plain JSON, which `from_mapping` reads."""
        spelled = copy.deepcopy({name: d.spell() for name, d in self.dimensions.items()} | self.constants)
        return spelled | ({"initial": copy.deepcopy(self.initial)} if self.initial else {})

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SearchSpace) and self.to_mapping() == other.to_mapping()

    __hash__ = None  # type: ignore[assignment]

    @property
    def names(self) -> list[str]:
        """Flat names of the varied hyperparameters, such as `model/activation`."""
        return list(self.dimensions)

    def trial_settings(self, params: Mapping[str, Any]) -> dict[str, Any]:
        return {}  # beside the hyperparameters; params: those of Optuna

    def listed_values(self, name: str) -> list[Any]:
        """Return the values of a varied hyperparameter that are checked: bounds of its range, or its options."""
        return list(self.dimensions[name].values.probes()) if name in self.dimensions else []

    def validate(self, config_class: type[Config], fixed: Mapping[str, Any] | None = None, owner: str = "ppo") -> Self:
        """Check the space and bind it to a configuration class and to fixed values, which override its constants.

        Args:
            config_class: Configuration class of the algorithm.
            fixed: Fixed hyperparameters, nested.
            owner: Name of the algorithm, for messages.

        Returns:
            The space.

        Raises:
            UserError: An unknown name, a value out of bounds, a name both fixed and varied, a constraint that no
                suggestion satisfies, or an initial point that violates one.
        """
        binding = Binding(config_class, flat_of_dotted(fixed or {}), owner)
        conditions = [name for dimension in self.dimensions.values() for name in dimension.when]
        binding.check_names([*binding.fixed, *self.names, *self.constants, *conditions])
        binding.check_not_fixed(self.names)
        for name, value in binding.fixed.items():
            binding.check_value(name, value)
        for name, value in self.constants.items():
            listed = f"; to search these write {{choice: {json.dumps(value)}}}" if isinstance(value, list) else ""
            binding.check_value(name, value, listed)
        for dimension in self.dimensions.values():
            for probe in dimension.values.probes():
                binding.check_value(dimension.name, probe)
        order = ordered(self.dimensions, binding.constraints)
        self._order, self._binding = order, binding
        check_constraints(order, self._background(), binding.constraints)
        self._offered = offered(order, self._background(), binding.constraints)
        self._tried = [point for number, point in enumerate(self.initial, 1) if self._fits(point, number)]
        self.rehearsed = []
        rehearse(lambda trial: self.rehearsed.append(flat_of_dotted(self.suggest(trial))))
        return self

    def corners(self) -> Iterator[Any]:
        """Yield configurations with one dimension at one of its bounds and defaults for the others."""
        moves = [{d.name: value} for d in self.dimensions.values() for value in d.values.probes()]
        yield from self.configurations([{}, *moves])

    def corners_of(self, names: Collection[str]) -> Iterator[Any]:
        """Yield configurations with all combinations of the bounds of `names`, and some random suggestions.

        The latter reach bounds that are valid only with other values than the defaults."""
        varied = {name: list(d.values.probes()) for name, d in self.dimensions.items() if name in names}
        moves = (dict(zip(varied, values, strict=True)) for values in product(*varied.values()))
        known = {name: value for name, value in self._background().items() if name not in self.dimensions}
        yield from self.configurations(active_part(self._order, known, move) for move in moves)
        distinct = {tuple(point.get(name) for name in names): point for point in self.rehearsed}
        yield from self.configurations(distinct.values())

    def configurations(self, moves: Iterable[Mapping[str, Any]]) -> Iterator[Any]:
        """Yield the configurations of flat values, with defaults for the others. Invalid ones are left out."""
        assert self._binding is not None
        background = self._background()
        for move in moves:
            try:
                yield self._binding.config_class.model_validate(nested(written_over(background, move)))
            except ValidationError:
                continue

    def suggest(self, trial: BaseTrial) -> dict[str, Any]:
        """Suggest every active dimension. Returns the searched values and the constants, nested.

        `FixedTrial(trial.params)` repeats the suggestion. Raises InfeasiblePoint if the configuration refuses the
        combination; declared constraints (`Config.constraints`) avoid that."""

        def pick(dimension: Dimension, values: Values) -> Any:
            whole = self._offered[dimension.name]
            return whole.suggest(dimension.name, trial, None if values == whole else values)

        searched = self.walk(pick)
        values = self._free_constants() | searched
        if self._binding is not None and (problem := self._binding.problem(values)):
            raise InfeasiblePoint(problem)
        return nested(values)

    def narrowed_names(self) -> list[str]:
        """Return the dimensions whose values depend on those of others by a constraint of the configuration."""
        return narrowable(self._order, self._background(), self._binding.constraints) if self._binding else []

    def current_names(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """Return Optuna parameters that an earlier version stored by the names of today.

        It named a narrowed choice by its options, as in `batch_size in [64, 128]`."""
        renamed = {name: name.partition(" in [")[0] for name in params}
        return {renamed[name] if renamed[name] in self.dimensions else name: value for name, value in params.items()}

    def initial_params(self) -> list[dict[str, Any]]:
        """Return the initial points for `study.enqueue_trial`, by Optuna's names."""
        return [self._recorded(point) for point in self._tried]

    def _recorded(self, point: Mapping[str, Any]) -> dict[str, Any]:
        """Return the Optuna parameters for which `suggest` returns the flat `point`. KeyError for a missing name."""
        params: dict[str, Any] = {}

        def pick(dimension: Dimension, values: Values) -> Any:
            value = point[dimension.name]
            if not values.contains(value):
                raise InfeasiblePoint(f"{dimension.name}={value!r} is outside of its constraints: {values.spell()}")
            params.update(values.recorded(dimension.name, value))
            return value

        self.walk(pick)
        return params

    def walk(self, pick: Callable[[Dimension, Values], Any]) -> dict[str, Any]:
        """Return flat values of the active dimensions, each from `pick(dimension, values that fit the others)`."""
        constraints = self._binding.constraints if self._binding else ()
        return conditional.walk(self._order, self._background(), constraints, pick)

    def _background(self) -> dict[str, Any]:
        return written_over(self._binding.background() if self._binding else {}, self._free_constants())

    def _free_constants(self) -> dict[str, Any]:
        fixed = self._binding.fixed if self._binding else {}
        return {k: copy.deepcopy(v) for k, v in self.constants.items() if not any(overlap(k, name) for name in fixed)}

    def _fits(self, point: Mapping[str, Any], number: int) -> bool:
        """Return True if an initial point is compatible with the fixed values. UserError if it is invalid by itself."""
        assert self._binding is not None
        problem = self._problem_of(point)
        if problem is None:
            return True
        binding = self._binding
        try:
            self._binding = replace(binding, fixed={})
            wrong_anyway = not binding.fixed or self._problem_of(point) is not None
        finally:
            self._binding = binding
        if wrong_anyway:
            raise UserError(f"initial point {number}: {problem}")
        # A user who fixes n_envs should not have to edit a default space for it.
        logger.warning("initial point %d is left out, since it contradicts the fixed values: %s", number, problem)
        return False

    def _problem_of(self, point: Mapping[str, Any]) -> str | None:
        assert self._binding is not None
        try:
            self._recorded(point)
            reached = self.walk(lambda dimension, _: point[dimension.name])
        except KeyError as missing:
            return f"{missing.args[0]!r} is missing; write a value for every searched hyperparameter"
        except InfeasiblePoint as problem:
            return str(problem)
        if idle := next((name for name in point if name not in reached), None):
            return f"{idle!r} is searched only when {dict(self.dimensions[idle].when)}; remove it"
        return self._binding.problem({**self._free_constants(), **point})
