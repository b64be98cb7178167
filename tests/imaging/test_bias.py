"""N4 on a grid against SimpleITK's."""

import numpy as np
import pytest
import SimpleITK as sitk

from npcbook.imaging.bias import bias_field, head_mask
from npcbook.imaging.volumes import read_volume
from tests.imaging.test_images import MRI, coil, head


def simple_itk_field(image, iterations, fwhm):
    """Return the log field that SimpleITK finds on the same shrunk copy, as `bias_field` evaluates it."""
    picture = sitk.GetImageFromArray(image.astype(np.float32))
    shrink = max(1, round(min(image.shape[1:]) / 11))
    small = sitk.BinShrink(picture, [shrink, shrink, 1])
    values = sitk.GetArrayFromImage(small)
    mask = sitk.GetImageFromArray((head_mask(values) & (values > 0)).astype(np.uint8))
    mask.CopyInformation(small)
    n4 = sitk.N4BiasFieldCorrectionImageFilter()
    n4.SetNumberOfThreads(1)
    n4.SetMaximumNumberOfIterations(iterations)
    n4.SetBiasFieldFullWidthAtHalfMaximum(fwhm)
    n4.Execute(small, mask)
    return sitk.GetArrayFromImage(n4.GetLogBiasFieldAsImage(picture))


@pytest.mark.parametrize(("iterations", "fwhm"), [((10, 10), 0.3), ((5,), 0.15), ((20, 10, 5), 0.3)])
@pytest.mark.parametrize("which", ["head", "brain"])
def test_field_is_that_of_simple_itk(which, iterations, fwhm):
    image = (
        head() * np.exp(coil((16, 64, 64)))
        if which == "head"
        else read_volume(MRI / "brain1_image.nrrd").image
    )
    image = np.asarray(image, np.float32)
    expected = simple_itk_field(image, iterations, fwhm)
    found = bias_field(image, iterations=iterations, fwhm=fwhm)
    inside = head_mask(image)
    assert np.abs(found - expected)[inside].max() < 1e-3
    assert expected[inside].std() > 0.005


def test_a_flat_image_has_a_flat_field():
    image = np.where(head() > 0, np.float32(100), np.float32(0))
    assert np.ptp(bias_field(image)) == 0
