"""Translation of RL Zoo's hyperparameter keys; unsupported ones raise an error with the replacement."""

from __future__ import annotations

from pydantic import BaseModel

from tuneexp.algorithms.rl_zoo.literals import Symbol, read_dict, read_text
from tuneexp.algorithms.rl_zoo.policy_kwargs import Fields, Values, put_networks
from tuneexp.errors import SeveralErrors, shortened

# The encoder depends on the observations; RL Zoo's policy names are accepted and have no effect.
POLICIES = ("MlpPolicy", "CnnPolicy", "MultiInputPolicy")
WITH_MEMORY = ("MlpLstmPolicy", "CnnLstmPolicy", "MultiInputLstmPolicy")
# Defaults of sb3_contrib's recurrent policies; policy_kwargs overrides them.
LSTM = {"recurrent": "lstm", "recurrent_size": 256, "enable_critic_lstm": True}

NO_CALLBACK = "callback is Python code, which is never evaluated; leave it out"
INSTEAD = {
    "n_timesteps": "n_timesteps is no hyperparameter here; write --env-steps (budget_env_steps in Python) instead",
    "env_wrapper": "env_wrapper belongs to the environment; write --wrapper NAME (wrappers=[...] in Python) instead; "
    "Atari has its standard preprocessing without one",
    "vec_env_wrapper": "vec_env_wrapper belongs to the environment; write --wrapper NAME (wrappers=[...] in Python)",
    "frame_stack": "frame_stack belongs to the environment; Atari stacks 4 frames by itself, for another one write "
    "--wrapper 'FrameStack={\"n_stack\": 4}'",
    "action_noise": "action_noise is Python code, which is never evaluated; write noise_std=0.1 with td3 or ddpg",
    "seed": "seed is no hyperparameter here; write --seeds (seeds=[0, 1, 2] in Python) instead",
    "callback": NO_CALLBACK,
}

RL_ZOO_KEYS = (*INSTEAD, "policy", "policy_kwargs", "normalize", "use_sde", "sde_sample_freq", "use_sde_at_warmup",
               "noise_type", "noise_std", "optimize_memory_usage", "replay_buffer_class", "replay_buffer_kwargs",
               "verbose", "tensorboard_log", "stats_window_size")  # fmt: skip
"""Keys of RL Zoo that are no fields of (all) configurations; `from_rl_zoo` translates or refuses each."""

# Without effect: stacked frames are always stored once; the others control the output of Stable-Baselines3.
_UNUSED = ("optimize_memory_usage", "verbose", "tensorboard_log", "stats_window_size")
_NORMALISED = {"norm_obs": "normalize_observation", "norm_reward": "normalize_reward"}
# Other settings of VecNormalize, as they are here.
_NORMALISATION = {"epsilon": 1e-8, "training": True}


def from_rl_zoo(values: Values, fields: Fields) -> Values:
    """Translate hyperparameters of an RL Zoo file.

    Args:
        values: Names and values as in the file.
        fields: Fields of the configuration.

    Returns:
        Hyperparameters by the names used here.

    Raises:
        SeveralErrors: Keys have no counterpart; one line for each problem.
    """
    own = {key: value for key, value in values.items() if key not in (*_UNUSED, *INSTEAD) or key in fields}
    problems = [INSTEAD[key] for key in values if key in INSTEAD and key not in fields]
    for translate in (put_networks, _policy, _state_dependent, _noise, _normalisation, _replay, _buffer, _temperature):
        try:
            translate(own, fields)
        except ValueError as error:
            problems.append(str(error))
    if problems:
        raise SeveralErrors(problems)
    return own


def _policy(own: Values, fields: Fields) -> None:
    policy = own.pop("policy", POLICIES[0])
    if policy in POLICIES:
        return
    if policy not in WITH_MEMORY:
        raise ValueError(
            f"policy {shortened(policy)} is not known; leave it out and describe the networks by model/..., or name "
            "one of your own: model=path/file.py:MyNet"
        )
    if "sequence_length" not in fields:
        raise ValueError(f"policy {policy!r} has a memory; use ppo, a2c, appo or impala with model/recurrent=lstm")
    model = own.get("model", {})
    if isinstance(model, BaseModel):
        model = model.model_dump(exclude_unset=True)
    if not isinstance(model, dict):
        raise ValueError(f"policy {policy!r} is a built-in network, model={model} is one of your own; leave one out")
    own["model"] = {**LSTM, **model}


def _state_dependent(own: Values, fields: Fields) -> None:
    if "use_sde" not in fields and own.pop("use_sde", False):
        raise ValueError(
            "use_sde (state-dependent exploration) is not supported by this algorithm; write use_sde=false or leave it "
            "out"
        )
    for key in ("sde_sample_freq", "use_sde_at_warmup"):
        if key not in fields and own.pop(key, None):
            raise ValueError(f"{key} belongs to use_sde, which is not supported by this algorithm; leave it out")


def _noise(own: Values, fields: Fields) -> None:
    if "noise_type" in fields:
        return
    noise = own.pop("noise_type", None)
    if "noise_std" not in fields:
        if noise is not None or "noise_std" in own:
            raise ValueError("noise_type and noise_std are for td3 and ddpg only; leave them out")
    elif noise not in (None, "normal"):
        raise ValueError(f"noise_type {noise!r} is not supported; write noise_type=normal, or leave it out")


def _normalisation(own: Values, fields: Fields) -> None:
    """Translate true, false, or VecNormalize's settings: dict(norm_obs=..., norm_reward=...)."""
    if "normalize" not in own:
        return
    normalize = own.pop("normalize")
    if isinstance(normalize, bool):
        given = dict.fromkeys(_NORMALISED, normalize)
    else:
        given = {"norm_obs": True, "norm_reward": True, **read_dict("normalize", normalize)}
    for name in ("clip_obs", "clip_reward"):
        if name in given:
            own.setdefault(name, given.pop(name))
    gamma = own.get("gamma", given.get("gamma"))  # RL Zoo takes the algorithm's there, too
    for name, value in given.items():
        if name not in _NORMALISED and value != {**_NORMALISATION, "gamma": gamma}.get(name, value is None):
            raise ValueError(
                f"normalize: {name}={shortened(value)} is not known here; it takes norm_obs and norm_reward, true or "
                "false; or write normalize_observation and normalize_reward"
            )
    for name, field in _NORMALISED.items():
        own.setdefault(field, given[name])


def _replay(own: Values, fields: Fields) -> None:
    freq = own.get("train_freq")
    if "train_freq" in fields and isinstance(freq, str):
        own["train_freq"] = read_text("train_freq", freq)


def _buffer(own: Values, fields: Fields) -> None:
    kind, given = own.pop("replay_buffer_class", None), own.pop("replay_buffer_kwargs", None)
    name = kind.rpartition(".")[2] if isinstance(kind, str) else kind
    if name == "HerReplayBuffer":
        raise ValueError(
            "replay_buffer_class HerReplayBuffer (hindsight experience replay) is not supported; leave it and "
            "replay_buffer_kwargs out, and use an environment with a dense reward"
        )
    if name not in (None, "ReplayBuffer", "DictReplayBuffer"):
        raise ValueError(
            f"replay_buffer_class {shortened(kind)} can't be replaced by name; leave it out, or write prioritized=true "
            "for a prioritized buffer where an algorithm has one (dqn, sac, td3)"
        )
    for option, value in read_dict("replay_buffer_kwargs", given).items():
        if option not in ("handle_timeout_termination", "optimize_memory_usage") or isinstance(value, Symbol):
            raise ValueError(f"replay_buffer_kwargs {option} is not known here; leave it out")
        if option == "handle_timeout_termination" and value is not True:
            raise ValueError(
                f"replay_buffer_kwargs {option}={value}: truncated and terminated episodes are never mixed here; "
                "leave it out"
            )


def _temperature(own: Values, fields: Fields) -> None:
    """Translate `auto_0.1`: a learned temperature with initial value 0.1."""
    if "initial_ent_coef" not in fields:
        return
    ent_coef = own.get("ent_coef")
    if isinstance(ent_coef, str) and ent_coef.startswith("auto"):
        own["ent_coef"] = None
        if ent_coef != "auto":
            own.setdefault("initial_ent_coef", ent_coef.removeprefix("auto_"))
    if own.get("target_entropy") == "auto":
        own["target_entropy"] = None
