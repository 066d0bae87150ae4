"""The torchvision models that are pruned, by how they are built and how large an image they take."""

# The 85 names of Torch-Pruning's benchmarks/prunability (torchvision 0.13.1): it prunes the first 77 and fails at the last 8.
TORCH_PRUNING = """
ssdlite320_mobilenet_v3_large
ssd300_vgg16
fasterrcnn_resnet50_fpn
fasterrcnn_resnet50_fpn_v2
fasterrcnn_mobilenet_v3_large_320_fpn
fasterrcnn_mobilenet_v3_large_fpn
fcos_resnet50_fpn
keypointrcnn_resnet50_fpn
maskrcnn_resnet50_fpn_v2
retinanet_resnet50_fpn_v2
alexnet
vit_b_16
vit_b_32
vit_l_16
vit_l_32
vit_h_14
convnext_tiny
convnext_small
convnext_base
convnext_large
densenet121
densenet169
densenet201
densenet161
efficientnet_b0
efficientnet_b1
efficientnet_b2
efficientnet_b3
efficientnet_b4
efficientnet_b5
efficientnet_b6
efficientnet_b7
efficientnet_v2_s
efficientnet_v2_m
efficientnet_v2_l
googlenet
inception_v3
mnasnet0_5
mnasnet0_75
mnasnet1_0
mnasnet1_3
mobilenet_v2
mobilenet_v3_large
mobilenet_v3_small
regnet_y_400mf
regnet_y_800mf
regnet_y_1_6gf
regnet_y_3_2gf
regnet_y_8gf
regnet_y_16gf
regnet_y_32gf
regnet_y_128gf
resnet18
resnet34
resnet50
resnet101
resnet152
resnext50_32x4d
resnext101_32x8d
wide_resnet50_2
wide_resnet101_2
fcn_resnet50
fcn_resnet101
deeplabv3_resnet50
deeplabv3_resnet101
deeplabv3_mobilenet_v3_large
lraspp_mobilenet_v3_large
squeezenet1_0
squeezenet1_1
vgg11
vgg13
vgg16
vgg19
vgg11_bn
vgg13_bn
vgg16_bn
vgg19_bn
raft_large
swin_t
swin_s
swin_b
shufflenet_v2_x0_5
shufflenet_v2_x1_0
shufflenet_v2_x1_5
shufflenet_v2_x2_0
""".split()

# The classification models of torchvision that are not in that list.
OTHERS = """
regnet_x_400mf
regnet_x_800mf
regnet_x_1_6gf
regnet_x_3_2gf
regnet_x_8gf
regnet_x_16gf
regnet_x_32gf
resnext101_64x4d
maxvit_t
swin_v2_t
swin_v2_s
swin_v2_b
""".split()

NAMES = TORCH_PRUNING + OTHERS

# Side of the square image, where 64 does not do: fully connected layers over a map, fixed windows, deep pyramids.
SIDES = {
    "alexnet": 224,
    "inception_v3": 96,
    "ssd300_vgg16": 300,
    "ssdlite320_mobilenet_v3_large": 320,
    "maxvit_t": 224,
    "raft_large": 128,
    "vit_h_14": 56,
}
PREFIX_SIDES = {"vgg": 224, "swin": 224}


def side(name):
    if name in SIDES:
        return SIDES[name]
    if "fpn" in name:
        return 128
    return next((size for prefix, size in PREFIX_SIDES.items() if name.startswith(prefix)), 64)
