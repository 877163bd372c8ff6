"""RL Zoo's hyperparameter files pasted in: what each key becomes here, or one line that says what to write instead."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

# The observations decide about the encoder; RL Zoo's names for that are accepted and say nothing.
POLICIES = ("MlpPolicy", "CnnPolicy", "MultiInputPolicy")

INSTEAD = {
    "policy_kwargs": "policy_kwargs is Python code, which is never evaluated; write the networks as plain values "
    "instead: model/hidden_sizes=[256,256] model/activation=relu, and what else `tuneexp describe` lists of model/...",
    "n_timesteps": "n_timesteps is no hyperparameter here; write --env-steps (budget_env_steps in Python) instead",
    "env_wrapper": "env_wrapper belongs to the environment; write --wrapper NAME (wrappers=[...] in Python) instead; "
    "Atari has its standard preprocessing without one",
    "vec_env_wrapper": "vec_env_wrapper belongs to the environment; write --wrapper NAME (wrappers=[...] in Python)",
    "frame_stack": "frame_stack belongs to the environment; Atari stacks 4 frames by itself, for another one write "
    "--wrapper 'FrameStackObservation={\"stack_size\": 4}'",
    "action_noise": "action_noise is Python code, which is never evaluated; write noise_std=0.1 with td3 or ddpg",
    "replay_buffer_class": "replay_buffer_class can't be replaced by name; leave it out, or write prioritized=true for "
    "a prioritized buffer where an algorithm has one (dqn, sac, td3)",
    "replay_buffer_kwargs": "replay_buffer_kwargs is not needed: truncated episodes are always told from terminated "
    "ones; leave it out",
    "seed": "seed is no hyperparameter here; write --seeds (seeds=[0, 1, 2] in Python) instead",
    "callback": "callback is Python code, which is never evaluated; leave it out",
}

RL_ZOO_KEYS = (*INSTEAD, "policy", "normalize", "use_sde", "sde_sample_freq", "use_sde_at_warmup", "noise_type",
               "noise_std", "optimize_memory_usage")  # fmt: skip
"""Keys of those files that are no fields of (all) configurations; `from_rl_zoo` says what becomes of each."""


def from_rl_zoo(values: dict[str, Any], fields: Collection[str]) -> dict[str, Any]:
    """`values` under the names that they have here; fields: those of the configuration. Raises `ValueError` of one line
    for what has no meaning here."""
    for key in values:
        if key in INSTEAD and key not in fields:
            raise ValueError(INSTEAD[key])
    own = dict(values)
    _policy(own, fields)
    _exploration(own, fields)
    _normalisation(own)
    if "train_freq" in fields:
        _replay(own)
    if "initial_ent_coef" in fields:
        _temperature(own)
    return own


def _policy(own: dict[str, Any], fields: Collection[str]) -> None:
    if (policy := own.pop("policy", POLICIES[0])) not in POLICIES:
        if str(policy).endswith("LstmPolicy"):
            instead = (
                "write model/recurrent=lstm (and sequence_length, which n_steps is a multiple of)"
                if "sequence_length" in fields
                else "use ppo, a2c, appo or impala with model/recurrent=lstm"
            )
            raise ValueError(f"policy {policy!r} has another name here; {instead} instead of it")
        raise ValueError(f"policy {policy!r} is not known; leave it out and describe the networks by model/...")


def _exploration(own: dict[str, Any], fields: Collection[str]) -> None:
    if own.pop("use_sde", False):
        raise ValueError("use_sde (state-dependent exploration) is not supported; write use_sde=false or leave it out")
    for key in ("sde_sample_freq", "use_sde_at_warmup"):
        if own.pop(key, None):
            raise ValueError(f"{key} belongs to use_sde, which is not supported; leave it out")
    noise = own.pop("noise_type", None)
    if "noise_std" not in fields:
        if noise is not None or "noise_std" in own:
            raise ValueError("noise_type and noise_std are for td3 and ddpg; what else there is explores without them")
    elif noise not in (None, "normal"):
        raise ValueError(f"noise_type {noise!r} is not supported; write noise_type=normal, or leave it out")


def _normalisation(own: dict[str, Any]) -> None:
    if "normalize" not in own:
        return
    normalize = own.pop("normalize")
    if not isinstance(normalize, bool):
        raise ValueError("normalize takes true or false; or write normalize_observation and normalize_reward")
    own.setdefault("normalize_observation", normalize)
    own.setdefault("normalize_reward", normalize)


def _replay(own: dict[str, Any]) -> None:
    own.pop("optimize_memory_usage", None)  # stacked frames are stored once anyway
    freq = own.get("train_freq")
    if isinstance(freq, list | tuple) and len(freq) == 2 and freq[1] == "step":
        own["train_freq"] = freq[0]
    elif isinstance(freq, list | tuple) or "episode" in str(freq):
        raise ValueError(
            f"train_freq {freq!r} is not supported: it counts steps in each environment, not episodes; write "
            "train_freq=1 gradient_steps=1, or larger numbers of both"
        )


def _temperature(own: dict[str, Any]) -> None:
    """`auto_0.1`: learned, from 0.1 on."""
    ent_coef = own.get("ent_coef")
    if isinstance(ent_coef, str) and ent_coef.startswith("auto"):
        own["ent_coef"] = None
        if ent_coef != "auto":
            own.setdefault("initial_ent_coef", ent_coef.removeprefix("auto_"))
    if own.get("target_entropy") == "auto":
        own["target_entropy"] = None
