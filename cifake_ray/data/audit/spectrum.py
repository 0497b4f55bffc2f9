"""The plainest detector of up-sampling: a logistic regression on the radial spectrum of each picture.

Durall et al. 2020, "Watch your up-convolution" (arXiv 2003.01826), who take the azimuthal average of the spectrum.
"""

import numpy as np
import numpy.typing as npt

BINS = 40  # from frequency 0 to the corner of the spectrum, 0.71 cycles a pixel


def radial_spectrum(picture: np.ndarray) -> npt.NDArray[np.float64]:
    """Natural logarithm of the mean power at each radius: float64 [BINS], of uint8 [h, w, 3] of any size.

    Of the mean of the three channels, under a Hann window, so that edges of the picture leave no cross.
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
