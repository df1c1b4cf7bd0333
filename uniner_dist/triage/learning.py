"""Learning the classifier from answers of the run itself. Needs scikit-learn (extra `triage`), on the driver only.

Logistic regression, because its probabilities are calibrated as they are, which puts the cells of all questions into
one order. Not Spark ML: the sample is a few thousand passages, which one core learns from in seconds, and Spark's
classifiers can neither learn so many questions at once nor score without a DataFrame.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from uniner_dist.errors import ConfigError
from uniner_dist.triage.classifier import Classifier, value_of
from uniner_dist.triage.features import BITS, hash_texts

#: Strength of regularisation (scikit-learn's C), by cross-validation on CrossNER.
_C = 30.0


def learn(texts: Sequence[str], filled: npt.NDArray[np.bool_]) -> Classifier:
    """Learn from a sample.

    Args:
        texts: passages.
        filled: passages × questions, whether the answer was anything but the empty list.

    Raises:
        ConfigError: scikit-learn is not installed.
    """
    try:
        from scipy.sparse import csr_matrix
        from sklearn.linear_model import LogisticRegression
    except ImportError:
        raise ConfigError("triage needs scikit-learn: pip install 'uniner-dist[triage]'") from None
    if not len(texts):
        return Classifier(np.zeros((1 << BITS, filled.shape[1]), np.float32), np.zeros(filled.shape[1], np.float32))
    features = hash_texts(texts)
    values = np.repeat(value_of(features), np.diff(features.offsets))
    matrix = csr_matrix((values, features.indices, features.offsets), shape=(len(texts), 1 << BITS))
    # Only features that occur have weights; the others stay at zero.
    seen = np.unique(features.indices)
    matrix = matrix[:, seen]
    weights = np.zeros((1 << BITS, filled.shape[1]), np.float32)
    intercepts = np.zeros(filled.shape[1], np.float32)
    for question, target in enumerate(filled.T):
        if target.all() or not target.any():
            # Nothing to tell apart: the share by the rule of succession.
            share = (target.sum() + 0.5) / (len(target) + 1)
            intercepts[question] = np.log(share / (1 - share))
            continue
        model = LogisticRegression(C=_C, solver="liblinear", random_state=0).fit(matrix, target)
        weights[seen, question] = model.coef_[0]
        intercepts[question] = model.intercept_[0]
    return Classifier(weights, intercepts)
