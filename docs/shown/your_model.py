"""The reader's network, its loss and its batches, for the loops of the page *your model*."""

import tempfile
import warnings

import torch
import transformers
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset


def quiet() -> str:
    """Start from a seed, silence what other libraries print about themselves, and return a folder for what they write."""
    torch.manual_seed(0)
    warnings.filterwarnings("ignore")
    transformers.utils.logging.set_verbosity_error()
    return tempfile.mkdtemp()


class Fuse(nn.Module):
    """The layer that joins both modalities."""

    def forward(self, image: Tensor, text: Tensor) -> Tensor:
        """Concatenate."""
        return torch.cat([image, text], 1)


class Network(nn.Module):
    """Two encoders, a fusion layer, a head."""

    def __init__(self) -> None:
        super().__init__()
        self.image, self.text = nn.Linear(6, 8), nn.Linear(5, 8)
        self.fusion, self.head = Fuse(), nn.Linear(16, 3)

    def forward(self, image: Tensor, text: Tensor) -> Tensor:
        """Return the scores of three classes."""
        scores: Tensor = self.head(self.fusion(self.image(image), self.text(text)))
        return scores


class Late(nn.Module):
    """Two encoders, joined in ``forward``, and a head."""

    def __init__(self) -> None:
        super().__init__()
        self.image_encoder, self.text_encoder = nn.Linear(6, 8), nn.Linear(5, 8)
        self.head = nn.Linear(16, 3)

    def forward(self, image: Tensor, text: Tensor) -> Tensor:
        """Return the scores of three classes."""
        scores: Tensor = self.head(torch.cat([self.text_encoder(text), self.image_encoder(image)], 1))
        return scores


criterion = nn.CrossEntropyLoss()
data = TensorDataset(torch.randn(64, 6), torch.randn(64, 5), torch.randint(3, (64,)))
loader = DataLoader(data, batch_size=16)
