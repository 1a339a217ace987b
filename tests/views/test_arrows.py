"""Arrows: heads at the right ends, labels on the curve."""

import re

import pytest

from vmxsim.views.drawing import arrow

STRAIGHT = ((0.0, 10.0), (40.0, 10.0), (60.0, 10.0), (100.0, 10.0))


def numbers(path):
    return [float(n) for n in re.findall(r"-?\d+\.?\d*", path)]


def test_the_tip_is_the_end_and_the_line_stops_short_of_it():
    drawn = arrow(STRAIGHT)
    assert numbers(drawn.heads)[:2] == [100, 10]
    assert 80 < numbers(drawn.line)[-2] < 100
    assert numbers(drawn.line)[:2] == [0, 10]
    assert drawn.middle == pytest.approx((50, 10))


def test_an_exchange_has_two_heads():
    drawn = arrow(STRAIGHT, both=True)
    tips = [numbers(head)[:2] for head in drawn.heads.split("M")[1:]]
    assert tips == [[100, 10], [0, 10]]
    assert numbers(drawn.line)[0] > 0


def test_the_label_of_a_long_way_is_in_its_longest_piece():
    points = ((0.0, 0.0), (5.0, 0.0), (10.0, 0.0), (15.0, 5.0), (50.0, 40.0), (80.0, 40.0), (200.0, 5.0))
    assert 60 < arrow(points).middle[0] < 120


def test_a_curve_without_length_is_no_error():
    assert arrow(((1.0, 1.0),) * 4).line
