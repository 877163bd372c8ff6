"""Tune PPO on Pong from pixels. Needs the extra `atari`: pip install -e '.[atari]'.

The first trial is the published configuration (RL Zoo). Its 10 million steps take about 14 hours on one core at 200
steps per second. docs/learning.md has the curve of the first 1.4 million steps. The second command is a short run.

python experiments/pong_ppo.py
python experiments/pong_ppo.py --trials 1 --seeds 1 --env-steps 1000000
tuneexp train ppo PongNoFrameskip-v4 --env-steps 10000000 --seeds 1 --set n_steps=128 --set n_epochs=4 \
    --set batch_size=256 --set learning_rate=linear:0.00025 --set clip_range=linear:0.1 --set ent_coef=0.01
tuneexp sweep --algorithm ppo --env PongNoFrameskip-v4 --space experiments/pong_ppo.py:SPACE --seeds 1 \
    --env-steps 10000000 --trials 4 --name pong
"""

from __future__ import annotations

from tuneexp import Sweep, run_script, watch

SPACE = {
    "learning_rate": {"choice": ["linear:0.0001", "linear:0.00025", "linear:0.0005"]},  # each decays to 0
    "ent_coef": {"choice": [0.0, 0.003, 0.01]},
    "n_envs": 8,
    "n_steps": 128,
    "n_epochs": 4,
    "batch_size": 256,
    "clip_range": "linear:0.1",
    "vf_coef": 0.5,
    "initial": [{"learning_rate": "linear:0.00025", "ent_coef": 0.01}],
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
    """Tune PPO on Pong. --env-steps is the budget of each seed of a trial."""
    sweep = Sweep(
        algorithm="ppo",
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
