"""Platt scaling: from scores of a classifier to probabilities, and from one share of positives to another."""

import numpy as np

LARGEST = float(np.finfo(np.float32).max)  # stands for an infinite score
_STEPS, _LEAST_STEP, _RIDGE, _FLAT = 100, 1e-10, 1e-12, 1e-5  # the constants of Lin, Lin and Weng's listing


def fit_platt(scores: np.ndarray, positive: np.ndarray) -> tuple[float, float]:
    """(a, b) of P(positive) = 1 / (1 + exp(-(a score + b))), if positives and negatives were equally frequent.

    scores: float [n], infinite ones allowed; positive: bool [n], both classes present. J. Platt (1999), "Probabilistic
    outputs for support vector machines", in Advances in Large Margin Classifiers, 61-74: maximum likelihood with
    targets that are a little off 0 and 1, so that separated classes have a finite slope. Newton's method with
    backtracking of Lin, Lin and Weng (2007), "A note on Platt's probabilistic outputs for support vector machines",
    Machine Learning 68, 267-276. The fit takes the classes as frequent as its targets are; the intercept is then moved
    to equal shares (`prior_shift`). Scores that are all the same have slope 0 and probability 0.5.
    """
    finite = _finite(np.asarray(scores, np.float64))
    positives, negatives = int(positive.sum()), int((~positive).sum())
    targets = np.where(positive, (positives + 1) / (positives + 2), 1 / (negatives + 2))
    low, high = float(finite.min()), float(finite.max())
    middle, scale = (low + high) / 2, (high - low) / 2
    if scale <= 1e-12 * max(abs(low), abs(high)):
        a, b, scale = 0.0, float(_logit(float(targets.mean()))), 1.0
    else:  # between -1 and 1, so that the listing's constants fit scores of any size
        a, b = _newton((finite - middle) / scale, targets, float(np.log((positives + 1) / (negatives + 1))))
    a /= scale
    return a, b - a * middle + prior_shift(float(targets.mean()), 0.5)


def probability(scores: np.ndarray, a: float, b: float, prior: float = 0.5) -> np.ndarray:
    """P(positive) by the (a, b) of `fit_platt` where a share `prior` is positive: float64, the shape of the scores."""
    within = np.clip(np.asarray(scores, np.float64), -LARGEST, LARGEST)
    return np.asarray(_expit(a * within + b + prior_shift(0.5, prior)))


def prior_shift(before: float, after: float) -> float:
    """What the log-odds of a probability grow by when the share of positives is `after` instead of `before`.

    Saerens, Latinne and Decaestecker (2002), "Adjusting the outputs of a classifier to new a priori probabilities",
    Neural Computation 14, 21-41, equation 2.4: what the scores of each class look like stays the same.
    """
    return _logit(after) - _logit(before)


def _logit(share: float) -> float:
    with np.errstate(divide="ignore"):
        return float(np.log(share) - np.log1p(-share))


def _expit(scores: np.ndarray) -> np.ndarray:
    """1 / (1 + exp(-scores)); SciPy's takes 0.1 s to import before every prediction."""
    small = np.exp(-np.abs(scores))
    return np.asarray(np.where(scores >= 0, 1, small) / (1 + small))


def _finite(scores: np.ndarray) -> np.ndarray:
    """The scores, an infinite one as large as the largest finite one."""
    known = scores[np.isfinite(scores)]
    most = float(np.abs(known).max()) if len(known) else 1.0
    return np.asarray(np.clip(scores, -most, most))


def _newton(scores: np.ndarray, targets: np.ndarray, b: float) -> tuple[float, float]:
    """The (a, b) of least cross-entropy: the listing in Lin, Lin and Weng's appendix, signs of a and b turned."""
    a, loss = 0.0, _cross_entropy(np.full_like(scores, b), targets)
    for _ in range(_STEPS):
        p = _expit(a * scores + b)
        weights, errors = p * (1 - p), p - targets
        gradient = np.array([errors @ scores, errors.sum()])
        if (np.abs(gradient) < _FLAT).all():
            break
        cross = weights @ scores
        hessian = np.array([[weights @ scores**2 + _RIDGE, cross], [cross, weights.sum() + _RIDGE]])
        step = -np.linalg.solve(hessian, gradient)
        size = 1.0
        while size >= _LEAST_STEP:
            tried = _cross_entropy((a + size * step[0]) * scores + b + size * step[1], targets)
            if tried < loss + 1e-4 * size * float(gradient @ step):
                break
            size /= 2
        else:
            break  # no step makes the loss smaller: the digits are at their end
        a, b, loss = a + size * float(step[0]), b + size * float(step[1]), tried
    return a, b


def _cross_entropy(log_odds: np.ndarray, targets: np.ndarray) -> float:
    """Nats over all scores, without overflow."""
    return float((np.logaddexp(0, log_odds) - targets * log_odds).sum())
