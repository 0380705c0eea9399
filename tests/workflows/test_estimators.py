"""The estimators are real scikit-learn estimators: its own checks, grid searches and pipelines say so."""

import unicodedata

import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.model_selection import GridSearchCV, cross_val_score, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.utils.estimator_checks import parametrize_with_checks

import headstart
from headstart.data.demo.photos import write_photos
from headstart.data.demo.tickets import tickets


@parametrize_with_checks([headstart.TransferClassifier(), headstart.TransferRegressor()])
@pytest.mark.filterwarnings("ignore")  # scikit-learn's checks warn on purpose
def test_scikit_learns_own_checks(estimator, check):
    check(estimator)


def test_real_digits_in_a_pipeline_and_a_grid_search():
    x, y = load_digits(return_X_y=True)
    x_train, x_test, y_train, y_test = train_test_split(x, y, stratify=y, random_state=0)
    search = GridSearchCV(
        make_pipeline(PCA(30), headstart.TransferClassifier()),
        {"transferclassifier__method": ["centroid", "logistic"]},
        cv=3,
    )
    search.fit(x_train[:600], y_train[:600])
    assert search.best_params_ == {"transferclassifier__method": "logistic"}
    assert search.score(x_test, y_test) > 0.93
    assert np.allclose(search.predict_proba(x_test[:5]).sum(1), 1)


def test_texts_and_labels_of_any_type():
    texts, labels = zip(*tickets(), strict=True)
    codes = np.unique(labels, return_inverse=True)[1] + 5
    scores = cross_val_score(headstart.TransferClassifier(), np.array(texts), codes, cv=3)
    assert scores.mean() > 1.5 / len(set(labels))
    model = headstart.TransferClassifier().fit(list(texts), labels)
    assert set(model.predict(["I was charged twice"])) <= set(labels)


def test_photos_by_path_and_as_pictures(tmp_path):
    from PIL import Image

    folder = write_photos(tmp_path / "photos", 60)
    files = sorted(folder.glob("*/*.jpg"))
    labels = [f.parent.name for f in files]
    model = headstart.TransferClassifier(backbone="stats").fit(files, labels)
    assert model.score(files, labels) > 0.5
    pictures = [Image.open(f) for f in files[:4]]
    assert np.allclose(model.predict_proba(pictures), model.predict_proba(files[:4]), atol=1e-5)


def test_numbers():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((200, 6))
    y = 3 * x[:, 0] - x[:, 1] + 100
    assert headstart.TransferRegressor().fit(x[:150], y[:150]).score(x[150:], y[150:]) > 0.98


def test_an_input_that_cannot_be_read_is_named(tmp_path):
    (tmp_path / "a.jpg").write_bytes(b"")
    model = headstart.TransferClassifier(backbone="stats")
    with pytest.raises(headstart.HeadstartError, match="empty"):
        model.fit([tmp_path / "a.jpg", tmp_path / "a.jpg"], ["x", "y"])


def test_numbers_too_large_to_compute_with_are_refused_and_give_no_nan():
    x = np.random.default_rng(0).standard_normal((60, 4))
    model = headstart.TransferClassifier().fit(x, x[:, 0] > 0)
    assert np.isfinite(model.predict_proba(x * 1e31)).all()
    for call in (model.predict, model.predict_proba, headstart.TransferRegressor().fit(x, x[:, 0]).predict):
        with pytest.raises(ValueError, match="1e\\+32 is the most"):
            call(np.full((2, 4), 1e300))
    with pytest.raises(ValueError, match="Input y contains"):
        headstart.TransferRegressor().fit(x, x[:, 0] * 1e300)


def test_names_that_no_file_can_hold_come_back_as_they_were_given():
    x, names = np.random.default_rng(0).standard_normal((60, 4)), np.array(["\ud800", "\x1b"])
    model = headstart.TransferClassifier().fit(x, names[(x[:, 0] > 0).astype(int)])
    assert set(model.predict(x)) == set(names)


def test_labels_that_are_equal_to_unicode_are_one_class():
    nfc = "\u00c4meise"
    nfd = unicodedata.normalize("NFD", nfc)
    x = np.random.default_rng(0).normal(size=(90, 5)) + 6 * (np.arange(90) % 3 == 2)[:, None]
    y = np.array([nfc, nfd, "Biene"])[np.arange(90) % 3]
    fitted = headstart.TransferClassifier().fit(x, y)
    assert fitted.classes_.tolist() == ["Biene", nfc]
    assert fitted.score(x, y) == 1
    one_form = headstart.TransferClassifier().fit(x, np.where(y == nfc, nfd, y))
    assert one_form.classes_.tolist() == [nfd, "Biene"]  # as they were given
    assert one_form.score(x, y) == 1
