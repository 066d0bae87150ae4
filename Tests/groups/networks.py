"""Builds torchvision models with random weights that leave no error hidden."""
import torch

from names import side

LIBRARIES = []


def torchvision():
    """The package, also where its compiled operators cannot be loaded (PyPI's wheel wants CUDA); no network here calls them."""
    try:
        import torchvision
    except RuntimeError:
        library = torch.library.Library("torchvision", "DEF")
        for name in ("nms", "qnms"):
            library.define(f"{name}(Tensor boxes, Tensor scores, float threshold) -> Tensor")
        # Definitions last as long as their library object.
        LIBRARIES.append(library)
        import torchvision
    return torchvision


# Segmentation and detection, which would load a trained backbone.
WITH_BACKBONE = ("fcn", "deeplab", "lraspp", "ssd", "faster", "mask", "keypoint", "retina", "fcos")


class Segmentation(torch.nn.Module):
    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, image):
        return self.model(image)["out"]


class Flow(torch.nn.Module):
    """RAFT with two refinements."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, first, second):
        return self.model(first, second, num_flow_updates=2)[-1]


class DenseDetector(torch.nn.Module):
    """SSD, RetinaNet, FCOS: the network up to what boxes are decoded from; no layer is behind that."""

    def __init__(self, model):
        super().__init__()
        self.backbone, self.head = model.backbone, model.head

    def forward(self, image):
        features = self.backbone(image)
        found = self.head(list(features.values()) if isinstance(features, dict) else [features])
        return tuple(found.values())


class RegionDetector(torch.nn.Module):
    """Faster, Mask and Keypoint R-CNN: all layers. The finest map, resized, stands in for RoIAlign, which treats channels alike
    and takes boxes that random weights do not find."""

    def __init__(self, model):
        super().__init__()
        self.backbone, self.proposals, self.regions = model.backbone, model.rpn.head, model.roi_heads

    def forward(self, image):
        def resized(map, side):
            return torch.nn.functional.interpolate(map, size=(side, side))

        features = self.backbone(image)
        maps = list(features.values())
        objectness, boxes = self.proposals(maps)
        found = [*objectness, *boxes, *self.regions.box_predictor(self.regions.box_head(resized(maps[0], 7)))]
        for kind in ("mask", "keypoint"):
            if getattr(self.regions, f"{kind}_head", None) is not None:
                part = getattr(self.regions, f"{kind}_head")(resized(maps[0], 14))
                found.append(getattr(self.regions, f"{kind}_predictor")(part))
        return tuple(found)


def build(name, seed=0):
    """The network in evaluation mode and its inputs."""
    models = torchvision().models
    torch.manual_seed(seed)
    options = {}
    if name.startswith(("googlenet", "inception")):
        options = dict(aux_logits=False, init_weights=False, transform_input=False)
    elif name.startswith("vit"):
        options = dict(image_size=side(name))
    elif name.startswith(WITH_BACKBONE):
        options = dict(weights_backbone=None)
    if "rcnn" in name or name.startswith(("retina", "fcos")):
        options["trainable_backbone_layers"] = 6 if "mobilenet" in name else 5
    network = models.get_model(name, weights=None, **options)
    shorten(network, name)
    if name.startswith(("fcn", "deeplab", "lraspp")):
        network = Segmentation(network)
    elif name.startswith("raft"):
        network = Flow(network)
    elif "rcnn" in name:
        network = RegionDetector(network)
    elif name.startswith(("ssd", "retina", "fcos")):
        network = DenseDetector(network)
    images = {"image": torch.randn(1, 3, side(name), side(name))}
    if name.startswith("raft"):
        images = {"first": images["image"], "second": torch.randn_like(images["image"])}
    settle(network, images)
    return network, images


def shorten(network, name):
    """Drops blocks that repeat the one before them where the file would exceed protobuf's 2 GB."""
    if name == "vit_h_14":
        del network.encoder.layers[24:]
    elif name == "regnet_y_128gf":
        del network.trunk_output.block3[11:]


def settle(network, images):
    """Redraws what a fresh model leaves at 0 or 1, then gives BatchNormalization statistics near those of real maps: far
    from them a deep network's output is one number, whatever its layers compute."""
    with torch.no_grad():
        for parameter in network.parameters():
            if (parameter == parameter.flatten()[0]).all() or parameter.abs().max() < 1e-3:
                if parameter.dim() > 1 and parameter.squeeze().dim() > 1:
                    parameter.normal_(0, parameter[0].numel() ** -0.5)
                elif parameter.mean() > 1e-9:
                    parameter.uniform_(0.6, 1.4)
                else:
                    parameter.normal_(0, 0.2)
        norms = [module for module in network.modules() if isinstance(module, torch.nn.BatchNorm2d)]
        network.eval()
        for norm in norms:
            norm.train()
            norm.usual, norm.momentum = norm.momentum, 1.0
        # Two images, so that maps of one place have a variance.
        network(*[torch.cat([value, torch.randn_like(value)]) for value in images.values()])
        for norm in norms:
            norm.eval()
            norm.momentum = norm.usual
            norm.running_mean += 0.1 * norm.running_var.sqrt() * torch.randn_like(norm.running_mean)
            norm.running_var.add_(1e-3).mul_(torch.empty_like(norm.running_var).uniform_(0.8, 1.25))
