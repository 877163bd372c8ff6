"""Generated bad inputs: command lines, settings, search spaces, and damaged copies of stored files.

Everything is deterministic: random choices come from `SEED`. `ROOT` in an argument is the folder of the stored files.
"""

from __future__ import annotations

import copy
import json
import random
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

from tests.cli.refused_lines import CORRECTED, NOT_CORRECTED

SEED = 20260101

Damage = Callable[[Path], None]


@dataclass(frozen=True)
class Case:
    """One command line on the stored files, or on a damaged copy of them."""

    area: str
    label: str
    args: tuple[str, ...]
    damage: Damage | None = None


# ---- what a person types

TEXTS = (
    "",
    " ",
    "\x1b[31mred",
    "[v2]",
    "[/x]",
    "é☃",
    "\udcff",
    "../up",
    "a\nb",
    "x" * 5000,
    "-",
    "\t",
    "%s{}",
    "~nobody/x",
)
NUMBERS = ("", "x", "1.5", "-1", "0", "1e3", "9" * 30, "nan", "inf", "٣x", "1,2", "0x10", " ")
BIG = "9" * 5000  # Python refuses to convert this many digits

TRAIN = ("train", "ppo", "CartPole-v1", "--compile", "off")
SWEEP = ("sweep", "--env", "CartPole-v1", "--space", "ROOT/space.yaml", "--name", "new", "--storage", "ROOT/new")
STORED = ("--storage", "ROOT/runs")
COMMANDS: dict[str, tuple[tuple[str, ...], dict[str, tuple[str, ...]]]] = {
    "train": (
        TRAIN,
        {
            "--env-steps": NUMBERS,
            "--seeds": (*NUMBERS, "3,3", "-1,2", f"{2**32},", f"{BIG},"),
            "--set": TEXTS,
            "--wrapper": (*TEXTS, "ClipAction=", "ClipAction=[1]", 'ClipAction={"a": 1}', "math:pi", "os.path:join"),
            "--env-backend": TEXTS,
            "--compile": TEXTS,
            "--zoo": (*TEXTS, "ROOT/space.yaml", "ROOT/space.yaml:x"),
            "--resume": TEXTS,
            "--storage": ("ROOT/space.yaml", "ROOT/space.yaml/x", "x" * 5000, "\x1b[31m/\udcff"),
        },
    ),
    "sweep": (
        SWEEP,
        {
            "--name": TEXTS,
            "--env": (*TEXTS, "x:y", "math:pi", "none.py:Env", ":", "a:b:c"),
            "--space": (*TEXTS, "ROOT", "math:pi", "none.py:f"),
            "--algorithm": (*TEXTS, "x:y", "math:pi", "none.py:f", "tuneexp:PPOO"),
            "--trials": NUMBERS[:-1],
            "--time-budget": ("", "x", "-1", "0", "2 hours", "1h1h"),
            "--until": ("", "x", "nan", "inf"),
            "--stagnation": ("", "x", "0", "1.5"),
            "--points": (*TEXTS, "ROOT", "ROOT/space.yaml", "ROOT/none.yaml"),
            "--warm-start": (*TEXTS, "ROOT", "ROOT/runs/kept"),
            "--env-steps": NUMBERS[:-1],
            "--seeds": ("0", "", "a", "1e3", BIG),
            "--scheduler": (*TEXTS, "x:y", "math:pi", "none.py:S"),
            "--scheduler-option": ("x", "=", "x=1", "reduction_factor=a", "grace_env_steps=1e9"),
            "--searcher": (*TEXTS, "x:y"),
            "--searcher-option": ("x", "x=1"),
            "--objective": (*TEXTS[:4], "walls", "walls:min", "wall_s:up", "env_steps_to/x", "return_std:min:max"),
            "--constraint": (*TEXTS[:4], "walls<=3", "wall_s=3", "wall_s<=x", "600>=wall_s"),
            "--zoo": ("", "x", "ROOT/space.yaml", "ROOT/space.yaml:x"),
            "--searcher-seed": (*NUMBERS[:4], "9" * 30),
            "--concurrency": NUMBERS[1:],
            "--keep": ("0", "x", "1.5", "-1", ""),
            "--checkpoint-quota": ("2XB", "0", "-2GB", "GB", "", "0.5", "inf", BIG),
            "--checkpoints": ("s4://x", "://", "s3://k:s@b/x", "ROOT/space.yaml/x", "file://["),
            "--wrapper": ("x", "math:pi", "ClipAction={"),
            "--env-backend": ("x", "native"),
            "--compile": ("x",),
            "--address": ("x", ":", "1.2.3.4", "ray://", "127.0.0.1:0"),
        },
    ),
    "resume": (("resume",), {"": TEXTS, "--storage": ("ROOT/none", "ROOT/space.yaml", "\udcff")}),
    "extend": (
        ("extend", "kept", *STORED),
        {
            "--trials": NUMBERS[:5],
            "--time-budget": ("", "x", "0"),
            "--until": ("", "x", "nan"),
            "--stagnation": ("", "x", "0"),
            "--space": ("ROOT", "ROOT/none.yaml", "math:pi"),
        },
    ),
    "confirm": (
        ("confirm", "kept", *STORED),
        {"--top": NUMBERS, "--seeds": ("", "x", "1", "0", "-1", "1.5", "3,3", "0,9", "1,7", f"{2**32},8", BIG)},
    ),
    "confirm of": (("confirm",), {"": TEXTS}),
    "tune": (
        ("tune", "ppo", "CartPole-v1", "--storage", "ROOT/new"),
        {"--time": ("", "x", "-1", "0", "4m", "1h1h", "nan"), "--env-steps": NUMBERS[:5], "--seeds": ("0", "a", "3,3")},
    ),
    "train of": (("train",), {"--config": (*TEXTS, "ROOT", "ROOT/space.yaml", "ROOT/none.yaml")}),
    "show": (
        ("show", "kept", *STORED),
        {
            "--top": NUMBERS,
            "--plot": (*TEXTS, "x.txt", "ROOT/none/x.png", "ROOT/runs", ".png", "ROOT/space.yaml/x.png"),
        },
    ),
    "report": (
        ("report", "kept", *STORED),
        {"": TEXTS, "--out": (*TEXTS, "x.txt", "ROOT/none/x.html", "ROOT/runs", ".html", "ROOT/space.yaml/x.html")},
    ),
    "list": (("list",), {"--storage": (*TEXTS[1:], "ROOT/none", "ROOT/space.yaml", "s3://bucket/x")}),
    # Not 1e3, which is taken: a thousand episodes took ten seconds.
    "evaluate": (
        ("evaluate", "ROOT/checkpoint"),
        {"--episodes": (*NUMBERS[:5], *NUMBERS[6:]), "--seed": (*NUMBERS[:4], "9" * 30)},
    ),
    "evaluate of": (("evaluate",), {"": (*TEXTS, "ROOT", "ROOT/space.yaml", "s4://x/y", "://", "file:///none/at/all")}),
    "watch": (("watch", "ROOT/checkpoint"), {"--video": (*TEXTS, "x.avi", ".gif", "ROOT/none/x.gif", "ROOT/runs")}),
    "describe": (("describe",), {"": (*TEXTS, "x:y", "math:pi", "none.py:f", "ROOT/space.yaml:f", ":")}),
    "ui": (("ui", "--storage", "ROOT/none"), {"--port": NUMBERS}),
    "init": (("init",), {"": ("ROOT", "ROOT/space.yaml", "ROOT/space.yaml/x", "a\0b", "x" * 300)}),
    "doctor": (("doctor",), {"--storage": ("ROOT/space.yaml", "s3://bucket/x")}),
    "dashboard": (("dashboard", "--storage", "ROOT/none"), {"--port": NUMBERS}),
    "dashboard of": (("dashboard", *STORED), {"": TEXTS}),
    "ui of": (("ui", *STORED), {"": TEXTS}),
}


def options() -> Iterator[Case]:
    """Each option of each command with values that it does not accept."""
    for name, (command, values) in COMMANDS.items():
        for option, texts in values.items():
            for text in texts:
                args = (*command, option, text) if option else (*command, text)
                yield Case("options", f"{name} {option} {text[:40]!r}", args)
    for args in (
        (),
        ("nothing",),
        ("[v2]",),
        ("\x1b[2J",),
        ("train", "--", "--x"),
        ("sweep", "--set"),
        ("show",),
        ("list", "x"),
    ):
        yield Case("options", repr(args), args)


def correct() -> Iterator[Case]:
    """Command lines in the words of other tools, and their words in any order."""
    typed = [*CORRECTED, *(line for line in NOT_CORRECTED if line)]
    words, chance = sorted({word for line in typed for word in line.split()}), random.Random(f"{SEED} words")
    for line in typed:
        yield Case("near misses", line, (*line.split(),))
    for number in range(80):
        drawn = chance.sample(words, chance.randint(1, 6))
        args = ("sweep" if number % 2 else "train", *drawn, *chance.choice([(), ("--compile", "off")]))
        yield Case("near misses", " ".join(args), args)


# ---- --set

VALUES = (
    "[",
    "{",
    "nan",
    ".inf",
    "-1e999",
    "[]",
    "{}",
    "[[[1]]]",
    "'",
    "!!binary aGk=",
    "!!set {a}",
    "&a [*a]",
    "? a",
    "<<: 1",
    "2023-01-01",
    BIG,
    "\x1b[31m",
    "[/x]",
    "\udcff",
    "@",
    "%",
    "`",
    "*x",
    "|",
    "1:30",
    "\x07",
)
HYPERPARAMETERS = (
    "learning_rate",
    "n_steps",
    "n_envs",
    "gamma",
    "model/activation",
    "model/hidden_sizes",
    "max_grad_norm",
    "batch_size",
    "normalize_obs",
    "target_kl",
)
OF_TRIAL = (
    "env_kwargs",
    "env_kwargs/x",
    "evaluation",
    "evaluation/episodes",
    "objective",
    "objective/kind",
    "report_every_env_steps",
    "device",
    "seeds",
)
NAMES = (
    "",
    "/",
    "a//b",
    ".",
    "learning_rate/x",
    "gamma.x",
    "lr",
    "[v2]",
    "\x1b[31m",
    "__class__",
    "model",
    "x" * 3000,
    "/".join("a" * 2000),
)


_BILLION = "[&a0 [x], " + ", ".join(f"&a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 10)) + "]"


def settings() -> Iterator[Case]:
    """`--set NAME=VALUE` with values of a wrong type, and with unknown names."""
    chance = random.Random(f"{SEED} settings")
    for number, name in enumerate((*HYPERPARAMETERS, *OF_TRIAL)):
        for value in chance.sample(VALUES, 10):
            base = TRAIN if number % 2 else SWEEP
            yield Case("--set", f"{base[0]} {name}={value[:40]!r}", (*base, "--set", f"{name}={value}"))
    for value in ("[" * 3000, "{a: " * 2000, _BILLION):
        yield Case("--set", f"sweep env_kwargs/x={value[:40]!r}", (*SWEEP, "--set", f"env_kwargs/x={value}"))
    for name in NAMES:
        for base in (TRAIN, SWEEP):
            yield Case("--set", f"{base[0]} {name[:40]!r}=1", (*base, "--set", f"{name}=1"))


# ---- search spaces

KINDS = ("uniform", "loguniform", "complement_loguniform", "quniform", "int", "logint", "choice")
ARGUMENTS = (
    "",
    "3",
    "x",
    "[]",
    "[1]",
    "[1, 2, 3, 4]",
    "[2, 1]",
    "[1, 1]",
    "[0, 1e999]",
    "[a, b]",
    "[[1], 2]",
    "{}",
    "{low: 1}",
    "[null, 1]",
    "[true, false]",
    "[-1, 1]",
    "[.nan, 1]",
    "[1, 2, 0]",
    f"[1, {BIG}]",
    "[1, 99999999999999999999999]",
    "[{}, {a: 1}]",
    "[[], []]",
)
STRUCTURES = (
    "",
    "[]",
    "3",
    "x",
    "- a",
    "a",
    "a: ",
    "? [a]\n: 1",
    "1: {uniform: [0, 1]}",
    "gamma: &a {uniform: *a}",
    "&a [*a]",
    "gamma: {uniform: [0.9, 0.99], int: [1, 2]}",
    "gamma: {unifrm: [0.9, 0.99]}",
    "gamma: {uniform: [0.9, 0.99], x: 1}",
    "gamma: {grid_search: [1]}",
    "gamma: {when: {a: 1}}",
    "gamma: {uniform: [0.9, 0.99], when: 3}",
    "gamma: {uniform: [0.9, 0.99], when: {nothing: 1}}",
    "gamma: {uniform: [0.9, 0.99], when: {gamma: 1}}",
    "gamma: !!python/name:os.system",
    "gamma: !x 3",
    "%YAML 9.9\n---\na: 1",
    "a: 1\n---\nb: 2",
    "\tgamma: 1",
    "gamma: {",
    "gamma: [",
    "gamma: 'x",
    "initial: 3",
    "initial: []",
    "gamma: {uniform: [0.9, 0.99]}\ninitial: [3]",
    "gamma: {uniform: [0.9, 0.99]}\ninitial: [{x: 1}]",
    "gamma: {uniform: [0.9, 0.99]}\ninitial: [{gamma: {}}]",
    "gamma: {uniform: [0.9, 0.99]}\ninitial: {gamma: 1}",
    "gamma: {uniform: [0.9, 0.99]}\ninitial: [{gamma: [0.95]}]",
    "function: 3",
    "function: x",
    "function: none.py:f",
    "function: math:pi",
    "gamma/x: {uniform: [0, 1]}",
    "model: {uniform: [0, 1]}",
    "model: 3",
    "gamma: {choice: [{choice: [1]}]}",
    "gamma: {choice: [{uniform: 3}]}",
    "gamma: {choice: [0.9, 0.9]}",
    "\x00",
    "\x1b[31m: 1",
    "[/x]: {uniform: [0, 1]}",
    "'[v2]': {uniform: [0, 1]}",
    "gamma: " + "[" * 3000,
    "gamma: " + "{a: " * 3000,
    "a: " * 50,
    "model:\n  model:\n    model: {uniform: [0, 1]}",
    "gamma: {choice: [\x1b]}",
    "model/activation: {choice: [tanhh, relu]}",
    "n_steps: {uniform: [1, 2]}",
    "learning_rate: {choice: ['linear:x', 'lin:1']}",
)
TEARS = (b"\xff\xfe", b"\x80abc", b"gamma: \xff", b"\xef\xbb\xbf- a", b"g\x00a\x00")


def spaces() -> Iterator[Case]:
    """Search spaces in YAML with syntax errors or invalid dimensions."""
    for kind in KINDS:
        for argument in ARGUMENTS:
            yield _space(f"{kind}: {argument[:40]}", f"gamma: {{{kind}: {argument}}}".encode())
    for text in STRUCTURES:
        yield _space(repr(text[:40]), text.encode(errors="surrogateescape"))
    for data in TEARS:
        yield _space(repr(data), data)


def _space(label: str, data: bytes) -> Case:
    return Case("space grammar", label, SWEEP, lambda root: _write(root / "space.yaml", data))


# ---- experiment files

WHOLE: dict[str, Any] = {
    "algorithm": "ppo",
    "env": "CartPole-v1",
    "trials": 2,
    "seeds": 2,
    "env_steps": 512,
    "scheduler": "asha",
    "searcher_seed": 0,
    "evaluation": {"episodes": 1},
    "wrappers": [{"TimeLimit": {"max_episode_steps": 9}}],
    "fixed": {"n_steps": 32, "model": {"activation": "relu"}},
    "space": {"learning_rate": {"loguniform": [1e-4, 1e-2]}},
}
FILE = ("sweep", "ROOT/experiment.yaml", "--storage", "ROOT/new", "--name", "new", "--compile", "off")
WRONG_FILES = (
    *(
        "",
        "[]",
        "3",
        "x",
        "- a",
        "a",
        "{",
        "env: [",
        "env: a\nenv: b",
        "1: 2",
        "\tenv: x",
        "env: *x",
        "env: &a {b: *a}",
    ),
    *("env: !!python/name:os.system", "env: x\n---\nenv: y", "\x00", "\x1b[31m: 1", "[/x]: 3", "env: " + "[" * 3000),
    *("env: m:f", "env: none.py:Env", "space: none.yaml", "space: none.py:f", "space: .", "env: a.b", "env_kwargs: 3"),
    *(
        "hyperparameters: {}",
        "learning_rate: 1",
        "name: ../up",
        "storage: 3",
        "checkpoints: 's4://x'",
        "address: '://'",
    ),
    *("env: CartPole-v1\nfixed: {model: x.py:Net}", "env: CartPole-v1\nenv_registration: {entry_point: 'os:system'}"),
)


def experiments() -> Iterator[Case]:
    """Experiment files that are no mapping, have unknown names, or values of a wrong type."""
    for text in WRONG_FILES:
        yield _experiment(repr(text[:40]), text.encode())
    for data in TEARS:
        yield _experiment(repr(data), data)
    for label, value in _reshaped_values(WHOLE, 60, "experiment.yaml"):
        yield _experiment(label, json.dumps(value).encode())


def _experiment(label: str, data: bytes) -> Case:
    return Case("experiments", label, FILE, lambda root: _write(root / "experiment.yaml", data))


# ---- damaged files


def checkpoints(root: Path) -> Iterator[Case]:
    """A checkpoint that is truncated, has flipped bits, or has values of a wrong type."""
    evaluate, go_on = (
        ("evaluate", "ROOT/checkpoint", "--episodes", "1"),
        ("train", "--resume", "ROOT/checkpoint", "--compile", "off"),
    )
    for name in ("state.json", "tensors.safetensors"):
        for label, damage in _torn("checkpoint/" + name, root, 12):
            yield Case("checkpoints", label, evaluate, damage)
    for number, (label, damage) in enumerate(_reshaped("checkpoint/state.json", root, 60)):
        args = go_on if number % 2 else evaluate
        if number % 4 < 2:  # a trial is built for each: half of them, of both commands
            yield Case("checkpoints", f"{args[0]}: {label}", args, damage)


READERS = (
    ("list", *STORED),
    ("show", "kept", *STORED),
    ("show", "kept", "--json", *STORED),
    ("resume", "kept", *STORED),
)


def sweeps(root: Path) -> Iterator[Case]:
    """A stored sweep, each of whose files is truncated, has flipped bits, or has values of a wrong type."""
    kept = "runs/kept/"
    files = ("sweep.json", "snapshot.zip", "outbox/delivered.json", "outbox/records.jsonl", "suggestions.jsonl")
    damages = [one for name in files for one in _torn(kept + name, root, 4)]
    damages += [*_reshaped(kept + "sweep.json", root, 30), *_reshaped(kept + "outbox/delivered.json", root, 12)]
    damages += [
        *_reshaped_records(kept + "snapshot.zip", root, 30),
        *_reshaped_lines(kept + "outbox/records.jsonl", root, 15),
    ]
    damages += [*_reshaped_lines(kept + "suggestions.jsonl", root, 8)]
    # The readers in turn: a damage is found by what reads the file, whichever command that is for.
    for number, (label, damage) in enumerate(damages):
        args = READERS[number % len(READERS)]
        yield Case("stored sweeps", f"{' '.join(args[:3])}: {label}", args, damage)


def _torn(name: str, root: Path, flips: int) -> Iterator[tuple[str, Damage]]:
    """Truncated, empty, replaced by other bytes or by a folder, and with single flipped bits."""
    data, chance = (root / name).read_bytes(), random.Random(f"{SEED} {name}")
    for part in (0, 1, len(data) // 3, len(data) // 2, len(data) - 1):
        yield f"{name} cut at {part}", _writes(name, data[:part])
    for label, other in (
        ("null", b"null"),
        ("list", b"[]"),
        ("text", b'"x"'),
        ("NaN", b"NaN"),
        ("binary", bytes(range(256))),
        ("nested", b"[" * 100_000),
        ("digits", b"9" * 10_000),
        ("zeros", bytes(len(data))),
    ):
        yield f"{name} is {label}", _writes(name, other)
    yield f"{name} is a folder", lambda root: _folder(root / name)
    yield f"{name} is a link to itself", lambda root: _loop(root / name)
    for _ in range(flips):
        place, bit = chance.randrange(len(data)), chance.randrange(8)
        flipped = data[:place] + bytes([data[place] ^ (1 << bit)]) + data[place + 1 :]
        yield f"{name} with bit {bit} of byte {place} flipped", _writes(name, flipped)


WRONG: tuple[Any, ...] = (None, "x", "", -1, 0, 1.5, 1e300, 10**30, [], {}, [[]], {"a": 1}, True, ["\x1b[31m"], "[/x]")


def _reshaped(name: str, root: Path, most: int) -> Iterator[tuple[str, Damage]]:
    for label, value in _reshaped_values(json.loads((root / name).read_text()), most, name):
        yield f"{name}: {label}", _writes(name, json.dumps(value).encode())


def _reshaped_records(name: str, root: Path, most: int) -> Iterator[tuple[str, Damage]]:
    with zipfile.ZipFile(root / name) as archive:
        kept = {one: archive.read(one) for one in archive.namelist()}
    for label, value in _reshaped_values(json.loads(kept["trials.json"]), most, name):
        yield f"trials.json: {label}", _writes(name, _zipped({**kept, "trials.json": json.dumps(value).encode()}))
    for one in kept:
        yield f"{name} without {one}", _writes(name, _zipped({key: data for key, data in kept.items() if key != one}))
    for label, data in (("nested", b"[" * 100_000), ("no JSON", b"x"), ("no UTF-8", b"\xff"), ("NaN", b"[NaN]")):
        yield f"trials.json is {label}", _writes(name, _zipped({**kept, "trials.json": data}))


def _reshaped_lines(name: str, root: Path, most: int) -> Iterator[tuple[str, Damage]]:
    lines = (root / name).read_text().splitlines()
    values = [json.loads(line) if line.strip() else None for line in lines]
    for label, changed in _reshaped_values(values, most, name):
        lines = [json.dumps(one) for one in changed] if isinstance(changed, list) else [json.dumps(changed)]
        yield f"{name}: {label}", _writes(name, ("\n".join(lines) + "\n").encode())


def _reshaped_values(value: Any, most: int, name: str) -> Iterator[tuple[str, Any]]:
    """`value` without one of its parts, or replaced by a value of another type."""
    paths = list(_paths(value))
    chance = random.Random(f"{SEED} shapes of {name}")
    # Short paths first: each top-level key is tried, of the deep ones a sample.
    top = [path for path in paths if len(path) < 2]
    deep = [path for path in paths if len(path) >= 2]
    picked = [(path, wrong) for path in top for wrong in chance.sample([_GONE, *WRONG], 3)]
    picked += [(path, chance.choice([_GONE, *WRONG])) for path in chance.sample(deep, min(len(deep), most))]
    for path, wrong in chance.sample(picked, min(len(picked), most)):
        yield (
            f"{'/'.join(map(str, path))[:60]} = {'(left out)' if wrong is _GONE else repr(wrong)}",
            _put(value, path, wrong),
        )


_GONE = object()


def _paths(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield (*path, key)
        yield from _paths(inner, (*path, key))


def _put(value: Any, path: tuple[Any, ...], wrong: Any) -> Any:
    changed = copy.deepcopy(value)
    place = changed
    for key in path[:-1]:
        place = place[key]
    if wrong is _GONE:
        del place[path[-1]]
    else:
        place[path[-1]] = wrong
    return changed


def _zipped(files: dict[str, bytes]) -> bytes:
    buffer = BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def _writes(name: str, data: bytes) -> Damage:
    return lambda root: _write(root / name, data)


def _write(path: Path, data: bytes) -> None:
    path.write_bytes(data)


def _folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def _loop(path: Path) -> None:
    path.unlink()
    path.symlink_to(path.name)


def all_cases(root: Path) -> list[Case]:
    return [*options(), *correct(), *settings(), *spaces(), *experiments(), *checkpoints(root), *sweeps(root)]
