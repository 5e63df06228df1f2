"""Writing the smaller program."""

from collections.abc import Callable, Mapping
from itertools import chain
from itertools import count as counting
from operator import attrgetter
from typing import Any, cast

import torch
from torch import Tensor, fx, nn

from maskfusion._typing import Bool
from maskfusion.compact.channels import Analysis, Need, Open, Rules, nodes_in, shape_of
from maskfusion.compact.program import ATEN, Node, Program
from maskfusion.compact.readers import CONVOLUTIONS, Parts

UNSAVED = (*CONVOLUTIONS, ATEN.linear.default, ATEN.batch_norm.default, ATEN.add.Tensor)
"""Operations that make new memory, and whose gradient does not need what they made."""
HEARD = "maskfusion_heard"
"""Where an operation of the smaller program says which inputs it depends on."""


class Writer:
    """A program without what ``analysis`` found to be unneeded.

    Args:
        program: The network.
        analysis: Its channels.
        rule_of: How an operation is made smaller.
    """

    def __init__(self, program: Program, analysis: Analysis, rule_of: Rules) -> None:
        self.program = program
        self.analysis = analysis
        self.root = nn.Module()
        self.graph = fx.Graph()
        self.inputs: list[Node] = [node for node in program.inputs if analysis.is_read(node)]
        self.given: dict[Node, Node] = {}
        self._held: dict[Node, tuple[Node, Need]] = {}
        self._forms: dict[Any, Node] = {}
        self._stored: dict[str, list[tuple[Node, Tensor]]] = {}
        self._batch: Node | None = None
        self._heard: frozenset[str] = frozenset()
        if not self.inputs and program.batch is not None:
            self.inputs = [next(node for node in program.inputs if shape_of(node))]
        for node in self.inputs:
            self.given[node] = self._note(self.graph.placeholder(node.name), program.heard[node])
        for node in program.graph.nodes:
            wanted = analysis.open.get(node)
            if node not in analysis.open or (wanted is not None and not wanted.mask.any()):
                continue
            self._heard = program.heard[node]
            self._held[node] = rule_of(node).write(node, wanted, self)
        self._heard = frozenset()
        returned = [self.whole(node) for node in nodes_in(program.output)]
        self.graph.output(returned[0] if isinstance(program.output, Node) else tuple(returned))
        self.graph.eliminate_dead_code()
        self._reuse_memory()

    def _reuse_memory(self) -> None:
        """ReLU in place, where nothing else reads what it changes and no gradient needs it."""
        for node in self.graph.nodes:
            if node.target is ATEN.relu.default:
                (source,) = node.args
                if source.target in UNSAVED and len(source.users) == 1:
                    node.target = ATEN.relu_.default

    def mapped(self, value: Any) -> Any:
        """Nested collections, their nodes replaced by those of the smaller program with all their channels."""
        return fx.map_arg(value, self.whole)

    def again(self, node: Node, take: Callable[[Node], Node] | None = None) -> Node:
        """The same operation; ``take`` gives its arguments, with all their channels if None."""
        take = self.whole if take is None else take
        return self.call(node, fx.map_arg(node.args, take), fx.map_arg(node.kwargs, take))

    def call(self, node: Node, args: tuple[Any, ...], kwargs: Mapping[str, Any] | None = None) -> Node:
        """The operation of a node on other arguments."""
        target = ATEN.reshape.default if node.target is ATEN.view.default else node.target
        return self._apply(target, args, dict(kwargs if kwargs is not None else node.kwargs))

    def _apply(self, target: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any] | None = None) -> Node:
        return self._note(self.graph.call_function(target, args, dict(kwargs or {})), self._heard)

    @staticmethod
    def _note(node: Node, heard: frozenset[str]) -> Node:
        node.meta[HEARD] = heard
        return node

    def batch(self) -> Node:
        """The size of the batch."""
        if self._batch is None:
            first = next(n for n in self.inputs if shape_of(n) and self.program.is_batch(shape_of(n)[0]))
            self._batch = self._note(
                self.graph.call_function(ATEN.sym_size.int, (self.given[first], 0)), frozenset()
            )
        return self._batch

    def whole(self, node: Node) -> Node:
        """A node with all of its channels, those that are known put in place."""
        if node in self.program.constants:
            name, value = self.program.constants[node]
            return self.stored(name, value, value)
        if node in self.given:
            return self.given[node]
        if node in self._held and self._held[node][1] is None:
            return self._held[node][0]
        known = self.analysis.known[node]
        return self.form(node, Open(known.dim, torch.ones_like(known.closed)))

    def form(self, node: Node, wanted: Open) -> Node:
        """A node with some of its channels."""
        key = node, wanted.dim, tuple(wanted.mask.tolist())
        if key not in self._forms:
            self._forms[key] = self._form(node, wanted)
        return self._forms[key]

    def _form(self, node: Node, wanted: Open) -> Node:
        dim, mask = wanted
        if node in self.program.constants:
            return self._stored_part(node, dim, mask)
        computed, held = (
            (self.given[node], None) if node in self.given else self._held.get(node, (None, None))
        )
        if computed is None:
            return self._constant(node, dim, mask)
        if held is not None and held.dim != dim:
            computed, held = self.whole(node), None
        there = torch.ones_like(mask) if held is None else held.mask
        missing = mask & ~there
        chosen = self._pick(computed, dim, (mask & there)[there], self._device(node))
        if not missing.any():
            return chosen
        if not (mask & there).any():
            return self._constant(node, dim, missing)
        joined = self._apply(ATEN.cat.default, ([chosen, self._constant(node, dim, missing)], dim))
        order = torch.cat([(mask & there).nonzero(), missing.nonzero()]).flatten().argsort()
        if torch.equal(order, torch.arange(len(order))):
            return joined
        index = self.stored("index", order.to(self._device(node)))
        return self._apply(ATEN.index_select.default, (joined, dim, index))

    def _pick(self, node: Node, dim: int, mask: Bool[Tensor, " channels"], device: torch.device) -> Node:
        """Some channels of a tensor that is computed."""
        if mask.all():
            return node
        index = mask.nonzero().flatten()
        start, stop = (int(index[0]), int(index[-1]) + 1) if len(index) else (0, 0)
        if stop - start == len(index):
            return self._apply(ATEN.slice.Tensor, (node, dim, start, stop))
        return self._apply(ATEN.index_select.default, (node, dim, self.stored("index", index.to(device))))

    def _constant(self, node: Node, dim: int, mask: Bool[Tensor, " channels"]) -> Node:
        """Channels of which the value is known, in their shape."""
        known = self.analysis.known[node]
        shape = shape_of(node)
        value = known.value[mask].to(node.meta["val"].dtype).to(self._device(node))
        stored = self.stored("constant", value.view(-1, *[1] * (len(shape) - dim - 1)))
        sizes = [size if isinstance(size, int) else self.batch() for size in shape]
        sizes[dim] = len(value)
        return self._apply(ATEN.expand.default, (stored, sizes))

    def is_one(self, gate: Node, wanted: Open) -> bool:
        """Whether a gate is one for all of these channels."""
        if gate not in self.program.constants:
            return False
        value = self.program.value(gate)
        return bool(value.movedim(wanted.dim, 0)[wanted.mask.to(value.device)].eq(1).all())

    @staticmethod
    def _device(node: Node) -> torch.device:
        return cast("torch.device", node.meta["val"].device)

    def _stored_part(self, node: Node, dim: int, mask: Bool[Tensor, " channels"]) -> Node:
        name, value = self.program.constants[node]
        index = mask.nonzero().flatten().to(value.device)
        return self.stored(name, value if mask.all() else value.detach().index_select(dim, index), value)

    def rows(self, node: Node, mask: Bool[Tensor, " channels"] | None) -> Node:
        """A weight or bias for these outputs alone; for all of them if None."""
        if mask is None:
            return self.whole(node)
        if node in self.program.constants:
            return self.form(node, Open(0, mask))
        return self._pick(self.whole(node), 0, mask, self._device(node))

    def columns(
        self,
        node: Node,
        rows: Bool[Tensor, " out"] | None,
        mask: Bool[Tensor, " channels"],
        more: Tensor | None = None,
    ) -> Node:
        """A weight for these outputs and inputs alone, and ``more`` for one more input."""
        if more is not None:
            more = (more if rows is None else more[rows]).unsqueeze(1)
        if node in self.program.constants:
            name, value = self.program.constants[node]
            chosen = value.detach() if rows is None else value.detach()[rows.to(value.device)]
            chosen = chosen[:, mask.to(value.device)]
            return self.stored(
                name, chosen if more is None else torch.cat([chosen, more.to(chosen)], 1), value
            )
        part = self._pick(self.rows(node, rows), 1, mask, self._device(node))
        if more is None:
            return part
        stored = self.stored("constant", more.to(node.meta["val"].dtype).to(self._device(node)))
        return self._apply(ATEN.cat.default, ([part, stored], 1))

    def added_bias(self, parts: Parts, added: Tensor, rows: Bool[Tensor, " out"] | None) -> Node | None:
        """The bias with what closed channels add to it."""
        added = added if rows is None else added[rows]
        if not added.any():
            return parts.bias and self.rows(parts.bias, rows)
        name, weight = self.program.constants.get(parts.weight, ("weight", self.program.value(parts.weight)))
        if parts.bias is None:
            return self.stored(name.removesuffix("weight") + "bias", added.to(weight), weight)
        if parts.bias not in self.program.constants:
            return self._apply(
                ATEN.add.Tensor, (self.rows(parts.bias, rows), self.stored("constant", added.to(weight)))
            )
        name, bias = self.program.constants[parts.bias]
        own = bias.detach().cpu().double()
        return self.stored(name, ((own if rows is None else own[rows]) + added).to(bias), bias)

    def replaced(self, parts: Parts, weight: Tensor, bias: Tensor) -> tuple[Node, Node]:
        """Another weight and bias in place of those that a layer has stored."""
        old = self.stored_at(parts.weight)
        kept = self._instead(parts.weight, weight.to(old))
        if parts.bias is not None:
            return kept, self._instead(parts.bias, bias.to(old))
        name = str(parts.weight.target).removesuffix("weight") + "bias"
        return kept, self.stored(name, bias.to(old), old)

    def _instead(self, node: Node, value: Tensor) -> Node:
        """Store another value; under the same name, unless somebody else reads that."""
        old, name = self.stored_at(node), str(node.target)
        if len(node.users) > 1:
            return self.stored(name, value, old)
        way, _, last = name.rpartition(".")
        new = nn.Parameter(value, old.requires_grad) if isinstance(old, nn.Parameter) else value
        setattr(self.root.get_submodule(way), last, new)
        for pairs in self._stored.values():
            pairs[:] = [(each, new if each is node else tensor) for each, tensor in pairs]
        return node

    def stored_at(self, node: Node) -> Tensor:
        """What the smaller network stores at a node."""
        return cast("Tensor", attrgetter(str(node.target))(self.root))

    def with_ones(self, source: Node) -> Node:
        """A source with one more channel, of ones."""
        channel = self._apply(ATEN.ones_like.default, (self._apply(ATEN.slice.Tensor, (source, 1, 0, 1)),))
        return self._apply(ATEN.cat.default, ([source, channel], 1))

    def stored_tensors(self) -> list[tuple[Node, Tensor]]:
        """What the smaller network stores."""
        return [pair for pairs in self._stored.values() for pair in pairs]

    def held(self, node: Node) -> Need:
        """The channels that the smaller network computes of an operation; None for all."""
        return self._held[node][1]

    def stored(self, name: str, value: Tensor, like: Tensor | None = None) -> Node:
        """A tensor of the smaller network, a parameter where ``like`` is one."""
        for node, other in self._stored.get(name, []):
            if other.shape == value.shape and other.dtype == value.dtype and torch.equal(other, value):
                return node
        own = value.detach().clone()
        kept = nn.Parameter(own, like.requires_grad) if isinstance(like, nn.Parameter) else own
        *way, last = name.split(".")
        module = self.root
        for part in way:
            if not hasattr(module, part):
                module.add_module(part, nn.Module())
            module = module.get_submodule(part)
        names = chain([last], (f"{last}_{n}" for n in counting(2)))
        free = next(each for each in names if not hasattr(module, each))
        if isinstance(kept, nn.Parameter):
            module.register_parameter(free, kept)
        else:
            module.register_buffer(free, kept)
        node = self._note(self.graph.get_attr(".".join([*way, free])), frozenset())
        self._stored.setdefault(name, []).append((node, kept))
        return node
