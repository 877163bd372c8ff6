"""Tune IMPALA on Pong from pixels. Needs the extra `atari`: pip install -e '.[atari]'.

The first trial has the network, the fragments and the discount factor of the paper. Learning rate and entropy bonus
are those of RLlib, whose loss is a mean over steps, as it is here. 10 million steps take many hours; this was not
measured. The second command is a short run. On a machine with many cores use env runners (`--set num_env_runners=4`).

python experiments/pong_impala.py
python experiments/pong_impala.py --trials 1 --seeds 1 --env-steps 1000000
tuneexp sweep --algorithm impala --env PongNoFrameskip-v4 --space experiments/pong_impala.py:SPACE --seeds 1 \
    --env-steps 10000000 --trials 4 --name pong-impala
"""

from __future__ import annotations

from tuneexp import Sweep, run_script, watch

SPACE = {
    "learning_rate": {"choice": ["linear:0.0002", "linear:0.0005", "linear:0.001"]},  # each decays to 0
    "ent_coef": {"choice": [0.003, 0.01, 0.03]},
    "n_envs": 32,  # environments, each with one fragment in an update
    "n_steps": 20,
    "gamma": 0.99,
    "vf_coef": 0.25,
    "max_grad_norm": 40.0,
    "model": {"cnn": "impala", "hidden_sizes": [256], "shared": True, "activation": "relu"},
    "initial": [{"learning_rate": "linear:0.0005", "ent_coef": 0.01}],
}


def main(
    trials: int = 4,
    seeds: int = 1,
    env_steps: int = 10_000_000,
    scheduler: str = "asha",
    searcher: str = "tpe",
    name: str = "",
    storage: str = "runs",
) -> None:
    """Tune IMPALA on Pong. --env-steps is the budget of each seed of a trial."""
    sweep = Sweep(
        algorithm="impala",
        env="PongNoFrameskip-v4",
        space=SPACE,
        trials=trials,
        seeds=seeds,
        budget_env_steps=env_steps,
        scheduler=scheduler,
        searcher=searcher,
        name=name or None,  # None: a new one is made
        storage=storage,
    )
    watch(sweep)


if __name__ == "__main__":
    run_script(main)
