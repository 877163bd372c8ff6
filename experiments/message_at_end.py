"""Send a message when a sweep has ended: a callback of Ray Tune that posts to a webhook.

WEBHOOK_URL=https://chat.example.org/hooks/... python experiments/message_at_end.py

Slack, Mattermost, Rocket.Chat and others take such a message, a JSON object with `text`. Without WEBHOOK_URL it is
printed.
"""

from __future__ import annotations

import http.client
import json
import os
import urllib.request
from collections.abc import Sequence
from typing import Any

from ray.tune import Callback

from tuneexp import Sweep, run_script, watch

TIMEOUT_S = 10.0


class MessageAtEnd(Callback):
    """Send one message when the last trial has ended, or the sweep is interrupted.

    A sweep stores its callbacks. So the address, which often is a secret, is read from the environment when it is
    needed, and not kept here."""

    def on_experiment_end(self, trials: Sequence[Any], **info: Any) -> None:
        send(text_of(trials))


def text_of(trials: Sequence[Any]) -> str:
    """Return the message: how many trials ended, and the best objective."""
    ended = sum(trial.is_finished() for trial in trials)
    results = [trial.last_result for trial in trials if "objective" in (trial.last_result or {})]
    best = max((result["objective"] for result in results), default=None)
    return f"{ended} of {len(trials)} trials have ended, the best objective is {best}"


def send(text: str) -> None:
    """Post a message to WEBHOOK_URL. A webhook that fails is a line of output: the sweep is more important."""
    url = os.environ.get("WEBHOOK_URL")
    if not url:
        print(f"WEBHOOK_URL is not set; the message would be: {text}")
        return
    try:
        body = json.dumps({"text": text}).encode()
        request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
        urllib.request.urlopen(request, timeout=TIMEOUT_S).close()
    except (OSError, http.client.HTTPException, ValueError) as error:  # ValueError: WEBHOOK_URL is no address
        print(f"the message was not sent ({type(error).__name__}): {text}")


def main(trials: int = 4, seeds: int = 2, env_steps: int = 20_000, name: str = "", storage: str = "runs") -> None:
    """Tune PPO on CartPole and send a message at the end. --env-steps is the budget of each seed of a trial."""
    sweep = Sweep(
        algorithm="ppo",
        env="CartPole-v1",
        trials=trials,
        seeds=seeds,
        budget_env_steps=env_steps,
        callbacks=[MessageAtEnd()],
        name=name or None,  # None: a new one is made
        storage=storage,
    )
    watch(sweep)


if __name__ == "__main__":
    run_script(main)
