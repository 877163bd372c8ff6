"""Resources of a trial: CPUs and GPUs of its process, its env runners and its learners."""

from __future__ import annotations

from tuneexp.algorithms.base_config import AlgorithmConfig
from tuneexp.ray_support.environment import CPUS_PER_LEARNER

TRIAL_CPUS = 1.0
RESOURCE_FIELDS = ("num_env_runners", "num_cpus_per_env_runner", "num_learners", "num_gpus_per_learner")
"""The hyperparameters that `bundles_of` reads."""


def bundles_of(cfg: AlgorithmConfig) -> list[dict[str, float]]:
    """Return the bundles of a trial's placement group: its process, then each env runner, then each learner.

    Each bundle has to fit on one node."""
    learner = {"CPU": CPUS_PER_LEARNER}
    if cfg.num_gpus_per_learner:
        learner["GPU"] = cfg.num_gpus_per_learner
    return [
        {"CPU": TRIAL_CPUS},
        *({"CPU": cfg.num_cpus_per_env_runner} for _ in range(cfg.num_env_runners)),
        *(dict(learner) for _ in range(cfg.num_learners)),
    ]


def make_room(cfg: AlgorithmConfig) -> None:
    """Start or join Ray if there are env runners or learners. Raises `UserError` if it has too few resources."""
    others = bundles_of(cfg)[1:]
    if others:
        from tuneexp.ray_support.start import ensure_ray  # Ray is imported only if it is used

        ensure_ray(*(sum(bundle.get(kind, 0.0) for bundle in others) for kind in ("CPU", "GPU")))


def resource_text(cfg: AlgorithmConfig) -> str:
    """Return a line such as `a trial takes 5 CPUs: 1 of its own, 2 env runner(s) of 1, 2 learner(s) of 1`."""
    bundles = bundles_of(cfg)
    if len(bundles) == 1:
        return "a trial takes 1 CPU, and more with num_env_runners or num_learners"
    parts = [f"{TRIAL_CPUS:g} of its own"]
    if cfg.num_env_runners:
        parts.append(f"{cfg.num_env_runners} env runner(s) of {cfg.num_cpus_per_env_runner:g}")
    if cfg.num_learners:
        parts.append(f"{cfg.num_learners} learner(s) of {CPUS_PER_LEARNER:g}")
    total = {kind: sum(bundle.get(kind, 0.0) for bundle in bundles) for kind in ("CPU", "GPU")}
    gpus = f" and {total['GPU']:g} GPUs" if total["GPU"] else ""
    return f"a trial takes {total['CPU']:g} CPUs{gpus}: {', '.join(parts)}"
