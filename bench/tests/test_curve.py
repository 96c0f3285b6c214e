import math

import pytest

from bench import curve

POINTS = [(0.80, 1000.0), (0.94, 400.0), (0.96, 100.0), (0.93, 300.0), (0.99, 50.0)]


def test_front_drops_points_beaten_in_both():
    assert curve.pareto(POINTS) == [(0.80, 1000.0), (0.94, 400.0), (0.96, 100.0), (0.99, 50.0)]


def test_qps_between_two_points_is_log_linear():
    assert curve.qps_at(POINTS, 0.95) == pytest.approx(math.sqrt(400 * 100))


def test_qps_at_a_measured_recall_is_the_measured_one():
    assert curve.qps_at(POINTS, 0.99) == pytest.approx(50.0)


def test_qps_left_of_the_front_is_its_fastest_point():
    assert curve.qps_at([(1.0, 7.0)], 0.9) == 7.0


def test_qps_beyond_the_front_does_not_exist():
    assert curve.qps_at(POINTS, 0.995) is None
    assert curve.qps_at([], 0.9) is None


def test_thinning_keeps_both_ends():
    front = [(0.6 + i / 100, 1000.0 - i) for i in range(40)]
    thinned = curve.thin(front, 5)
    assert len(thinned) == 5 and thinned[0] == front[0] and thinned[-1] == front[-1]
    assert curve.thin([(0.2, 9.0), (0.5, 3.0)]) == [(0.5, 3.0)]
