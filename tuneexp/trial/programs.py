"""Programs of a policy, for acting and for gradient steps. They are built once per shape and reused by later trials."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor

from tuneexp.algorithms.base_config import AlgorithmConfig
from tuneexp.algorithms.spec import AlgorithmSpec
from tuneexp.envs.tensor.env_step import env_step
from tuneexp.envs.tensor.program import TensorProgram
from tuneexp.learning.act import Act
from tuneexp.learning.algorithm_functions import ActFn
from tuneexp.learning.compile.build import Built, CompileMode, Pending, ProgramSpec, build_programs, built
from tuneexp.learning.compile.program import Program, eager
from tuneexp.learning.compile.workload import Workload
from tuneexp.learning.devices import CPU
from tuneexp.learning.functional_state import functional_optimizers
from tuneexp.learning.gradient import GradientStep
from tuneexp.learning.hyper import LEARNING_RATE
from tuneexp.learning.learner import Learner
from tuneexp.learning.loss_parts import check_parts
from tuneexp.learning.seed_networks import SeedNetworks
from tuneexp.learning.shared_rows import combined, of_some_rows
from tuneexp.learning.user_functions import wrap_errors
from tuneexp.learning.whole_updates import Steps
from tuneexp.sampling.rollout import RolloutProgram
from tuneexp.sampling.rollout_step import RolloutStep
from tuneexp.trial.shapes import TrialShapes, check_rows


@dataclass(frozen=True)
class TrialPrograms:
    """Programs of one policy.

    Args:
        act: acting function.
        act_program: built from `act`.
        steps: gradient steps and their programs, by the omitted parts of the loss.
        columns: one row of each training column, for its shape and type.
        read: structural fields that the functions of the algorithm read, and their values.
        spaces: of observations and actions.
        rollout: step of acting and of tensor environments; None: the environments are no tensor program.
        pending: compiled programs in the making, which are to replace eager ones.
    """

    act: Act
    act_program: Program
    steps: Steps
    columns: Mapping[str, Tensor]
    read: Mapping[str, Any]
    spaces: tuple[Any, Any]
    rollout: RolloutProgram | None = None
    pending: Pending | None = None

    @property
    def compiled(self) -> bool:
        return all(program.compiled for _, program in self.steps.values())

    def all(self) -> list[Program]:
        """Return the program for acting and those of the gradient steps."""
        acting = self.act_program if self.rollout is None else self.rollout.program
        return [acting, *(program for _, program in self.steps.values())]

    @property
    def captured(self) -> bool:
        return all(program.captured for _, program in self.steps.values())

    def fits(self, static: Mapping[str, Any], spaces: tuple[Any, Any]) -> bool:
        """Return True if the programs can be reused.

        The structural fields that their functions read must be equal, and the spaces: networks have constants of them,
        such as the bounds of actions."""
        return self.spaces == spaces and all(static[name] == value for name, value in self.read.items())

    def with_programs(self, found: Built) -> TrialPrograms:
        """Return the same functions with other programs."""
        act, *programs = found.programs
        steps = {
            omitted: (step, program) for (omitted, (step, _)), program in zip(self.steps.items(), programs, strict=True)
        }
        if self.rollout is None:
            return replace(self, act_program=act, steps=steps, pending=found.pending)
        return replace(self, rollout=self.rollout._replace(program=act), steps=steps, pending=found.pending)

    def newest(self) -> TrialPrograms:
        """Return the compiled programs if they have been made meanwhile, else these."""
        if self.pending is None or not self.pending.is_over():
            return self
        found = self.pending.result()
        newest = replace(self, pending=None) if found is None else self.with_programs(found)
        for made in _BUILT.values():
            made[:] = [newest if one is self else one for one in made]
        return newest


# Tune reuses actors: a trial with the same shapes reuses the programs of an earlier trial.
_BUILT: OrderedDict[Hashable, list[TrialPrograms]] = OrderedDict()
MAX_SHAPES = 32


def programs_for(
    spec: AlgorithmSpec, learner: Learner, shapes: TrialShapes, mode: CompileMode, workload: Workload,
    tensor: TensorProgram | None = None, meanwhile: bool = False,
) -> TrialPrograms:  # fmt: skip
    """Return programs for a policy, built at the first call for the same functions, shapes and structural fields.

    Args:
        spec: of the policy.
        learner: of the policy.
        shapes: of its data.
        mode: compilation mode.
        workload: of the programs.
        tensor: environment that this process steps, if it is one of tensors.
        meanwhile: with `auto`, return eager programs while others are compiled.
    """
    key = (
        spec.build_model, spec.act_fn, spec.loss_fn, spec.postprocess_fn, type(learner.cfg), learner.hyper.names,
        shapes, tuple(type(module) for module in learner.model.modules()),
        tuple((name, leaf.shape) for name, leaf in learner.parameters.items()),
        tuple(learner.periods.all_omitted()), learner.target and learner.target.moves_with_updates, mode, meanwhile,
        workload.repays_compiling(), learner.device, LEARNING_RATE in learner.hyper.differing,
        whole_updates(learner) and functional_optimizers(learner.optimizer, learner.stack),
        None if tensor is None else (tensor.kind, normalises(learner)),
    )  # fmt: skip
    made = _BUILT.setdefault(key, [])
    _BUILT.move_to_end(key)
    if len(_BUILT) > MAX_SHAPES:
        _BUILT.popitem(last=False)
    for programs in made:
        if programs.fits(learner.hyper.static, shapes.spaces):
            return programs.newest()
    made.append(_build(spec, learner, shapes, mode, workload, tensor, meanwhile))
    return made[-1]


def _build(
    spec: AlgorithmSpec, learner: Learner, shapes: TrialShapes, mode: CompileMode, workload: Workload,
    tensor: TensorProgram | None, meanwhile: bool,
) -> TrialPrograms:  # fmt: skip
    hyper, n_seeds = learner.hyper, len(learner.seeds)
    act, inputs = _act(learner, spec.act_fn, shapes)
    with wrap_errors("act_fn", spec.act_fn, act.noise_names):
        action, *acted = act(inputs)
    kept = dict(zip(act.column_names, acted[int(act.recurrent) :], strict=True))
    check_rows("act_fn", {"action": action, **kept}, (n_seeds, shapes.n_envs), "[N, ...] for each seed")
    fragment = shapes.fragment(n_seeds, EXAMPLE_STEPS, action, kept)
    with wrap_errors("postprocess_fn", spec.postprocess_fn, list(fragment)):
        columns = shapes.training_columns(learner, spec.postprocess_fn, fragment, hyper.view_of_seeds(act.reads))
    steps, example = _gradient_steps(learner, shapes, columns)
    _try_eagerly(learner, steps, example)
    trace = n_seeds > 1  # one seed: an ordinary step beats its own trace, and nothing of the compiler need be loaded
    step_specs = _program_specs(steps, example, trace)
    if whole_updates(learner):
        columns_of = shapes.minibatch(n_seeds, columns)
        step_specs = [
            replace(spec, in_place=learner.in_place_spec(step, columns_of))
            for spec, step in zip(step_specs, steps, strict=True)
        ]
    rolling = None if tensor is None else rollout_step(act, shapes, tensor, normalises(learner))
    acting = ProgramSpec(act, inputs, trace) if rolling is None else rollout_spec(rolling, inputs, shapes, trace)
    rows = [] if rolling is None else rolling(acting.example)[rolling.n_state :]
    found = built([acting, *step_specs], mode, workload, meanwhile)
    reads = learner.model_reads | act.reads | set().union(*(step.reads for step in steps))
    read = {name: hyper.static[name] for name in reads if name in hyper.static}
    eager_act = eager(act)
    rollout = None if rolling is None else RolloutProgram(rolling, eager_act, rows)
    made = TrialPrograms(
        act, eager_act, {step.omitted: (step, eager_act) for step in steps}, columns, read, shapes.spaces, rollout
    )
    return made.with_programs(found)


def normalises(networks: SeedNetworks) -> bool:
    """Return True if observations are normalised."""
    return isinstance(networks.cfg, AlgorithmConfig) and networks.cfg.normalize_observation


def rollout_step(act: Act, shapes: TrialShapes, tensor: TensorProgram, scaled: bool) -> RolloutStep:
    """Return the step of acting and of tensor environments. scaled: observations are normalised."""
    return RolloutStep(act, shapes.act_noise, env_step(tensor), scaled, shapes.keep_raw)


def rollout_spec(step: RolloutStep, act_inputs: Sequence[Tensor], shapes: TrialShapes, trace: bool) -> ProgramSpec:
    """Return the program of a step. act_inputs: example inputs of the acting function."""
    example = step.example(act_inputs, shapes.n_envs)
    in_place = step.in_place_spec(example) if example[0].device == CPU else None
    return ProgramSpec(step, example, trace, in_place=in_place)


def whole_updates(learner: Learner) -> bool:
    """Return True if whole updates may be programs: no other processes learn."""
    return not getattr(learner.cfg, "num_learners", 0)


def _gradient_steps(
    learner: Learner, shapes: TrialShapes, columns: Mapping[str, Tensor]
) -> tuple[list[GradientStep], list[Tensor]]:
    """Return the gradient step of each set of omitted parts, and example inputs of zeros."""
    batch = shapes.minibatch(len(learner.seeds), columns)
    in_time = frozenset([*columns, "mask"]) if shapes.sequence_length else frozenset()
    steps = [
        learner.gradient_step(list(batch), omitted=omitted, time_major=in_time)
        for omitted in learner.periods.all_omitted()
    ]
    return steps, learner.step_inputs(list(batch.values()))


def learner_programs(
    learner: Learner, shapes: TrialShapes, columns: Mapping[str, Tensor], mode: CompileMode, workload: Workload,
    by_rows: bool,
) -> Steps:  # fmt: skip
    """Return the gradient steps of a learner process.

    Args:
        learner: of this process.
        shapes: with the minibatch rows of this learner.
        columns: one row of each training column.
        mode: compilation mode.
        workload: of this learner.
        by_rows: learners divide the rows of a minibatch and all-reduce the gradient.
    """
    steps, example = _gradient_steps(learner, shapes, columns)
    if by_rows:
        steps = [of_some_rows(step) for step in steps]
    _try_eagerly(learner, steps, example)
    programs = build_programs(_program_specs(steps, example, trace=len(learner.seeds) > 1), mode, workload)
    if by_rows:
        programs = [
            combined(step, program, learner.stack, shapes.minibatch_rows)
            for step, program in zip(steps, programs, strict=True)
        ]
    return {step.omitted: (step, program) for step, program in zip(steps, programs, strict=True)}


def _act(networks: SeedNetworks, act_fn: ActFn, shapes: TrialShapes) -> tuple[Act, list[Tensor]]:
    """Return the acting function and example inputs of zeros."""
    hyper, names = networks.hyper, tuple(name for name, _ in shapes.act_noise)
    act = Act(
        networks.model, act_fn, tuple(networks.parameters), names, hyper.names, hyper.static,
        recurrent=bool(shapes.state_size), in_turn=networks.in_turn,
    )  # fmt: skip
    return act, shapes.act_inputs(networks)


def acting_program(
    networks: SeedNetworks, act_fn: ActFn, shapes: TrialShapes, mode: CompileMode
) -> tuple[Act, Program]:
    """Return the acting function and program of a runner process. mode: `auto` always compiles."""
    act, inputs = _act(networks, act_fn, shapes)
    act(inputs)
    spec = ProgramSpec(act, inputs, trace_when_eager=len(networks.seeds) > 1)
    (program,) = build_programs([spec], mode, Workload(len(networks.seeds), updates=0, acts=10**9))
    return act, program


# Steps of the fragment of zeros that shows what `postprocess_fn` makes: one row, and one that follows it.
EXAMPLE_STEPS = 2


def _program_specs(steps: list[GradientStep], inputs: list[Tensor], trace: bool) -> list[ProgramSpec]:
    return [ProgramSpec(step, inputs, trace, untraceable=replace(step, in_turn=True)) for step in steps]


def _try_eagerly(learner: Learner, steps: list[GradientStep], inputs: list[Tensor]) -> None:
    """Compute the loss of the first seed eagerly, before it is traced.

    So errors of the loss have a plain message, and the fields that it reads are known even if it can't be traced.

    Raises:
        UserError: the loss fails, or its parts do not fit the networks.
    """
    first = [inputs[0], *(tensor[:1] for tensor in inputs[1:])]
    for step in steps:
        with wrap_errors("loss_fn", step.loss_fn, step.column_names):
            replace(step, in_turn=True)(first)
    check_parts({name for step in steps for name in step.part_names}, learner.periods.parts, learner.parameters)
