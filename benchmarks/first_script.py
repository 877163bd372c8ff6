"""The first script of the README with a clock: a configuration and ten calls of `train()`."""

from __future__ import annotations

from benchmarks.clock import hand_over, since_start_s
from tuneexp import PPO


def main() -> None:
    algo = PPO.build(env="CartPole-v1", seeds=[0])
    shown_s = []
    for _ in range(10):
        print(algo.train()["train/return_mean"], flush=True)
        shown_s.append(since_start_s())
    algo.stop()
    hand_over({"shown_s": shown_s[0], "ten_calls_s": shown_s[-1]})


if __name__ == "__main__":
    main()
