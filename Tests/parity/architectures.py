"""The models of the parity fixtures and of the differential tests, by name.

`build(name)` gives a `Sample`: a module in evaluation mode with seeded weights, the inputs of one batch by name, and
labels for its logits. Architecture and width are those of the published models; only images and sequences are small, so
that a fixture takes seconds. Dropout and stochastic depth are off: their random numbers are nobody's reference.
"""
import dataclasses
import warnings
from typing import Callable

import torch
from torch import nn

warnings.filterwarnings("ignore", category=DeprecationWarning)


def import_torchvision():
    """torchvision, also when its compiled operators were built for another torch: nothing here uses them."""
    try:
        import torchvision
    except RuntimeError:
        library = torch.library.Library("torchvision", "DEF")
        for name in ("nms", "qnms"):
            library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        import_torchvision.library = library  # the definitions live as long as the object
        import torchvision
    return torchvision


@dataclasses.dataclass
class Sample:
    module: nn.Module
    inputs: dict  # by name, in the order of the module's arguments
    labels: torch.Tensor  # int64, one for each row of logits
    dynamic: dict  # by input name: {axis: name} of the axes that may change


CLASSES = 10
VOCABULARY = 1000


def images(count, side, rows=None):
    x = torch.randn(count, 3, side, side)
    return {"x": x}, torch.randint(0, CLASSES, (rows or count,)), {"x": {0: "batch"}}


def tokens(count, length):
    x = torch.randint(1, VOCABULARY, (count, length))
    return {"x": x}, torch.randint(0, CLASSES, (count,)), {"x": {0: "batch", 1: "sequence"}}


def settle(module, inputs, shift=2.0, batches=3):
    """Running statistics, scales and shifts that are away from 0 and 1, and no two alike.

    Positive shifts keep most values away from the kink of ReLU and ReLU6. Around 0 a value that is rounded to the other
    side changes gradients by more than the parity tests allow, and PyTorch does not agree with itself.
    """
    for part in module.modules():
        if isinstance(part, (nn.BatchNorm2d, nn.LayerNorm)):
            nn.init.uniform_(part.weight, 0.6, 1.4)
            nn.init.normal_(part.bias, mean=shift, std=0.2)
    module.train()
    with torch.no_grad():
        for _ in range(batches):
            module(*[torch.randn_like(value) for value in inputs.values()])
    module.eval()


def convolutional(name, batch=8, side=64, shift=2.0, **options):
    def make():
        module = getattr(import_torchvision().models, name)(num_classes=CLASSES, **options)
        inputs, labels, dynamic = images(batch, side)
        settle(module, inputs, shift)
        return Sample(module, inputs, labels, dynamic)

    return make


def vision_transformer():
    """ViT-tiny/16 (width 192, 12 layers, 3 heads) on 96x96 images: 36 patches and the class token."""
    module = import_torchvision().models.VisionTransformer(
        image_size=96, patch_size=16, num_layers=12, num_heads=3, hidden_dim=192, mlp_dim=768, num_classes=CLASSES)
    # torchvision starts both at zero, which leaves every other gradient at zero too.
    nn.init.normal_(module.heads.head.weight, std=0.05)
    nn.init.normal_(module.class_token, std=0.02)
    return Sample(module, *images(4, 96))


class Recurrent(nn.Module):
    """Embedding, two bidirectional recurrent layers, one linear layer."""

    def __init__(self, layer, pooled):
        super().__init__()
        self.embedding = nn.Embedding(VOCABULARY, 96)
        self.recurrent = layer(96, 128, num_layers=2, bidirectional=True, batch_first=True)
        self.output = nn.Linear(256, CLASSES)
        self.pooled = pooled

    def forward(self, x):
        sequence, state = self.recurrent(self.embedding(x))
        if self.pooled:
            return self.output(sequence.mean(dim=1))
        last = state[0] if isinstance(state, tuple) else state
        return self.output(torch.cat((last[-2], last[-1]), dim=1))


def recurrent(layer, pooled):
    def make():
        inputs, labels, dynamic = tokens(6, 20)
        return Sample(Recurrent(layer, pooled), inputs, labels, dynamic)

    return make


def double_convolution(channels_in, channels_out):
    return nn.Sequential(
        nn.Conv2d(channels_in, channels_out, 3, padding=1, bias=False), nn.BatchNorm2d(channels_out), nn.ReLU(),
        nn.Conv2d(channels_out, channels_out, 3, padding=1, bias=False), nn.BatchNorm2d(channels_out), nn.ReLU())


class UNet(nn.Module):
    """Ronneberger et al. 2015 with batch norm, padded convolutions and width 32.

    `up` is "transpose" (ConvTranspose 2x2), "bilinear" or "nearest" (Resize, then a 1x1 convolution). Each pixel is a
    row of the logits, [n * height * width, classes]. A mean over pixels would be no test: batch norm fixes the mean
    that it is fed, so that nearly all gradients would cancel to rounding noise.
    """

    def __init__(self, up, width=32, depth=4):
        super().__init__()
        widths = [width << level for level in range(depth)]
        self.down = nn.ModuleList(
            double_convolution(before, after) for before, after in zip([3] + widths[:-1], widths))
        self.up = nn.ModuleList(self.enlarge(up, wide, narrow) for narrow, wide in zip(widths[:-1], widths[1:]))
        self.merge = nn.ModuleList(double_convolution(2 * narrow, narrow) for narrow in widths[:-1])
        self.output = nn.Conv2d(width, CLASSES, 1)

    @staticmethod
    def enlarge(up, wide, narrow):
        if up == "transpose":
            return nn.ConvTranspose2d(wide, narrow, 2, stride=2)
        resize = nn.Upsample(scale_factor=2, mode=up, **({"align_corners": False} if up == "bilinear" else {}))
        return nn.Sequential(resize, nn.Conv2d(wide, narrow, 1))

    def forward(self, x):
        skips = []
        for level, block in enumerate(self.down):
            x = block(x if level == 0 else nn.functional.max_pool2d(x, 2))
            skips.append(x)
        skips.pop()
        for up, merge in zip(reversed(self.up), reversed(self.merge)):
            x = merge(torch.cat((up(x), skips.pop()), dim=1))
        return self.output(x).permute(0, 2, 3, 1).reshape(-1, CLASSES)


def unet(up):
    def make():
        inputs, labels, dynamic = images(4, 32, rows=4 * 32 * 32)
        module = UNet(up)
        settle(module, inputs)
        return Sample(module, inputs, labels, dynamic)

    return make


class Encoder(nn.Module):
    """A transformers model whose single output is the logits."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, input_ids, attention_mask):
        return self.model(input_ids=input_ids, attention_mask=attention_mask).logits


def encoder(kind, attention="eager"):
    def make():
        import transformers

        shared = dict(vocab_size=VOCABULARY, num_labels=CLASSES, attn_implementation=attention)
        none = dict(hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)
        if kind == "distilbert":
            model = transformers.DistilBertForSequenceClassification(transformers.DistilBertConfig(
                dim=128, n_heads=4, n_layers=3, hidden_dim=512, dropout=0.0, attention_dropout=0.0,
                seq_classif_dropout=0.0, **shared))
        else:
            # MiniLM-L6's proportions at a third of its width.
            model = transformers.BertForSequenceClassification(transformers.BertConfig(
                hidden_size=128, num_attention_heads=4, num_hidden_layers=6, intermediate_size=512, **none, **shared))
        inputs, labels, _ = tokens(4, 24)
        mask = torch.ones_like(inputs["x"])
        for row, length in enumerate((24, 17, 9, 20)):
            mask[row, length:] = 0
        axes = {0: "batch", 1: "sequence"}
        return Sample(
            Encoder(model), {"input_ids": inputs["x"], "attention_mask": mask}, labels,
            {"input_ids": axes, "attention_mask": axes})

    return make


ARCHITECTURES: dict[str, Callable[[], Sample]] = {
    "mobilenet_v2": convolutional("mobilenet_v2", dropout=0.0),
    "mobilenet_v3_small": convolutional("mobilenet_v3_small", shift=0.0, dropout=0.0),
    "efficientnet_b0": convolutional("efficientnet_b0", dropout=0.0, stochastic_depth_prob=0.0),
    "resnet18": convolutional("resnet18"),
    # The published start of the layer scale, 1e-6, hides each block's gradients in rounding.
    "convnext_tiny": convolutional("convnext_tiny", batch=4, stochastic_depth_prob=0.0, layer_scale=0.3),
    "vit_tiny": vision_transformer,
    "lstm": recurrent(nn.LSTM, pooled=True),
    "gru": recurrent(nn.GRU, pooled=True),
    "lstm_last": recurrent(nn.LSTM, pooled=False),
    "gru_last": recurrent(nn.GRU, pooled=False),
    "unet": unet("transpose"),
    "unet_bilinear": unet("bilinear"),
    "unet_nearest": unet("nearest"),
    "bert": encoder("bert"),
    "distilbert": encoder("distilbert"),
    "bert_sdpa": encoder("bert", attention="sdpa"),
}


def build(name: str, seed: int = 0) -> Sample:
    torch.manual_seed(seed)
    sample = ARCHITECTURES[name]()
    sample.module.eval()
    return sample
