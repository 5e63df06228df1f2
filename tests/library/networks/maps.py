"""Public networks whose modalities meet as maps, volumes, lists, skips or nodes, small, written anew after their form."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

import maskfusion as mf
from tests.library.networks.form import BATCH, CLASSES, Form
from tests.support.fusions import WIDTH


class AffineBlock(nn.Module):
    """DAFT's block: the table scales and shifts the maps of a volume, which also go round it."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2 = (nn.Conv3d(WIDTH, WIDTH, 3, padding=1) for _ in range(2))
        self.aux = nn.Sequential(nn.Linear(WIDTH + 4, 5), nn.ReLU(), nn.Linear(5, 2 * WIDTH))

    def forward(self, feature_map: Tensor, x_aux: Tensor) -> Tensor:
        out = self.conv1(feature_map)
        scale, shift = self.aux(torch.cat([out.mean((2, 3, 4)), x_aux], 1))[..., None, None, None].chunk(2, 1)
        return feature_map + self.conv2((scale * out + shift).relu())


class Volume(nn.Module):
    """DAFT: a residual network of a brain scan with the patient's table at its last block."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv3d(1, WIDTH, 3, padding=1), nn.BatchNorm3d(WIDTH)
        self.blockX, self.fc = AffineBlock(), nn.Linear(WIDTH, CLASSES)

    def forward(self, image: Tensor, tabular: Tensor) -> dict[str, Tensor]:
        maps = self.blockX(self.bn1(self.conv1(image)).relu(), tabular)
        return {"logits": self.fc(maps.mean((2, 3, 4)))}


def mask_volume(model: nn.Module, batch: Any) -> mf.ComplementaryMask:
    return mf.attach(model, "blockX", batch, side="input")


class ConvFuser(nn.Sequential):
    """Joins a list of maps, then convolves them."""

    def forward(self, inputs: list[Tensor]) -> Tensor:
        return super().forward(torch.cat(inputs, 1))


class BirdsEye(nn.Module):
    """BEVFusion: several cameras and a lidar, seen from above; in evaluation the list is made backwards and turned round."""

    def __init__(self) -> None:
        super().__init__()
        self.encoders = nn.ModuleDict({"camera": nn.Conv2d(6, WIDTH, 1), "lidar": nn.Linear(3, 4)})
        self.fuser = ConvFuser(
            nn.Conv2d(WIDTH + 4, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8), nn.ReLU(True)
        )
        self.heads = nn.ModuleDict({"map": nn.Conv2d(8, CLASSES, 1)})

    def extract(self, sensor: str, img: Tensor, points: list[Tensor]) -> Tensor:
        if sensor == "camera":
            return self.encoders["camera"](img.flatten(1, 2))
        pillars = torch.stack([self.encoders["lidar"](cloud).amax(0) for cloud in points])
        return pillars[..., None, None].expand(-1, -1, *img.shape[-2:])

    def forward(self, img: Tensor, points: list[Tensor]) -> dict[str, Tensor]:
        sensors = list(self.encoders)
        order = sensors if self.training else sensors[::-1]
        features = [self.extract(sensor, img, points) for sensor in order]
        fused = self.fuser(features if self.training else features[::-1])
        return {name: head(fused).mean((2, 3)) for name, head in self.heads.items()}


def mask_birds_eye(model: nn.Module, batch: Any) -> mf.ComplementaryMask:
    return mf.attach(model, "fuser", batch, side="input", modalities={"camera": "img", "lidar": "points"})


class Squeezed(nn.Module):
    """Weighs the channels of its maps by their means."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.fc = nn.Sequential(nn.Linear(channels, 4), nn.ReLU(), nn.Linear(4, channels), nn.Sigmoid())

    def forward(self, x: Tensor) -> Tensor:
        return x * self.fc(x.mean((2, 3)))[..., None, None]


class Skips(nn.Module):
    """ESANet and RedNet: depth is added to colour after each of five stages, and the sums skip to a decoder."""

    def __init__(self) -> None:
        super().__init__()
        widths = (4, 4, 6, 6, 8)
        for name, first in (("rgb", 3), ("depth", 1)):
            sizes = zip((first, *widths[:-1]), widths, strict=True)
            stages = [nn.Sequential(nn.Conv2d(a, b, 3, 1, 1), nn.BatchNorm2d(b), nn.ReLU()) for a, b in sizes]
            self.add_module(f"encoder_{name}", nn.ModuleList(stages))
            self.add_module(f"se_{name}", nn.ModuleList([Squeezed(width) for width in widths]))
        self.skips = nn.ModuleList([nn.Conv2d(width, 8, 1) for width in widths])
        self.conv_out = nn.Conv2d(8, CLASSES, 1)

    def forward(self, rgb: Tensor, depth: Tensor) -> Tensor:
        total: Tensor | float = 0.0
        stages = zip(
            self.encoder_rgb, self.encoder_depth, self.se_rgb, self.se_depth, self.skips, strict=True
        )
        for colour_stage, depth_stage, se_rgb, se_depth, skip in stages:
            depth = depth_stage(depth)
            rgb = se_rgb(colour_stage(rgb)) + se_depth(depth)
            total = total + skip(rgb)
        return self.conv_out(total).mean((2, 3))


def mask_skips(model: nn.Module, batch: Any) -> mf.ComplementaryMask:
    at = {name: [f"encoder_{name}.{stage}" for stage in range(5)] for name in ("rgb", "depth")}
    return mf.attach(model, at, batch)


class Propagation(nn.Module):
    """Means over the neighbours of each node."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.lin, self.root = nn.Linear(size, WIDTH), nn.Linear(size, WIDTH)

    def forward(self, x: Tensor, edge_index: Tensor) -> Tensor:
        source, target = edge_index
        count = torch.zeros(len(x)).index_add(0, target, torch.ones(len(target))).clamp(min=1)
        return (
            self.root(x)
            + torch.zeros(len(x), WIDTH).index_add(0, target, self.lin(x)[source]) / count[:, None]
        )


class Graph(nn.Module):
    """MMGCN and its like: one graph, a picture and a text at each node, graphs of a batch told by an index."""

    def __init__(self) -> None:
        super().__init__()
        self.v_gcn, self.t_gcn = Propagation(5), Propagation(4)
        self.lin = nn.Linear(2 * WIDTH, CLASSES)

    def forward(self, v_feat: Tensor, t_feat: Tensor, edge_index: Tensor, batch: Tensor) -> Tensor:
        nodes = torch.cat((self.v_gcn(v_feat, edge_index), self.t_gcn(t_feat, edge_index)), -1)
        return self.lin(torch.zeros(BATCH, nodes.shape[1]).index_add(0, batch, nodes.relu()))


def mask_graph(model: nn.Module, batch: Any) -> mf.ComplementaryMask:
    return mf.attach(model, {"picture": "v_gcn", "text": "t_gcn"}, batch)


def graphs() -> dict[str, Tensor]:
    """Rings of three nodes."""
    nodes = torch.arange(3 * BATCH)
    edges = torch.stack([nodes, torch.roll(nodes.view(-1, 3), 1, 1).flatten()])
    return {
        "v_feat": torch.randn(len(nodes), 5),
        "t_feat": torch.randn(len(nodes), 4),
        "edge_index": edges,
        "batch": nodes // 3,
    }


def sensors() -> dict[str, Tensor | Sequence[Tensor]]:
    """Two cameras, and clouds of different sizes."""
    clouds = [torch.randn(size, 3) for size in range(5, 5 + BATCH)]
    return {"img": torch.randn(BATCH, 2, 3, 5, 5), "points": clouds}


MAPS: dict[str, Form] = {
    "DAFT": Form(
        Volume,
        lambda: (torch.randn(BATCH, 1, 4, 4, 4), torch.randn(BATCH, 4)),
        mask_volume,
        lambda out: out["logits"],
    ),
    "BEVFusion": Form(BirdsEye, sensors, mask_birds_eye, lambda out: out["map"]),
    "RGB-D with five skips": Form(
        Skips,
        lambda: {"rgb": torch.randn(BATCH, 3, 6, 6), "depth": torch.randn(BATCH, 1, 6, 6)},
        mask_skips,
    ),
    "graph": Form(Graph, graphs, mask_graph),
}
