"""Actors that no node, or not all nodes together, could hold are refused; whatever Ray could place is not."""

from __future__ import annotations

from contextlib import nullcontext

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.local import DECODE_CPUS
from cluster.placement import Nodes, check_placement

DECODE = Nodes(group="decode", nodes=8, cpus=16, gpus=0)
SPOT = Nodes(group="spot", nodes=16, cpus=8, gpus=1)
FOUR = Nodes(group="four", nodes=2, cpus=32, gpus=4)


@pytest.mark.parametrize(
    ("actors", "num_cpus", "num_gpus", "reason"),
    [
        (1, 0.5, 4, r"actors.num_gpus = 4: no node has more than 1 \(spot\); ask for as many, or give .* more gpus"),
        (1, 64, 0, r"actors.num_cpus = 64: no node has more than 16 \(decode\); ask for fewer, or give .* more cpus"),
        (1, 16, 1, r"actors.num_cpus = 16: no node with GPUs for an actor \(actors.num_gpus = 1\) has more than 8;"),
        (
            17,
            0.5,
            1,
            r"actors.min = 17: .* at most 16 fit .*\(16 of spot\).*; give --actors 16, or 16:MAX, or raise nodes",
        ),
        (1000, 0.5, 0.25, r"at most 64 fit"),
        (1000, 0.5, 0.6, r"at most 16 fit"),
        (1000, 8, 0, r"at most 31 fit .*\(8 of decode, 16 of spot\)"),
    ],
)
def test_what_would_be_waited_for_in_vain_is_refused(
    actors: int, num_cpus: float, num_gpus: float, reason: str
) -> None:
    with pytest.raises(ValueError, match=reason):
        check_placement([DECODE, SPOT], actors=actors, num_cpus=num_cpus, num_gpus=num_gpus)


def test_gpus_where_there_are_none() -> None:
    with pytest.raises(ValueError, match=r"actors.num_gpus = 1: no node has a GPU; leave it out, or give a group"):
        check_placement([DECODE], actors=1, num_cpus=0.5, num_gpus=1)


@pytest.mark.parametrize(
    ("actors", "num_cpus", "num_gpus"), [(16, 0.5, 1), (64, 0.5, 0.25), (16, 8, 1), (255, 1, 0), (40_000, 0, 0)]
)
def test_what_fits_is_let_through(actors: int, num_cpus: float, num_gpus: float) -> None:
    check_placement([DECODE, SPOT], actors=actors, num_cpus=num_cpus, num_gpus=num_gpus)


def test_a_decode_finds_its_cpus() -> None:
    """Actors on every CPU would wait for rows for ever."""
    one = Nodes(group="a", nodes=1, cpus=2, gpus=0)
    check_placement([one], actors=1, num_cpus=1, num_gpus=0)
    check_placement([one], actors=3, num_cpus=0.5, num_gpus=0)
    for num_cpus, actors in ((1, 2), (0.5, 4)):
        with pytest.raises(ValueError, match=f"at most {actors - 1} fit"):
            check_placement([one], actors=actors, num_cpus=num_cpus, num_gpus=0)
    with pytest.raises(ValueError, match=r"at most 0 fit .*; give less actors.num_cpus, or raise nodes_max"):
        check_placement([one], actors=1, num_cpus=2, num_gpus=0)


KINDS = st.builds(Nodes, group=st.just("a"), nodes=st.integers(1, 3), cpus=st.integers(1, 6), gpus=st.integers(0, 3))


@given(
    nodes=st.lists(KINDS, min_size=1, max_size=3),
    actors=st.integers(1, 12),
    num_cpus=st.sampled_from([0, 0.25, 0.5, 1, 2]),
    num_gpus=st.sampled_from([0, 0.25, 0.5, 1, 2]),
)
def test_as_placing_one_after_another_finds_it(
    nodes: list[Nodes], actors: int, num_cpus: float, num_gpus: float
) -> None:
    machines = [kind for kind in nodes for _ in range(kind.nodes)]

    def placed(decodes_on: int) -> float:
        """With the CPUs of a decode taken from one machine first."""
        found = 0
        for number, machine in enumerate(machines):
            cpus, gpus = machine.cpus - DECODE_CPUS * (number == decodes_on), [1.0] * machine.gpus
            while found < actors and cpus >= num_cpus:
                if num_gpus >= 1 and len([gpu for gpu in gpus if gpu == 1]) >= num_gpus:
                    gpus = gpus[int(num_gpus) :]
                elif (
                    0 < num_gpus < 1
                    and (first := next((n for n, gpu in enumerate(gpus) if gpu >= num_gpus), None)) is not None
                ):
                    gpus[first] -= num_gpus
                elif num_gpus:
                    break
                cpus, found = cpus - num_cpus, found + 1
        return found

    possible = max(map(placed, range(len(machines)))) >= actors
    with nullcontext() if possible else pytest.raises(ValueError, match="actors"):
        check_placement(nodes, actors=actors, num_cpus=num_cpus, num_gpus=num_gpus)
