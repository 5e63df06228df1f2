"""What both callbacks do with the penalty schedules of a model."""

from torch import nn

from maskfusion.training.schedules import PenaltySchedule


class Schedules:
    """The schedules in a model, stepped and read together."""

    def __init__(self, model: nn.Module) -> None:
        self._found = {
            path: module for path, module in model.named_modules() if isinstance(module, PenaltySchedule)
        }

    def step(self) -> None:
        """Step each once."""
        for schedule in self._found.values():
            schedule.step()

    def metrics(self) -> dict[str, float]:
        """``{"lambda": value}``; with several schedules each name starts with the path of its schedule."""
        prefix = "{}/lambda" if len(self._found) > 1 else "lambda"
        return {prefix.format(path): float(schedule.value) for path, schedule in self._found.items()}
