"""Wrong command lines as users of other tools write them, each with the correction."""

from __future__ import annotations

CORRECTED = {
    # hyperparameters
    "train ppo CartPole-v1 --learning_rate 0.001": "train ppo CartPole-v1 --set learning_rate=0.001",
    "train ppo CartPole-v1 --learning_rate=0.001": "train ppo CartPole-v1 --set learning_rate=0.001",
    "train ppo CartPole-v1 --learning-rate 0.001": "train ppo CartPole-v1 --set learning_rate=0.001",
    "train ppo CartPole-v1 --lr 0.001": "train ppo CartPole-v1 --set learning_rate=0.001",
    "train ppo CartPole-v1 --model.activation relu": "train ppo CartPole-v1 --set model/activation=relu",
    "train ppo CartPole-v1 learning_rate=0.001": "train ppo CartPole-v1 --set learning_rate=0.001",
    "train ppo CartPole-v1 --set learning_rate = 0.001": "train ppo CartPole-v1 --set learning_rate=0.001",
    "train ppo CartPole-v1 --set learning_rate= 0.001": "train ppo CartPole-v1 --set learning_rate=0.001",
    "train --set learning_rate =0.001 ppo CartPole-v1": "train ppo CartPole-v1 --set learning_rate=0.001",
    "train ppo CartPole-v1 --set learning_rate 0.001": "train ppo CartPole-v1 --set learning_rate=0.001",
    "train ppo CartPole-v1 --set learning_rate:0.001": "train ppo CartPole-v1 --set learning_rate=0.001",
    "train ppo CartPole-v1 --set learning_rate: 0.001": "train ppo CartPole-v1 --set learning_rate=0.001",
    "train ppo CartPole-v1 --set lr=0.001": "train ppo CartPole-v1 --set learning_rate=0.001",
    "sweep ppo CartPole-v1 --n_envs 4 --trials 3": "sweep ppo CartPole-v1 --set n_envs=4 --trials 3",
    # names and their order
    "train CartPole-v1 ppo": "train ppo CartPole-v1",
    "sweep CartPole-v1 ppo --trials 4": "sweep ppo CartPole-v1 --trials 4",
    "train CartPole-v1": "train ppo CartPole-v1",
    "train PPO CartPole-v1": "train ppo CartPole-v1",
    "train Ppo CartPole-v1": "train ppo CartPole-v1",
    "train CartPole-v1 PPO": "train ppo CartPole-v1",
    "sweep CartPole-v1": "sweep ppo CartPole-v1",
    "sweep ppo CartPole-v1 first": "sweep ppo CartPole-v1 --name first",
    # experiment files; test_corrections.py writes them
    "sweep -f hand.yaml": "sweep hand.yaml",
    "sweep --config=hand.yaml --trials 3": "sweep hand.yaml --trials 3",
    "sweep hand": "sweep hand.yaml",
    "train hand.yaml": "sweep hand.yaml",
    "sweep stored": "sweep runs/stored/experiment.yaml",
    "train ppo --env CartPole-v1": "train ppo CartPole-v1",
    "train --algorithm ppo --env CartPole-v1": "train ppo CartPole-v1",
    "ppo CartPole-v1": "train ppo CartPole-v1",
    "TRAIN ppo CartPole-v1": "train ppo CartPole-v1",
    # Stable-Baselines3 and RL Zoo
    "train --algo ppo --env CartPole-v1 -n 50000": "train ppo CartPole-v1 --env-steps 50000",
    "train --algo ppo --env CartPole-v1 -n 50000 -optimize": "sweep ppo CartPole-v1 --env-steps 50000",
    "--algo ppo --env CartPole-v1 -n 50000 -optimize --n-trials 10 --n-jobs 2 --sampler tpe": (
        "sweep ppo CartPole-v1 --env-steps 50000 --trials 10 --concurrency 2 --searcher tpe"
    ),
    "train --algo ppo --env CartPole-v1 --hyperparams learning_rate:0.001 n_envs:4": (
        "train ppo CartPole-v1 --set learning_rate=0.001 --set n_envs=4"
    ),
    "train ppo CartPole-v1 --env-kwargs sutton_barto_reward:True": (
        "train ppo CartPole-v1 --set env_kwargs/sutton_barto_reward=True"
    ),
    "train ppo CartPole-v1 --total-timesteps 1000": "train ppo CartPole-v1 --env-steps 1000",
    "train ppo CartPole-v1 --total_timesteps=1000": "train ppo CartPole-v1 --env-steps 1000",
    "train ppo CartPole-v1 --n_timesteps 1e5": "train ppo CartPole-v1 --env-steps 1e5",
    "train ppo CartPole-v1 --timesteps 1000": "train ppo CartPole-v1 --env-steps 1000",
    "train ppo CartPole-v1 --steps 1000": "train ppo CartPole-v1 --env-steps 1000",
    "train ppo CartPole-v1 --env_steps 1000": "train ppo CartPole-v1 --env-steps 1000",
    "train ppo CartPole-v1 --seed 3": "train ppo CartPole-v1 --seeds 3,",
    "train ppo CartPole-v1 --n-envs 8 --device cuda": "train ppo CartPole-v1 --set n_envs=8 --device cuda",
    "train ppo CartPole-v1 --verbose 1": "train ppo CartPole-v1 --verbose",
    "train ppo CartPole-v1 --track --tensorboard-log logs": "train ppo CartPole-v1 --tensorboard",
    "train ppo CartPole-v1 --policy MlpPolicy": "train ppo CartPole-v1",
    # Ray Tune and Optuna
    "optimize ppo CartPole-v1": "sweep ppo CartPole-v1",
    "optimize": "sweep ppo CartPole-v1",
    "optimize ppo CartPole-v1 --n-trials 8": "sweep ppo CartPole-v1 --trials 8",
    "train ppo CartPole-v1 --trials 8": "sweep ppo CartPole-v1 --trials 8",
    "sweep ppo CartPole-v1 --num-samples 8": "sweep ppo CartPole-v1 --trials 8",
    "sweep ppo CartPole-v1 --num_samples=8": "sweep ppo CartPole-v1 --trials 8",
    "sweep ppo CartPole-v1 --trial 8": "sweep ppo CartPole-v1 --trials 8",
    "sweep ppo CartPole-v1 --max-concurrent-trials 2": "sweep ppo CartPole-v1 --concurrency 2",
    "sweep ppo CartPole-v1 --searcher optuna": "sweep ppo CartPole-v1 --searcher tpe",
    "sweep ppo CartPole-v1 --scheduler ASHAScheduler": "sweep ppo CartPole-v1 --scheduler asha",
    "sweep ppo CartPole-v1 --study-name first": "sweep ppo CartPole-v1 --name first",
    "sweep ppo CartPole-v1 --search-space x.yaml": "sweep ppo CartPole-v1 --space x.yaml",
    # other commands
    "run ppo CartPole-v1": "train ppo CartPole-v1",
    "sweeps": "list",
    "compare": "ui",
    "status first": "show first",
    "continue first": "resume first",
    "eval some/checkpoint -n 10": "evaluate some/checkpoint --episodes 10",
    "help train": "train --help",
    "help": "--help",
    "version": "--version",
    # how things are typed
    "train ppo CartPole-v1 --env-steps 100,000": "train ppo CartPole-v1 --env-steps 100000",
    "train ppo CartPole-v1 --env-steps 100.000": "train ppo CartPole-v1 --env-steps 100000",
    "train ppo \"CartPole-v1\" --env-steps '1000'": "train ppo CartPole-v1 --env-steps 1000",
    "train ppo CartPole-v1 -seeds 4": "train ppo CartPole-v1 --seeds 4",
    "train ppo CartPole-v1 \u2013seeds 4": "train ppo CartPole-v1 --seeds 4",
    "train ppo CartPole-v1 \u2014seeds 4": "train ppo CartPole-v1 --seeds 4",
    "train ppo \u201cCartPole-v1\u201d --set \u2018gamma=0.9\u2019": "train ppo CartPole-v1 --set gamma=0.9",
}

NOT_CORRECTED = (
    "",
    "train",
    "train --seeds 0 ppo CartPole-v1",
    "train ppo CartPole-v1 --set normalize=true --set evaluation/episodes=0",
    "train my.py:PPO CartPole-v1 --env-steps 1",
    "sweep experiment.yaml",
    "sweep --env CartPole-v1 --space none.yaml",
    "train ppo CartPole-v1 --nonsense 3",
    "xyzzy",
    "show",
)
