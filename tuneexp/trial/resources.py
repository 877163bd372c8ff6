"""What a trial takes of a cluster."""

from __future__ import annotations

from tuneexp.algorithms.config import AlgorithmConfig

TRIAL_CPUS = 1.0


def bundles_of(cfg: AlgorithmConfig) -> list[dict[str, float]]:
    """The trial's own process first, then one bundle for each env runner; a bundle has to fit on one node."""
    return [{"CPU": TRIAL_CPUS}, *({"CPU": cfg.num_cpus_per_env_runner} for _ in range(cfg.num_env_runners))]


def told(cfg: AlgorithmConfig) -> str:
    """`a trial takes 3 CPUs: 1 of its own, 2 env runners of 1`."""
    total = sum(bundle["CPU"] for bundle in bundles_of(cfg))
    if not cfg.num_env_runners:
        return "a trial takes 1 CPU, and num_env_runners x num_cpus_per_env_runner where it has env runners"
    return (
        f"a trial takes {total:g} CPUs: {TRIAL_CPUS:g} of its own, {cfg.num_env_runners} env runner(s) of "
        f"{cfg.num_cpus_per_env_runner:g}"
    )
