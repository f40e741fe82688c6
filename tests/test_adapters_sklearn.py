"""Estimators: scikit-learn's own checks, searches and pipelines, the three ways of labels, every refusal."""

from __future__ import annotations

import pickle
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import symgrad as sg

pytest.importorskip("sklearn", minversion="1.6")
from sklearn.base import clone
from sklearn.datasets import make_blobs, make_regression
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import check_estimator

from symgrad.adapters.sklearn import LINEAR, SOFTMAX, SymgradClassifier, SymgradRegressor

EXAMPLES = Path(__file__).parent.parent / "examples"
COUNTED = """
index i in 1..M, k, l in 1..K
input x[i], c in 1..K
param W[k,i], b[k]
o[k] = sum(W[k,i]*x[i] for i) + b[k]
y[k] = exp(o[k] - logsumexp(o[l] for l))
J = -log(y[c]) + lambda*sum(W[k,i]^2 for k, i)
minimize J
"""
TARGETS = "input x[i], y^*[k]; param W[k,i]; y[k] = sum(W[k,i]*x[i] for i); J = sum((y[k] - y^*[k])^2 for k); minimize J"

C, R = SymgradClassifier, SymgradRegressor


def blobs(classes: int = 3) -> tuple[Any, Any]:
    features, labels = make_blobs(120, centers=classes, n_features=2, cluster_std=0.5, random_state=3)
    return StandardScaler().fit_transform(features), labels


@pytest.mark.parametrize("kind", [SymgradRegressor, SymgradClassifier])
def test_check_estimator(kind: Any) -> None:
    """What scikit-learn asks of every estimator."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of checks that this machine cannot run
        found = check_estimator(kind(optimizer=sg.Adam(0.03), epochs=40, random_state=0, backend="numpy"), on_fail=None)
    assert [(row["check_name"], row["exception"]) for row in found if row["status"] == "failed"] == []
    assert len(found) > 40


def test_labels_of_every_kind() -> None:
    """One-hot, counted and two classes; labels that are words."""
    X, labels = blobs()
    names = np.array(["ant", "bee", "cow"])
    one_hot = SymgradClassifier(epochs=60, random_state=0, backend="numpy").fit(X, names[labels])
    counted = SymgradClassifier(COUNTED, y="c", constants={"lambda": 1e-4}, epochs=60, random_state=0, backend="numpy")
    counted.fit(X, names[labels])
    for found in (one_hot, counted):
        assert found.score(X, names[labels]) > 0.95
        assert found.classes_.tolist() == ["ant", "bee", "cow"]
        assert np.allclose(found.predict_proba(X).sum(axis=1), 1)
    binary = SymgradClassifier(EXAMPLES / "logistic.sg", epochs=60, random_state=0, backend="numpy").fit(X, labels == 1)
    assert binary.predict_proba(X).shape == (120, 2)
    assert binary.predict(X).dtype == bool
    X, labels = blobs(2)
    assert clone(binary).fit(X, names[labels]).score(X, names[labels]) > 0.95
    assert [each.__sklearn_tags__().classifier_tags.multi_class for each in (one_hot, counted, binary)] == [True, True, False]


def test_compiled() -> None:
    """Machine code in place of NumPy, and its smaller type of numbers."""
    X, labels = blobs()
    estimator = SymgradClassifier(EXAMPLES / "logistic.sg", epochs=40, random_state=0, dtype="float32").fit(X, labels == 1)
    assert estimator.predict_proba(X).dtype == np.float32
    other = SymgradClassifier(EXAMPLES / "logistic.sg", epochs=40, random_state=0, backend="numpy").fit(X, labels == 1)
    assert np.allclose(estimator.predict_proba(X), other.predict_proba(X), atol=1e-3)


def test_regression_is_least_squares() -> None:
    """A model that is not trained to its end, or of another loss."""
    X, y = make_regression(200, 4, noise=1.0, random_state=0)
    y = y / y.std()
    found = SymgradRegressor(epochs=200, random_state=0, backend="numpy").fit(X, y)
    wanted = LinearRegression().fit(X, y)
    assert np.allclose(found.params_["w"], wanted.coef_, atol=1e-2)
    assert found.loss_curve_.shape == (200,)
    assert found.loss_curve_[-1] < found.loss_curve_[0] / 10
    two = SymgradRegressor(TARGETS, epochs=200, random_state=0, backend="numpy").fit(X, np.stack([y, -y], axis=1))
    assert two.predict(X).shape == (200, 2)
    assert two.score(X, np.stack([y, -y], axis=1)) > 0.95
    assert two.__sklearn_tags__().target_tags.multi_output
    assert not found.__sklearn_tags__().target_tags.multi_output


def test_searches_pipelines_and_copies() -> None:
    """A parameter that does not reach the model; a copy that is another estimator; a program that cannot be pickled."""
    X, labels = blobs()
    network = SymgradClassifier(sg.read(EXAMPLES / "softmax_digits.sg"), epochs=25, random_state=0, backend="numpy")
    pipeline = make_pipeline(StandardScaler(), network)
    grid = {"symgradclassifier__sizes": [{"D": 1}, {"D": 8}], "symgradclassifier__optimizer": [sg.Adam(0.05), sg.SGD(1e-6)]}
    found = GridSearchCV(pipeline, grid, cv=2).fit(X, labels)
    best = found.best_estimator_[-1]
    assert found.best_params_["symgradclassifier__optimizer"] == sg.Adam(0.05)
    assert best.params_["beta"].shape == (3, best.sizes["D"])
    again = pickle.loads(pickle.dumps(found.best_estimator_))
    assert np.array_equal(again.predict_proba(X), found.predict_proba(X))
    assert str(again[-1].model) == str(network.model)
    fresh = clone(best)
    assert not hasattr(fresh, "params_")
    assert np.array_equal(fresh.fit(X, labels).predict_proba(X), clone(best).fit(X, labels).predict_proba(X))
    assert cross_val_score(clone(best).set_params(sizes={"D": 8}), X, labels, cv=2).mean() > 0.9


def test_the_start_is_the_documented_one() -> None:
    """Another start or another order of examples for the same seed."""
    X, labels = blobs()
    same = [SymgradClassifier(epochs=1, random_state=seed, backend="numpy").fit(X, labels).params_["W"] for seed in (1, 1, 2)]
    assert np.array_equal(same[0], same[1])
    assert not np.array_equal(same[0], same[2])
    start = SymgradClassifier(epochs=0, random_state=1, backend="numpy").fit(X, labels).params_
    assert not start["c"].any()
    assert start["W"].any()


def on_shards(text: str, **data: Any) -> Any:
    """An objective whose shards are 50 rows of the data, the last one fewer."""
    parts = [{name: array[start : start + 50] for name, array in data.items()} for start in range(0, 120, 50)]
    return sg.distributed.LocalObjective(sg.parse(text), parts, [*data], backend="numpy")


def test_shards() -> None:
    """Other parameters than those of all examples in one place; classes that are not those of the shards."""
    X, labels = blobs()
    X += 0.5  # around 0 a gradient is rounding alone, and Adam takes steps from that
    settings: dict[str, Any] = {"optimizer": sg.Adam(0.1), "epochs": 40, "random_state": 0}
    logistic, counts = (EXAMPLES / "logistic.sg").read_text(), {"constants": {"lambda": 1e-4}, "y": "c"}
    for estimator, text, data, here in (
        (C(**settings), SOFTMAX, {"y_star": np.eye(3)[labels]}, labels),
        (C(COUNTED, sizes={"K": 3}, **counts, **settings), COUNTED, {"c": labels + 1}, labels + 1),
        (C(**settings), logistic, {"y_star": (labels == 1).astype(float)}, (labels == 1).astype(int)),
        (R(**settings), LINEAR, {"y_star": X @ [1.0, -2.0]}, X @ [1.0, -2.0]),
        (R(**settings), TARGETS, {"y_star": X @ [[1.0, 2.0], [0.5, 0.0]]}, X @ [[1.0, 2.0], [0.5, 0.0]]),
    ):
        found = estimator.fit(on_shards(text, x=X, **data))
        wanted = clone(estimator).set_params(model=text, batch_size=None, sizes=None, backend="numpy").fit(X, here)
        assert np.allclose(found.predict(X), wanted.predict(X), atol=1e-9)
        assert np.allclose(found.loss_curve_, wanted.loss_curve_, rtol=1e-9)
        assert getattr(found, "classes_", None) is None or found.classes_.tolist() == wanted.classes_.tolist()
        assert (found.n_features_in_, found.score(X, here)) == (2, pytest.approx(wanted.score(X, here)))
        assert np.array_equal(pickle.loads(pickle.dumps(found)).predict(X), found.predict(X))
    local = C(COUNTED, sizes={"K": 3}, local_steps=3, batch_size=10, **counts, **settings)
    assert local.fit(on_shards(COUNTED, x=X, c=labels + 1)).score(X, labels + 1) > 0.95


def test_shards_that_do_not_fit() -> None:
    """A model that is trained on shards of another, or that predicts from what it is not given."""
    X, labels = blobs()
    one_hot, counted = on_shards(SOFTMAX, x=X, y_star=np.eye(3)[labels]), on_shards(COUNTED, x=X, c=labels + 1)
    third = on_shards(
        "input x[i], y^*, s; param w[i]; y = sum(w[i]*x[i] for i); J = s*(y - y^*)^2", x=X, y_star=X[:, 0], s=labels * 1.0
    )
    constants = {"lambda": 0.0}
    for estimator, objective, words in (
        (C(COUNTED, y="c", constants=constants), one_hot, "of another model"),
        (C(constants=constants), counted, "no y_star for the labels"),
        (C(y="c", constants=constants), counted, "how far that is"),
        (R(), third, "x, y_star, s, and an estimator"),
        (R(y="c", sizes={"K": 3}), counted, "counts classes"),
        (C(y="c", sizes={"K": 3}), counted, "needs lambda"),
        (C(output="o"), on_shards(LINEAR, x=X, y_star=X[:, 0]), "there is no quantity named o"),
    ):
        with pytest.raises(sg.SymgradError, match=words):
            estimator.fit(objective)


X3, Y3 = np.random.default_rng(0).normal(size=(30, 2)), np.arange(30) % 3
TWO_PLACES = "input x[i], y^*[k in 1..2]; param W[k in 1..2,i]; y[k] = sum(W[k,i]*x[i] for i); J = sum((y[k] - y^*[k])^2 for k)"
NO_CLASS = """
input x[i], y^*[k]; param W[k,i], v[i]
y = sum(v[i]*x[i] for i); o[k] = sum(W[k,i]*x[i] for i)
J = sum((o[k] + y - y^*[k])^2 for k); minimize J
"""
KNOWS_ANSWER = "input x[i], y^*; param w[i]; y = sum(w[i]*x[i] for i) - y^*; J = y^2"
KNOWS_NOTHING = "input x[i], y^*; param w[i], c; y = c^2; J = (y - y^* + sum(w[i]*x[i] for i))^2"
PICTURES = "input x[i,j], y^*; param w[i,j]; y = sum(w[i,j]*x[i,j] for i, j); J = (y - y^*)^2"
NUMBER = "input x, y^*; param w; y = w*x; J = (y - y^*)^2"
FIXED = "input x[i], y^*; y = sum(x[i] for i); J = (y - y^*)^2"
WRONG = {
    "three classes, one number": ("SG613", C(EXAMPLES / "logistic.sg")),
    "three classes, two places": ("SG613", C(TWO_PLACES)),
    "three classes, counted to two": ("SG613", C(COUNTED.replace("..K", "..2"), y="c", constants={"lambda": 0.0})),
    "a constant is missing": ("SG613", C(COUNTED, y="c")),
    "a constant too many": ("SG601", C(constants={"lambda": 0.0})),
    "the prediction has no class": ("SG613", C(NO_CLASS)),
    "counted labels for numbers": ("SG613", R(COUNTED, y="c")),
    "the loss is no prediction": ("SG613", R(output="J")),
    "a parameter is no prediction": ("SG613", R(output="w")),
    "a prediction that knows the answer": ("SG613", R(KNOWS_ANSWER)),
    "a prediction that knows no feature": ("SG613", R(KNOWS_NOTHING)),
    "features are a parameter": ("SG613", R(x="w")),
    "features of two indices": ("SG613", R(PICTURES)),
    "one number, two features": ("SG613", R(NUMBER)),
    "no parameters": ("SG613", R(FIXED)),
    "an unknown name": ("SG203", R(y="z")),
    "an unknown size": ("SG614", R(sizes={"Q": 3})),
    "epochs": ("SG608", R(epochs=-1)),
    "optimizer": ("SG608", R(optimizer="adam")),
    "backend": ("SG207", R(backend="tpu")),
    "no model": ("SG119", R(5)),
    "no file": ("SG704", R("no_file.sg")),
    "no equations": ("SG106", R("y = (x")),
    "values that grow": ("SG607", R(optimizer=sg.SGD(1e300), backend="numpy")),
}


@pytest.mark.parametrize("name", WRONG)
def test_refusals(name: str) -> None:
    """A traceback from within, or an estimator that is fitted to something else."""
    code, estimator = WRONG[name]
    with pytest.raises(sg.SymgradError) as error:
        clone(estimator).fit(X3, Y3)
    assert error.value.code == code
