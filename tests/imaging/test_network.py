"""The network: shapes on every grid, the paper's numbers, and pooling over regions."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from npcbook.imaging.network import (
    WIDTHS,
    NetworkSettings,
    PrognosisHead,
    UNet3d,
    dilate,
    pool_global,
    pool_region,
)


@pytest.mark.parametrize(
    ("width", "grid"),
    [("tiny", (8, 24, 24)), ("small", (16, 48, 48)), ("small", (5, 32, 40)), ("deposit", (8, 32, 32))],
)
def test_output_has_a_logit_per_label_and_voxel(width, grid):
    network = UNet3d(NetworkSettings(width=width, grid=grid))
    images = torch.randn(2, 1, *grid)
    assert network(images).shape == (2, 3, *grid)
    for level, shape in zip(network.encode(images), network.settings.shapes, strict=True):
        assert tuple(level.shape) == (2, *shape)


def test_the_paper_s_width_ends_in_its_6144_features():
    settings = NetworkSettings(width="paper", grid=(32, 192, 192))
    assert settings.shapes[-1] == (2048, 1, 6, 6)
    assert 3 * settings.filters[-1] == 6144
    assert all(
        deep == 2 * shallow for shallow, deep in zip(settings.filters, settings.filters[1:], strict=False)
    )


def test_the_deposit_s_width_flattens_to_its_4608():
    settings = NetworkSettings(width="deposit", grid=(16, 96, 96))
    filters, slices, rows, columns = settings.shapes[-1]
    assert filters * slices * rows * columns == 4608


def test_a_level_has_two_convolutions_of_three_voxels():
    network = UNet3d(NetworkSettings())
    for block in [*network.down, *network.up]:
        kernels = [part.kernel_size for part in block.modules() if isinstance(part, nn.Conv3d)]
        assert kernels == [(3, 3, 3), (3, 3, 3)]
    assert network.out.kernel_size == (1, 1, 1)
    for (widen,) in network.widen:
        assert widen.kernel_size == widen.stride
        assert widen.in_channels == 2 * widen.out_channels


def plain_convolutions(before, after):
    layers = []
    for channels in (before, after):
        layers += [nn.Conv3d(channels, after, 3, padding=1, bias=False), nn.GroupNorm(after // 4, after)]
        layers.append(nn.ReLU())
    return nn.Sequential(*layers)


class PlainUNet(nn.Module):
    """The same network without MONAI."""

    def __init__(self, filters, poolings):
        super().__init__()
        self.poolings, steps = poolings, range(len(poolings))[::-1]
        pairs = zip((1, *filters), filters, strict=False)
        self.down = nn.ModuleList(plain_convolutions(*pair) for pair in pairs)
        self.widen = nn.ModuleList(
            nn.ConvTranspose3d(filters[i + 1], filters[i], poolings[i], poolings[i]) for i in steps
        )
        self.up = nn.ModuleList(plain_convolutions(2 * filters[i], filters[i]) for i in steps)
        self.out = nn.Conv3d(filters[0], 3, 1)

    def forward(self, images):
        features = [self.down[0](images)]
        for step, convolve in zip(self.poolings, self.down[1:], strict=True):
            features.append(convolve(F.max_pool3d(features[-1], step)))
        current = features.pop()
        for widen, convolve in zip(self.widen, self.up, strict=True):
            current = convolve(torch.cat((widen(current), features.pop()), dim=1))
        return self.out(current)


@pytest.mark.parametrize("grid", [(16, 48, 48), (5, 32, 40)])
def test_equal_to_the_same_network_in_plain_torch(grid):
    network = UNet3d(NetworkSettings(grid=grid))
    plain = PlainUNet(network.settings.filters, network.settings.poolings)
    weights = network.state_dict().values()
    plain.load_state_dict(dict(zip(plain.state_dict(), weights, strict=True)))
    images = torch.randn(2, 1, *grid)
    torch.testing.assert_close(network(images), plain(images))
    if grid == (16, 48, 48):
        assert sum(p.numel() for p in network.parameters()) == 350_827


def test_slices_are_not_halved_below_one():
    assert NetworkSettings(width="deposit", grid=(8, 32, 32)).poolings == (
        (2, 2, 2),
        (2, 2, 2),
        (2, 2, 2),
        (1, 2, 2),
    )
    assert NetworkSettings(width="small", grid=(7, 32, 32)).poolings == ((1, 2, 2),) * 3


def test_impossible_settings_are_refused():
    with pytest.raises(ValueError, match="multiples of 8"):
        NetworkSettings(width="small", grid=(16, 50, 48))
    for grid in ((16, 48), (0, 48, 48), (16, -48, 48), (16, 48, 48, 48), ()):
        with pytest.raises(ValueError, match="three positive sizes"):
            NetworkSettings(width="small", grid=grid)
    with pytest.raises(ValueError, match="tiny, small, deposit, paper"):
        NetworkSettings(width="huge")
    assert set(WIDTHS) == {"tiny", "small", "deposit", "paper"}


def test_a_patient_s_result_does_not_depend_on_the_batch():
    network = UNet3d(NetworkSettings(width="tiny", grid=(8, 24, 24))).eval()
    images = torch.randn(3, 1, 8, 24, 24)
    with torch.no_grad():
        torch.testing.assert_close(network(images)[1:2], network(images[1:2]), rtol=1e-4, atol=1e-4)


def test_pooling_over_a_region_by_hand():
    features = torch.arange(16.0).view(1, 1, 1, 4, 4)
    region = torch.zeros(1, 1, 1, 4, 4)
    region[..., 1, 1:3] = 1
    assert pool_region(features, region).item() == pytest.approx(5.5, abs=1e-3)
    # On a coarser level, a voxel counts by how much of the region it holds: one half each here.
    coarse = torch.tensor([[1.0, 3.0], [10.0, 20.0]]).view(1, 1, 1, 2, 2)
    assert pool_region(coarse, region).item() == pytest.approx(2.0, abs=1e-3)
    nothing = torch.zeros(1, 1, 1, 4, 4)
    assert pool_region(features, nothing).item() == pytest.approx(pool_global(features).item(), rel=1e-4)


def test_a_region_grows_by_its_radius():
    region = torch.zeros(1, 1, 5, 9, 9)
    region[0, 0, 2, 4, 4] = 1
    grown = dilate(region, (1, 2, 2))
    assert grown.sum() == 3 * 5 * 5
    assert grown.shape == region.shape


@pytest.mark.parametrize("grid", [(16, 12, 9), (1, 4, 4), (2, 3, 16)])
def test_a_region_grows_as_pooling_grows_it_at_every_edge(grid):
    region = (torch.rand(3, 1, *grid, generator=torch.Generator().manual_seed(0)) > 0.9).float()
    for radius in ((0, 1, 1), (1, 3, 3), (2, 5, 5)):
        box = [2 * reach + 1 for reach in radius]
        pooled = torch.nn.functional.max_pool3d(region, box, stride=1, padding=radius)
        torch.testing.assert_close(dilate(region, radius), pooled, rtol=0, atol=0)


def test_the_head_gives_a_probability():
    head = PrognosisHead(12)
    pooled = torch.randn(5, 12)
    assert head(pooled).shape == (5, 2)
    score = head.score(pooled)
    torch.testing.assert_close(score, torch.sigmoid(head(pooled)[:, 1] - head(pooled)[:, 0]))
