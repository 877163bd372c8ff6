"""The code of README.md and docs/ runs as it is written, the blocks of a page in their order, beside a finished sweep.

Only numbers are smaller (`SMALLER`). Commands that train are accepted and stop before
their training, or at least exist."""

from __future__ import annotations

import ast
import inspect
import re
import runpy
import shutil
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.faults.stored import store_sweep
from tests.pages.blocks import LANGUAGES, PAGES, ROOT, Block, blocks_of, commands_in_prose, commands_of
from tests.pages.command_lines import LONG_TOO, check_command, check_options, parse
from tests.rl_zoo import published

ALL = [block for page in PAGES for block in blocks_of(page)]
SPACE = '{"learning_rate": {"loguniform": [1e-4, 1e-2]}}'
TINY = f'trials=2, seeds=2, budget_env_steps=256, compile="off", space={SPACE}, fixed=FIXED'
FIXED = {"n_envs": 2, "n_steps": 32, "batch_size": 32}
# Page -> text, and what it is replaced by in the test.
SMALLER = {
    "README.md": {
        "seeds=[0])": "seeds=[0], budget_env_steps=2560, n_steps=32)",
        "trials=8, seeds=4, budget_env_steps=50_000": TINY,
    },
    "rl_zoo.md": {"seeds=4)": 'seeds=4, compile="off")', "hyperparameters=row)": 'hyperparameters=row, compile="off")'},
    "confirming.md": {"found = tune(": "found = begin(tune, ", "top=3, seeds=10": "top=1, seeds=2"},
}
# The example of a published row, and what the code of a page takes as given.
GIVEN = {
    "row": {"n_timesteps": "1e5", "policy": "MlpPolicy", "n_envs": 16, "n_steps": 1024, "gamma": 0.999},
    "FIXED": FIXED,
}
SAMPLER = "from optuna.samplers import RandomSampler\n\n\nclass MySampler(RandomSampler):\n    pass\n"
# Its examples are those of --help, which a test of every command accepts.
LISTED = {"commands.md"}


def begin(function: Callable[..., Any], *args: Any, **kwargs: Any) -> None:
    """Check the arguments of a function that trains for minutes."""
    inspect.signature(function).bind(*args, **kwargs)


def smaller(block: Block) -> str:
    text = block.text
    for old, new in SMALLER.get(block.page, {}).items():
        text = text.replace(old, new)
    return text


def execute(block: Block, names: dict[str, Any]) -> None:
    """At its line of the page, so that errors name it. Lines of a page are no module, so it has no address."""
    exec(compile("\n" * block.line + smaller(block), block.page, "exec"), names)


def is_sweep(block: Block) -> bool:
    """The sweep `first` of the README, after which all other code is run."""
    return "watch(sweep)" in block.text


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("pages")


@pytest.fixture
def folder(
    original: Path, tmp_path: Path, fresh_database: Path, ray_cluster: None, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """The current folder: a copy of the checkout's folders for users, with finished sweeps in runs/."""
    if not (original / "runs").exists():
        monkeypatch.chdir(original)
        (original / "runs").mkdir()
        shutil.copy(fresh_database, original / "runs" / "mlflow.db")
        (sweep,) = filter(is_sweep, ALL)
        execute(sweep, {**GIVEN})
        from tuneexp import confirm

        confirm("first", top=1, seeds=2)
        for name in ("second", "mine"):
            store_sweep(original / "runs", name)
    folder = tmp_path / "checkout"
    shutil.copytree(original, folder)
    for name in ("experiments", "search_spaces"):
        (folder / name).symlink_to(ROOT / name)
    (folder / "path").mkdir()
    (folder / "path" / "mine.py").write_text(SAMPLER)
    monkeypatch.chdir(folder)
    monkeypatch.syspath_prepend(str(folder))
    return folder


def write_zoo(folder: Path) -> None:
    (folder / "rl-baselines3-zoo").mkdir()
    (folder / "rl-baselines3-zoo" / "hyperparams").symlink_to(published.folder())
    shutil.copy(published.folder() / "ppo.yml", folder)


def write_files(page: str, folder: Path) -> None:
    for block in blocks_of(page):
        if block.file and not block.is_excerpt:
            (folder / block.file).write_text(smaller(block))


def run_block(block: Block, names: dict[str, Any], folder: Path) -> None:
    if block.language == "python" and not (block.is_excerpt or block.signature or is_sweep(block)):
        if block.file:
            names |= runpy.run_path(str(folder / block.file), run_name="__main__")
        else:
            execute(block, names)
    elif block.language in ("sh", "console"):
        for words in commands_of(block):
            check_command(words)


def run_page(page: str, folder: Path) -> dict[str, Any]:
    """The names that the page has defined at its end."""
    write_files(page, folder)
    if any("zoo" in block.text for block in blocks_of(page)):
        write_zoo(folder)
    names: dict[str, Any] = {**GIVEN, "begin": begin}
    for block in blocks_of(page):
        try:
            run_block(block, names, folder)
        except Exception as error:
            error.add_note(block.where)
            raise
    return names


RUN = [page for page in PAGES if {"python", "sh", "console"} & {block.language for block in blocks_of(page)}]


@pytest.mark.slow
@pytest.mark.timeout(1800 if LONG_TOO else 400)
@pytest.mark.parametrize("page", [page for page in RUN if page not in LISTED | {"README.md"}])
def test_the_code_of_a_page_runs(page: str, folder: Path) -> None:
    run_page(page, folder)


@pytest.mark.slow
@pytest.mark.timeout(1800 if LONG_TOO else 400)
def test_the_code_of_the_readme_runs(folder: Path) -> None:
    names = run_page("README.md", folder)
    assert names["env"].action_space.contains(names["policy"](names["obs"]))
    assert len((folder / "trials.csv").read_text().splitlines()) == 3
    assert (folder / "first-report.html").stat().st_size > 1e6
    algo = names["algo"]
    assert algo.trial.env_steps == 2560
    algo.restore(names["path"])
    assert algo.trial.env_steps == 2560


@pytest.mark.parametrize("block", ALL, ids=[block.where for block in ALL])
def test_a_block_has_a_language_and_can_be_read(block: Block) -> None:
    assert block.language in LANGUAGES
    if block.language == "python":
        ast.parse(block.signature or block.text)
    elif block.language in ("sh", "bash"):
        subprocess.run(["bash", "-n"], input=block.text, text=True, check=True)
    if block.language == "bash" or (block.page in LISTED and block.language == "sh"):
        for words in commands_of(block):
            parse(words[1:])


def test_there_are_many_blocks_of_each_kind() -> None:
    counts = {language: sum(block.language == language for block in ALL) for language in LANGUAGES}
    assert {language: count for language, count in counts.items() if count < 1} == {}
    assert (counts["python"], counts["sh"], counts["yaml"]) >= (30, 20, 8)


@pytest.mark.parametrize("page", sorted(PAGES.keys() - {"robustness.md"}))  # it shows a wrong one
def test_commands_within_the_text_exist(page: str) -> None:
    for _, *words in commands_in_prose(page):
        if words and words[0].islower():
            check_options(words)


@pytest.mark.parametrize("page", PAGES)
def test_targets_of_make_within_the_text_exist(page: str) -> None:
    for target in re.findall(r"`make ([a-z -]+)`", PAGES[page].read_text()):
        check_command(["make", *target.split()])


def experiment(text: str) -> Mapping[str, Any]:
    """An experiment file for a block of YAML: settings of a sweep, or a search space."""
    from tuneexp.files.yaml_reading import parse_yaml
    from tuneexp.sweep.sweep_config import SETTINGS

    block = parse_yaml(text)
    given = block if block.keys() <= SETTINGS.keys() else {"space": block}
    needed: dict[str, Any] = {}
    if "budget_env_steps" in given.get("space", {}):
        needed = {"objectives": ["return_mean", "wall_s:min"]}
    elif "configurations" in given.get("space", {}):
        needed = {"searcher": "grid"}
    return {"algorithm": "ppo", "env": "CartPole-v1", **needed, **given}


YAML = [block for block in ALL if block.language == "yaml" and not block.file]


@pytest.mark.parametrize("block", YAML, ids=[block.where for block in YAML])
def test_a_block_of_yaml_is_an_experiment_or_a_search_space(block: Block, tmp_path: Path) -> None:
    import json

    from tuneexp import Sweep

    file = tmp_path / "experiment.yaml"
    file.write_text(json.dumps(experiment(block.text)))
    assert Sweep.from_file(file, storage=tmp_path / "runs").config.trial.algorithm == "ppo"


LEFT_OUT = re.compile(r"^# \.\.\.\n", re.MULTILINE)
EXCERPTS = [block for block in ALL if block.is_excerpt]


def missing_part(code: str, source: str) -> str:
    """The first part of `code`, between lines `# ...`, that is not in `source`; empty if all are, in this order.

    A part may be indented in the source."""
    for part in LEFT_OUT.split(code):
        lines = [f"(?P=indent){re.escape(line)}" if line else "" for line in part.splitlines()]
        lines[0] = lines[0].replace("(?P=indent)", "^(?P<indent> *)", 1)
        found = re.search("\n".join(lines) + "$", source, re.MULTILINE)
        if found is None:
            return part
        source = source[found.end() :]
    return ""


@pytest.mark.parametrize("block", EXCERPTS, ids=[block.where for block in EXCERPTS])
def test_an_excerpt_is_in_the_file_that_it_names(block: Block) -> None:
    _, _, code = block.text.partition("\n")
    missing = missing_part(code, (ROOT / block.file).read_text())
    assert not missing, f"{block.file} no longer has this; copy it to {block.where} again:\n{missing}"


def test_a_changed_line_and_another_order_are_found() -> None:
    source = "a = 1\n    b = 2\n    c = 3\n"
    assert not missing_part("a = 1\n# ...\nb = 2\nc = 3\n", source)
    assert missing_part("b = 2\n    c = 3\n", source)
    assert missing_part("a = 1\n# ...\nc = 4\n", source) == "c = 4\n"
    assert missing_part("c = 3\n# ...\na = 1\n", source) == "a = 1\n"
