"""Translation of the environment of an RL Zoo row: wrappers, stacked frames, arguments, ids with new names."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from tuneexp.algorithms.rl_zoo.literals import read_dict
from tuneexp.envs.atari import is_atari
from tuneexp.envs.wrappers import parse_wrappers
from tuneexp.errors import UserError, shortened

KEYS = ("env_wrapper", "vec_env_wrapper", "frame_stack", "env_kwargs", "monitor_kwargs")

# By the same behaviour under another name, or the same name.
_RENAMED = {
    "GrayScaleObservation": "GrayscaleObservation",
    "YAMLCompatResizeObservation": "AreaResize",
}
_OF_GYMNASIUM = ("gymnasium.wrappers", "gym.wrappers")
_OF_THE_ZOO = ("rl_zoo3.wrappers", "utils.wrappers", "sb3_contrib.common.wrappers")
# What Monitor records is recorded anyway.
_LEFT_OUT = ("stable_baselines3.common.monitor.Monitor",)
_ATARI = "stable_baselines3.common.atari_wrappers.AtariWrapper"
_ATARI_ARGUMENTS = {
    "noop_max": "noop_max",
    "frame_skip": "frameskip",
    "terminal_on_life_loss": "episodic_life",
    "clip_reward": "reward_clipping",
    "action_repeat_probability": "repeat_action_probability",
}
_VEC_STACK = "VecFrameStack"
_VEC_ANYWAY = ("VecMonitor", "VecTransposeImage")
_WITHOUT_VELOCITIES = re.compile(r"(?P<name>\w+)NoVel-v(?P<version>\d+)")


def environment_of(row: Mapping[str, Any], env: Any) -> dict[str, Any]:
    """`wrappers` and `env_kwargs` of a trial in `env`. Raises ValueError of one line for what can't be had."""
    wrappers: list[Any] = []
    kwargs = dict(read_dict("env_kwargs", row.get("env_kwargs")))
    on_atari = isinstance(env, str) and is_atari(env)
    for name, arguments in _listed("env_wrapper", row.get("env_wrapper")):
        if name == _ATARI:
            kwargs |= _atari_arguments(arguments, on_atari)
        elif name not in _LEFT_OUT:
            wrappers.append(_wrapper(name, arguments))
    stack = _stack_of(row)
    if stack is not None and on_atari:
        kwargs["stack_num"] = stack
    elif stack is not None:
        wrappers.append({"FrameStack": {"n_stack": stack}})
    settings = {"wrappers": wrappers, "env_kwargs": kwargs}
    return {name: value for name, value in settings.items() if value}


def _listed(key: str, value: Any) -> list[tuple[str, dict[str, Any]]]:
    """(dotted name, arguments) of each, in order: a name, a name with arguments, or a list of them."""
    items = value if isinstance(value, list) else [] if value is None else [value]
    listed = []
    for item in items:
        name, arguments = next(iter(item.items())) if isinstance(item, Mapping) and len(item) == 1 else (item, {})
        if not isinstance(name, str) or not isinstance(arguments or {}, Mapping):
            raise ValueError(
                f"{key} takes names and names with arguments, got {shortened(item)}; check the indentation"
            )
        listed.append((name, dict(arguments or {})))
    return listed


def _wrapper(dotted: str, arguments: dict[str, Any]) -> Any:
    """As a trial takes it: the name of one of gymnasium's or of our own, else an address, `module:Class`."""
    module, _, last = dotted.rpartition(".")
    name = _RENAMED.get(last, last)
    if last == "FrameStack" and module.startswith(_OF_GYMNASIUM):
        return {"FrameStackObservation": {"stack_size": arguments.get("num_stack", arguments.get("stack_size"))}}
    if module.startswith((*_OF_GYMNASIUM, *_OF_THE_ZOO)) and _is_known(name):
        return {name: arguments} if arguments else name
    name = dotted if ":" in dotted or not module else f"{module}:{last}"
    return {name: arguments} if arguments else name


def _is_known(name: str) -> bool:
    try:
        parse_wrappers([name])
    except UserError:
        return False
    return True


def _atari_arguments(arguments: Mapping[str, Any], on_atari: bool) -> dict[str, Any]:
    """Of `env_kwargs`. Without arguments it is what Atari's ids have anyway."""
    if not on_atari:
        raise ValueError(f"env_wrapper {_ATARI} is for Atari's ids, such as ALE/Pong-v5 or PongNoFrameskip-v4")
    given: dict[str, Any] = {"episodic_life": True}  # by default, whatever the id does
    for name, value in arguments.items():
        if name == "screen_size":
            given |= {"img_height": value, "img_width": value}
        elif name in _ATARI_ARGUMENTS:
            given[_ATARI_ARGUMENTS[name]] = value
        else:
            raise ValueError(f"env_wrapper {_ATARI} has no argument {name!r}")
    return given


def _stack_of(row: Mapping[str, Any]) -> int | None:
    stack = row.get("frame_stack")
    for dotted, arguments in _listed("vec_env_wrapper", row.get("vec_env_wrapper")):
        name = dotted.rpartition(".")[2]
        if name == _VEC_STACK:
            stack = arguments.get("n_stack")
        elif name not in _VEC_ANYWAY:
            raise ValueError(
                f"vec_env_wrapper {dotted} has no counterpart: wrappers go around single environments here; leave it "
                "out, or write --wrapper NAME"
            )
    if stack is not None and (type(stack) is not int or stack < 1):
        raise ValueError(f"frame_stack is a number of frames, got {shortened(stack)}")
    return stack if stack != 1 else None


def without_velocities(env: str) -> str | None:
    """`Pendulum-v1` of RL Zoo's own `PendulumNoVel-v1`; None for another id."""
    match = _WITHOUT_VELOCITIES.fullmatch(env)
    return f"{match['name']}-v{match['version']}" if match else None


def present_id(env: str, known: Sequence[str]) -> str | None:
    """`env` where it is among the ids `known`, else its next version there, else its last one; None for no version."""
    if env in known or not (match := re.fullmatch(r"(.+)-v(\d+)", env)):
        return env if env in known else None
    versions = sorted(
        (int(other[2]), one) for one in known if (other := re.fullmatch(r"(.+)-v(\d+)", one)) and other[1] == match[1]
    )
    later = [one for number, one in versions if number > int(match[2])]
    return later[0] if later else versions[-1][1] if versions else None
