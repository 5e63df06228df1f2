"""What several runs share, so that their probes may stand in one table."""

from collections.abc import Mapping, Sequence
from typing import Any

from examples.errors import UserError

_OF_A_ROW = ("method", "quantise", "arguments", "settings")
_OF_A_RUN = ("row", "seed", "start", "tune", "versions", *_OF_A_ROW)  # keys of a plan that may be different


def shared_recipe(plans: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the settings that all runs share, and those of each row under "comparison".

    Args:
        plans: Plan of each run.

    Raises:
        UserError: The runs are of several data sets, or of other settings; says which.
    """
    recipe = {key: value for key, value in plans[0].items() if key not in _OF_A_RUN}
    rows: dict[str, dict[str, Any]] = {}
    for plan in plans:
        own = {key: plan[key] for key in _OF_A_ROW}
        known = rows.setdefault(plan["row"], own)
        differ = [key for key in recipe if plan[key] != recipe[key]]
        differ += [f"{plan['row']}.{key}" for key in own if own[key] != known[key]]
        if differ:
            raise UserError(f"`runs` must differ in row and seed only, and do in {differ}; probe them apart.")
    return {**recipe, "comparison": rows}
