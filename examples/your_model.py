"""Your model: a classifier on both embeddings of CLIP, random and small, and the three lines that put a mask into it.

``python -m examples.your_model`` trains it on made-up pairs: the captions tell the class, the images are noise.
"""

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset
from transformers import CLIPConfig, CLIPModel

import maskfusion as mf

WIDTH, WORDS, CLASSES = 32, 40, 3
TOWER = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}
TEXT = {**TOWER, "vocab_size": WORDS, "max_position_embeddings": 6, "bos_token_id": 0, "eos_token_id": 2}
VISION = {**TOWER, "image_size": 16, "patch_size": 8}


class Classifier(nn.Module):
    """A network as it stands before maskfusion."""

    def __init__(self) -> None:
        super().__init__()
        self.clip = CLIPModel(CLIPConfig(text_config=TEXT, vision_config=VISION, projection_dim=WIDTH))
        self.fusion = nn.Flatten()  # of both embeddings: side by side
        self.head = nn.Linear(2 * WIDTH, CLASSES)

    def forward(self, pixel_values: Tensor, input_ids: Tensor) -> Tensor:
        """Return the score of each class."""
        out = self.clip(pixel_values=pixel_values, input_ids=input_ids)
        scores: Tensor = self.head(self.fusion(torch.stack([out.image_embeds, out.text_embeds], 1)))
        return scores


def draw(count: int) -> TensorDataset:
    """Noise, captions of five words and an end, and the class, which the second word names."""
    labels, captions = torch.randint(CLASSES, (count,)), torch.randint(3 + CLASSES, WORDS, (count, 6))
    captions[:, 1], captions[:, 5] = 3 + labels, 2
    return TensorDataset(torch.randn(count, 3, 16, 16), captions, labels)


if __name__ == "__main__":
    torch.manual_seed(0)
    model, criterion = Classifier(), nn.CrossEntropyLoss()
    loader = DataLoader(draw(1024), batch_size=32, shuffle=True)
    whose = {"image": "pixel_values", "text": "input_ids"}
    mask = mf.attach(model, "fusion", draw(4)[:][:2], modalities=whose)  # the first of the three
    tracker = mf.ComplementarityTracker(model)  # the second
    optimizer = torch.optim.AdamW(mf.parameter_groups(model, lr=2e-3, weight_decay=0.01))
    for epoch in range(5):
        for images, captions, labels in loader:
            loss = criterion(model(images, captions), labels) + 3e-3 * mask.penalty()  # the third
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        tracker.update(epoch + 1)
        print(f"epoch {epoch + 1}: loss {loss.item():.3f}, open in percent: {tracker.kept()}")
    print(mask)
