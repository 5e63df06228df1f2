"""Tensor annotations that name their axes, such as ``Float[Tensor, "batch channels *spatial"]``.

A type checker reads them as plain ``Tensor``. Where jaxtyping is already loaded, as in our own test run, they are checked
at run time; importing maskfusion never loads it.
"""

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

from torch import Tensor

__all__ = ["Bool", "Float", "Gate", "Int", "Penalty"]

Gate = Callable[[Tensor, float, bool], Tensor]
"""``(weight, threshold, training) -> gate values``, both tensors of shape ``(channels,)``."""

Penalty = Callable[[Tensor], Tensor]
"""``(weight,) -> 0-d tensor``."""

if TYPE_CHECKING:
    from typing import Annotated as Bool
    from typing import Annotated as Float
    from typing import Annotated as Int
else:

    class _Unchecked:
        def __class_getitem__(cls, item):
            return item[0]

    _jaxtyping = sys.modules.get("jaxtyping")
    Bool = getattr(_jaxtyping, "Bool", _Unchecked)
    Float = getattr(_jaxtyping, "Float", _Unchecked)
    Int = getattr(_jaxtyping, "Int", _Unchecked)
