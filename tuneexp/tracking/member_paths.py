"""Names of checkpoints. Each member of a stacked population has a folder of its own in the checkpoint of the whole."""

from __future__ import annotations

MEMBER = "member_"


def member_folder(index: int) -> str:
    """Return the name of a member's folder within the checkpoint of its population."""
    return f"{MEMBER}{index:05d}"


def last_parts(path: str) -> list[str]:
    """Return `[trial_..., checkpoint_...]` of a path or URI, with the folder of the member if it names one."""
    parts = path.split("/")
    return parts[-3:] if parts[-1].startswith(MEMBER) else parts[-2:]


def of_whole(path: str) -> str:
    """Return the name `trial_.../checkpoint_...` of the whole checkpoint that a path or URI is in."""
    return "/".join(last_parts(path)[:2])
