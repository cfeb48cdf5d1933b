import pytest
from scipy.stats import beta

from markerremover.evaluation import metrics
from markerremover.evaluation.evaluate import upper_bound
from markerremover.evaluation.metrics import Counts


@pytest.mark.parametrize(
    "k, n, low, high",
    [(0, 10, 0.0, 0.308497), (10, 10, 0.691503, 1.0), (1, 1, 0.025, 1.0), (0, 0, 0.0, 1.0), (5, 10, 0.187086, 0.812914)],
    ids=["none of ten: 1 - 0.025^(1/10)", "ten of ten: 0.025^(1/10)", "one of one", "no trials", "half, symmetric"],
)
def test_exact_intervals(k, n, low, high):
    assert metrics.interval(k, n) == pytest.approx((low, high), abs=1e-5)


@pytest.mark.parametrize("k, n", [(0, 1), (1, 3), (19, 20), (3, 300), (299, 300), (1234, 33333)])
def test_exact_intervals_are_quantiles_of_the_beta_distribution(k, n):
    low = beta.ppf(0.025, k, n - k + 1) if k else 0.0
    assert metrics.interval(k, n) == pytest.approx((low, beta.ppf(0.975, k + 1, n - k)), abs=1e-9)
    assert upper_bound(k, n) == pytest.approx(beta.ppf(0.95, k + 1, n - k), abs=1e-9)


def test_fisher_of_the_lady_tasting_tea():
    assert metrics.fisher((3, 4), (1, 4)) == pytest.approx(34 / 70)  # (1 + 16 + 16 + 1) / C(8, 4)
    assert metrics.fisher((4, 4), (0, 4)) == pytest.approx(2 / 70)
    assert metrics.fisher((0, 0), (1, 4)) is None


def test_a_rate_without_trials_has_no_value():
    assert metrics.rate(0, 0) == {"k": 0, "n": 0, "value": None, "low95": 0.0, "high95": 1.0}
    assert metrics.in_words(metrics.rate(0, 0)) == "none to count" and metrics.in_words(metrics.rate(1, 2)) == "50.0 % (1/2; 1–99)"


def test_counts_add_up_and_are_compared_rate_by_rate():
    before = Counts(images=4, marked=4, deidentified=3) + Counts(images=1, boxes=2, false_boxes=1)
    assert before == Counts(images=5, marked=4, deidentified=3, boxes=2, false_boxes=1)
    row = metrics.compare(before, Counts(marked=4, deidentified=1))["de-identification accuracy"]
    assert (row["before"]["value"], row["after"]["value"], row["p_fisher"]) == (0.75, 0.25, 0.4857)
