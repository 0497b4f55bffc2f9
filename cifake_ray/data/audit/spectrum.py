"""The plainest detector of up-sampling: a logistic regression on the radial spectrum of each picture.

Durall et al. 2020, "Watch your up-convolution" (arXiv 2003.01826), who take the azimuthal average of the spectrum.
"""

import hashlib
from collections.abc import Sequence
from contextlib import closing

import numpy as np
import numpy.typing as npt

from cifake_ray.console import Progress
from cifake_ray.data.decoding.decode import native_pixels
from cifake_ray.data.decoding.items import Item, read_item
from cifake_ray.data.decoding.workers import in_batches
from cifake_ray.data.images import ImageSet, Part
from cifake_ray.data.pixels import EncodedPixels
from cifake_ray.runs.records import Share, Spectrum
from cifake_ray.stats.intervals import wilson
from cifake_ray.storage.cache import cache_root, locked, read_entry, write_entry, writing

_VERSION = 1  # of the cached result: raise the number when the arithmetic changes
_BATCH = 16  # pictures sent to a process at a time
BINS = 40  # from frequency 0 to the corner of the spectrum, 0.71 cycles a pixel


def radial_spectrum(picture: np.ndarray) -> npt.NDArray[np.float64]:
    """Natural logarithm of the mean power at each radius: float64 [BINS], of uint8 [h, w, 3] of any size.

    Of the mean of the three channels, under a Hann window, so that edges of the picture cause no cross.
    """
    grey = picture.mean(-1)
    height, width = grey.shape
    window = np.hanning(height)[:, None] * np.hanning(width)
    power = np.abs(np.fft.rfft2((grey - grey.mean()) * window)) ** 2 / (window**2).sum()
    radius = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width))
    bins = np.minimum((radius * (BINS / np.hypot(0.5, 0.5))).astype(int), BINS - 1).ravel()
    counts = np.bincount(bins, minlength=BINS)
    spectrum: npt.NDArray[np.float64] = np.log(np.bincount(bins, power.ravel(), BINS) / np.maximum(counts, 1) + 1e-6)
    return spectrum


def spectrum_calls(train: np.ndarray, labels: np.ndarray, test: np.ndarray) -> np.ndarray:
    """The label of each test picture by a logistic regression on spectra, float [n, BINS]: uint8 [m]."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=5000)).fit(train, labels)
    called: np.ndarray = model.predict(test)
    return called


def spectrum_of(images: ImageSet, progress: Progress | None = None) -> Spectrum:
    """Accuracy of the regression on the test part of pictures of any size, from the cache or measured.

    The regression is trained on the train part. 54 megapixels take 8 s of one core.
    """
    key = hashlib.sha256(f"{_VERSION} {images.train.fingerprint} {images.test.fingerprint}".encode()).hexdigest()[:32]
    path = cache_root() / "spectrum" / key
    with locked(path):
        entry = read_entry(path)
        if entry is None:
            found = _measured(images, progress)
            notes = {"source": images.source, "images": images.train.fingerprint, "spectrum": found.model_dump()}
            with writing():
                entry = write_entry(path, {}, notes)
    return Spectrum.model_validate(entry.meta["spectrum"])


def _measured(images: ImageSet, progress: Progress | None) -> Spectrum:
    parts = (images.train, images.test)
    spectra = _all_spectra([item for part in parts for item in _items(part)], progress)
    called = spectrum_calls(spectra[: len(images.train)], images.train.labels, spectra[len(images.train) :])
    right, count = int((called == images.test.labels).sum()), len(images.test)
    low, high = wilson(right / count, count)
    return Spectrum(accuracy=Share(value=round(right / count, 4), low=round(low, 4), high=round(high, 4)), images=count)


def _items(part: Part) -> Sequence[Item]:
    assert isinstance(part.pixels, EncodedPixels)
    return part.pixels.items(slice(None))


def _all_spectra(items: Sequence[Item], progress: Progress | None) -> npt.NDArray[np.float64]:
    spectra = np.empty((len(items), BINS))
    done = 0
    with closing(in_batches(spectra_of, items, _BATCH)) as batches:
        for rows, some in batches:
            spectra[rows] = some
            done += len(some)
            if progress:
                progress(done, len(items))
    return spectra


def spectra_of(items: Sequence[Item]) -> npt.NDArray[np.float64]:
    """The radial spectra of encoded pictures: float64 [n, BINS]. Raises UnreadableError."""
    return np.array([radial_spectrum(native_pixels(read_item(item))) for item in items])
