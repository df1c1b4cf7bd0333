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
from uniner_dist.triage.features import BITS, NO_FEATURE, hash_texts

#: Strength of regularisation (scikit-learn's C), by cross-validation on CrossNER.
_C = 30.0

# By the dual, as texts are fewer than features: with this tolerance logits differ by 0.01 from those of the optimum,
# and a fifth of the time is saved.


#: Parts of the learning sample, each of which is scored by what was learnt from the others.
_FOLDS = 3


def score_unseen(texts: Sequence[str], filled: npt.NDArray[np.bool_]) -> npt.NDArray[np.float32]:
    """Compute probabilities for the learning sample itself, each by a classifier that has not seen its passage.

    Args:
        texts: passages, in an order that has nothing to do with what is in them.
        filled: passages × questions, as for `learn`.

    Returns:
        Passages × questions; 1 where there are too few passages.

    Raises:
        ConfigError: scikit-learn is not installed.
    """
    scores = np.ones(filled.shape, np.float32)
    parts = np.arange(len(texts)) % _FOLDS
    for part in range(_FOLDS if len(texts) >= _FOLDS else 0):
        seen, unseen = np.flatnonzero(parts != part), np.flatnonzero(parts == part)
        classifier = learn([texts[index] for index in seen], filled[seen])
        scores[unseen] = classifier.score([texts[index] for index in unseen])
    return scores


def learn(texts: Sequence[str], filled: npt.NDArray[np.bool_]) -> Classifier:
    """Learn a classifier from a sample.

    Args:
        texts: passages of the learning sample.
        filled: passages × questions, whether the answer was anything but the empty list.

    Returns:
        Weights and intercepts of each question. A question whose answers are all filled or all empty has no weights:
        its probability is the same for every passage. With an empty sample it is one half.

    Raises:
        ConfigError: scikit-learn is not installed.
    """
    try:
        from scipy.sparse import csr_matrix, diags
        from sklearn.linear_model import LogisticRegression
    except ImportError:
        raise ConfigError("triage needs scikit-learn: pip install 'uniner-dist[triage]'") from None
    if not len(texts):
        return Classifier(np.zeros((1 << BITS, filled.shape[1]), np.float32), np.zeros(filled.shape[1], np.float32))
    features = hash_texts(texts)
    shape = (len(texts), 1 << BITS)
    parts = [
        csr_matrix((np.full(len(kind), block.weight, np.float32), kind, block.offsets), shape)
        for block in features.blocks
        for kind in block.indices
    ]
    matrix = diags(value_of(features)) @ sum(parts[1:], parts[0])
    # Only features that occur have weights; the others stay at zero.
    seen = np.flatnonzero(np.diff(matrix.tocsc().indptr))
    seen = seen[seen != NO_FEATURE]
    matrix = matrix[:, seen]
    weights = np.zeros((1 << BITS, filled.shape[1]), np.float32)
    intercepts = np.zeros(filled.shape[1], np.float32)
    for question, target in enumerate(filled.T):
        if target.all() or not target.any():
            # Nothing to tell apart: the share by the Krichevsky-Trofimov estimator, which is neither 0 nor 1.
            share = (target.sum() + 0.5) / (len(target) + 1)
            intercepts[question] = np.log(share / (1 - share))
            continue
        model = LogisticRegression(C=_C, solver="liblinear", dual=True, tol=1e-2, random_state=0).fit(matrix, target)
        weights[seen, question] = model.coef_[0]
        intercepts[question] = model.intercept_[0]
    return Classifier(weights, intercepts)
