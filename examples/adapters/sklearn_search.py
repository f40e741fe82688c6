"""A network in index notation among scikit-learn's tools: scaling, folds, and a search for the number of hidden units.

python examples/adapters/sklearn_search.py
"""

from __future__ import annotations

from pathlib import Path

from sklearn.datasets import load_digits
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import symgrad as sg

MODEL = Path(__file__).parent.parent / "softmax_digits.sg"


def search(examples: int = 600, epochs: int = 30) -> GridSearchCV:
    features, labels = load_digits(return_X_y=True)
    network = sg.adapters.sklearn.SymgradClassifier(MODEL, optimizer=sg.Adam(0.02), epochs=epochs, random_state=0)
    pipeline = make_pipeline(StandardScaler(), network)
    sizes = [{"D": 4}, {"D": 16}, {"D": 32}]  # how many values the index has that D ends: hidden units
    found = GridSearchCV(pipeline, {"symgradclassifier__sizes": sizes}, cv=3)
    return found.fit(features[:examples], labels[:examples])


if __name__ == "__main__":
    found = search()
    for sizes, score in zip(found.cv_results_["param_symgradclassifier__sizes"], found.cv_results_["mean_test_score"], strict=True):
        print(f"{sizes['D']:3d} hidden units: accuracy {score:.3f}")
