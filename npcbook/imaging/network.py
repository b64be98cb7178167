"""The network: a 3D U-Net that segments, and heads that read the risk of metastasis from its features.

All of it is in this file. Batches are ``(N, C, Z, Y, X)``; one network serves one MRI sequence.
"""

import math
from dataclasses import asdict, dataclass

import torch
from monai.networks.blocks import UpSample
from monai.networks.nets.basic_unet import TwoConv
from torch import nn
from torch.nn import functional as F

#: Filters per level, outermost first; the last is the bottleneck.
#: ``deposit`` is what the deposited script has. ``paper`` is a reading of the text: five poolings of 64
#: filters end in 2048 channels, and three sequences of 2048 pooled features make its vector of 6144.
WIDTHS = {
    "tiny": (4, 8, 16),
    "small": (8, 16, 32, 64),
    "deposit": (16, 32, 64, 128, 128),
    "paper": (64, 128, 256, 512, 1024, 2048),
}
DEVICES = ("cpu", "cuda")
#: Lowest values of what networks are trained with, where it is not 0.
LOWEST = {"learning_rate": 1e-8} | dict.fromkeys(("epochs", "batch_size", "micro_batch", "devices"), 1)


def check_settings(settings: object) -> None:
    """Raise ValueError if a number of settings is below its `LOWEST`, or not finite, or a device unknown."""
    for name, value in vars(settings).items():
        if not isinstance(value, str) and not (low := LOWEST.get(name, 0)) <= value < math.inf:
            raise ValueError(f"{name} is {value!r}; it must be a number of {low} or more.")
    if settings.device not in DEVICES:
        raise ValueError(f"device is {settings.device!r}; it must be one of {', '.join(DEVICES)}.")


@dataclass(frozen=True)
class NetworkSettings:
    """What a network is built from.

    Attributes
    ----------
    width : str
        Name in `WIDTHS`: filters per level, and with them the number of poolings.
    grid : tuple of int
        Shape (Z, Y, X) of what it sees.
    classes : int
        Labels it tells apart: background, primary tumour, lymph node.
    group_size : int
        Channels that share their normalisation. Groups, not batches, because batches are small and a
        patient's result must not depend on who else is in the batch.

    Raises
    ------
    ValueError
        If the width is unknown, if the grid is not three positive sizes, or if it cannot be halved as
        often as the width asks.
    """

    width: str = "small"
    grid: tuple[int, int, int] = (16, 48, 48)
    classes: int = 3
    group_size: int = 4

    def __post_init__(self):
        if self.width not in WIDTHS:
            raise ValueError(f"width is {self.width!r}; it must be one of {', '.join(WIDTHS)}.")
        if len(self.grid) != 3 or min(self.grid) < 1:
            raise ValueError(f"grid is {self.grid}; it must be three positive sizes (Z, Y, X).")
        needed = 2 ** (len(self.filters) - 1)
        if any(size % needed for size in self.grid[1:]):
            raise ValueError(
                f"grid is {self.grid}; width {self.width!r} halves it {len(self.filters) - 1} times, so Y "
                f"and X must be multiples of {needed}: choose another grid or a smaller width."
            )

    @property
    def filters(self) -> tuple[int, ...]:
        """Filters per level."""
        return WIDTHS[self.width]

    @property
    def poolings(self) -> tuple[tuple[int, int, int], ...]:
        """Pooling sizes (z, y, x), one a step down.

        Slices are few: once their number is odd, only the plane is halved any further.
        """
        steps, depth = [], self.grid[0]
        for _ in self.filters[1:]:
            steps.append((1 if depth % 2 else 2, 2, 2))
            depth //= steps[-1][0]
        return tuple(steps)

    @property
    def shapes(self) -> tuple[tuple[int, int, int, int], ...]:
        """Shape (C, Z, Y, X) of the features of each level."""
        shapes = [(self.filters[0], *self.grid)]
        for filters, step in zip(self.filters[1:], self.poolings, strict=True):
            shapes.append((filters, *(size // by for size, by in zip(shapes[-1][1:], step, strict=True))))
        return tuple(shapes)

    @property
    def at_once(self) -> int:
        """Patients that pass through it together: 1 to 8, so that their widest features take 64 MB."""
        return max(1, min(8, 2**24 // math.prod(self.shapes[0])))

    def to_dict(self) -> dict:
        """Return the settings as plain values, to be stored beside the weights."""
        return asdict(self)


def convolutions(channels_in: int, channels_out: int, group_size: int) -> TwoConv:
    """Return two 3x3x3 convolutions, each normalised over groups of channels and rectified."""
    norm = ("GROUP", {"num_groups": max(1, channels_out // group_size)})
    return TwoConv(3, channels_in, channels_out, act=("RELU", {"inplace": True}), norm=norm, bias=False)


class UNet3d(nn.Module):
    """The segmentation network of the paper (its Figure S2).

    Parameters
    ----------
    settings : NetworkSettings
        Width, grid and classes.

    Notes
    -----
    Down: two 3x3x3 convolutions, then 2x2x2 max pooling, filters multiplied. Up: a 2x2x2 transposed
    convolution, the features of the same level from the way down put beside it, two 3x3x3 convolutions.
    Out: a 1x1x1 convolution. The paper names no normalisation; GroupNorm is the deposited script's.

    The blocks are those of MONAI's ``BasicUNet``. That network itself always halves all three axes, four
    times, which few slices do not bear.

    References
    ----------
    Paper, "Construction of the DL model"; Çiçek et al., MICCAI 2016:424. MONAI 1.6, `TwoConv`, `UpSample`.
    """

    def __init__(self, settings: NetworkSettings):
        super().__init__()
        self.settings = settings
        filters, size = settings.filters, settings.group_size
        levels = zip((1, *filters), filters, strict=False)
        self.down = nn.ModuleList(convolutions(before, after, size) for before, after in levels)
        self.pools = nn.ModuleList(nn.MaxPool3d(step) for step in settings.poolings)
        # From the bottleneck upwards.
        pairs = list(zip(filters[::-1], filters[-2::-1], settings.poolings[::-1], strict=False))
        self.widen = nn.ModuleList(UpSample(3, *pair, mode="deconv") for pair in pairs)
        self.up = nn.ModuleList(convolutions(2 * shallow, shallow, size) for _, shallow, _ in pairs)
        self.out = nn.Conv3d(filters[0], settings.classes, 1)

    def encode(self, images: torch.Tensor) -> list[torch.Tensor]:
        """Return the features of every level on the way down; the last is the bottleneck.

        Parameters
        ----------
        images : torch.Tensor, shape (N, 1, Z, Y, X)
            Normalised images on the network's grid.

        Returns
        -------
        list of torch.Tensor
            Shapes ``(N, *settings.shapes[level])``.
        """
        features = [self.down[0](images)]
        for pool, convolve in zip(self.pools, self.down[1:], strict=True):
            features.append(convolve(pool(features[-1])))
        return features

    def decode(self, features: list[torch.Tensor]) -> list[torch.Tensor]:
        """Return the features of every level on the way up, deepest first."""
        decoded, current = [], features[-1]
        for widen, convolve, skip in zip(self.widen, self.up, features[-2::-1], strict=True):
            # (N, 2C, z, y, x) -> (N, C, 2z, 2y, 2x), with the skip (N, 2C, 2z, 2y, 2x), convolved to C.
            current = convolve(torch.cat((widen(current), skip), dim=1))
            decoded.append(current)
        return decoded

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return the logits of every label in every voxel, shape (N, classes, Z, Y, X)."""
        return self.out(self.decode(self.encode(images))[-1])


class PrognosisHead(nn.Module):
    """From pooled features to the two logits "no metastasis" and "metastasis" (softmax gives the score).

    Parameters
    ----------
    features : int
        Length of the pooled vector: the bottleneck's channels for one sequence, three times as many for the
        combined sequence.

    Notes
    -----
    Global average pooling, a fully connected layer with ReLU, a classification layer with softmax. The paper
    puts "a pool layer" after the global pooling; there is nothing left to pool there, and it is left out.
    """

    def __init__(self, features: int):
        super().__init__()
        self.connect = nn.Linear(features, features)
        self.classify = nn.Linear(features, 2)

    def forward(self, pooled: torch.Tensor) -> torch.Tensor:
        """Return logits, shape (N, 2), of pooled features, shape (N, features)."""
        return self.classify(F.relu(self.connect(pooled)))

    def score(self, pooled: torch.Tensor) -> torch.Tensor:
        """Return the softmax probability of metastasis, shape (N,); higher = worse."""
        return self(pooled).softmax(dim=1)[:, 1]


def pool_global(features: torch.Tensor) -> torch.Tensor:
    """Return the mean of every channel over the whole grid: (N, C, Z, Y, X) -> (N, C)."""
    return features.mean(dim=(2, 3, 4))


def pool_region(features: torch.Tensor, region: torch.Tensor) -> torch.Tensor:
    """Return the mean of every channel over a region drawn on the network's grid.

    Parameters
    ----------
    features : torch.Tensor, shape (N, C, z, y, x)
        Features of any level.
    region : torch.Tensor, shape (N, 1, Z, Y, X)
        1 inside, 0 outside, on the full grid.

    Returns
    -------
    torch.Tensor, shape (N, C)
        Voxels of a coarser level count by the share of the region that they hold. An empty region gives the
        mean over the whole grid.
    """
    if region.shape[2:] != features.shape[2:]:
        region = F.adaptive_avg_pool3d(region, features.shape[2:])
    # Were nothing segmented, the small constant alone would weigh, equally everywhere.
    weights = region.flatten(2) + 1e-6  # (N, 1, zyx)
    return (features.flatten(2) @ weights.mT).squeeze(2) / weights.sum(dim=2)


def dilate(region: torch.Tensor, radius: tuple[int, int, int]) -> torch.Tensor:
    """Return a region, shape (N, 1, Z, Y, X), grown by a box of `radius` (z, y, x) voxels each way."""
    # Axis by axis the largest of it and itself moved: 70 times as fast as pooling over 5 x 11 x 11 voxels.
    for axis, reach in enumerate(radius, start=2):
        size, grown = region.shape[axis], region.clone()
        for shift in range(1, min(reach + 1, size)):
            for there, here in ((shift, 0), (0, shift)):
                target = grown.narrow(axis, there, size - shift)
                torch.maximum(target, region.narrow(axis, here, size - shift), out=target)
        region = grown
    return region
