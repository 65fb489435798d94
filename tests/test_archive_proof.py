"""Inclusion and consistency proofs agree with RFC 6962 written down as it stands there, and prove nothing else."""

import base64
import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nocontactd.archive.log import Tree
from nocontactd.archive.proof import Subtrees, check_consistency, check_inclusion, consistency, inclusion
from tests.test_archive_log import LEAVES, ROOTS

ROOT_OF_8 = bytes.fromhex(ROOTS[8])


def mth(leaves: list[bytes]) -> bytes:
    """RFC 6962, 2.1, word by word."""
    if len(leaves) < 2:
        return hashlib.sha256(b"\0" + leaves[0] if leaves else b"").digest()
    k = largest(len(leaves))
    return hashlib.sha256(b"\1" + mth(leaves[:k]) + mth(leaves[k:])).digest()


def path(m: int, leaves: list[bytes]) -> list[bytes]:
    """RFC 6962, 2.1.1, word by word."""
    if len(leaves) == 1:
        return []
    k = largest(len(leaves))
    return [*path(m, leaves[:k]), mth(leaves[k:])] if m < k else [*path(m - k, leaves[k:]), mth(leaves[:k])]


def subproof(m: int, leaves: list[bytes], whole: bool) -> list[bytes]:
    """RFC 6962, 2.1.2, word by word."""
    if m == len(leaves):
        return [] if whole else [mth(leaves)]
    k = largest(len(leaves))
    if m <= k:
        return [*subproof(m, leaves[:k], whole), mth(leaves[k:])]
    return [*subproof(m - k, leaves[k:], False), mth(leaves[:k])]


def largest(n: int) -> int:
    """The largest power of two smaller than n."""
    k = 1
    while 2 * k < n:
        k *= 2
    return k


def made(size: int) -> list[bytes]:
    return [b"leaf %d" % n for n in range(size)]


sizes = st.integers(1, 70)


def test_the_root_of_certificate_transparencys_leaves_is_the_published_one() -> None:
    assert Subtrees(LEAVES).root() == ROOT_OF_8
    tree = Tree()
    for leaf in LEAVES:
        tree.add(leaf)
    assert tree.root() == ROOT_OF_8


def test_a_published_inclusion_proof_is_the_one_that_is_made() -> None:
    """Leaf 6 (index 5) of 8, from the same vectors."""
    published = (
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    )
    assert [step.hex() for step in inclusion(Subtrees(LEAVES), 5)] == list(published)


def test_a_published_consistency_proof_is_the_one_that_is_made() -> None:
    """From 6 to 8 leaves, from the same vectors."""
    published = (
        "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    )
    assert [step.hex() for step in consistency(Subtrees(LEAVES), 6)] == list(published)


@given(st.data(), sizes)
def test_an_inclusion_proof_is_that_of_the_rfc_and_leads_to_the_root(data: st.DataObject, whole: int) -> None:
    size = data.draw(st.integers(1, whole))
    index = data.draw(st.integers(0, size - 1))
    leaves = made(whole)
    proof = inclusion(Subtrees(leaves), index, size)
    assert list(proof) == path(index, leaves[:size])
    assert check_inclusion(leaves[index], index, size, proof, mth(leaves[:size]))


@given(st.data(), sizes)
def test_a_consistency_proof_is_that_of_the_rfc_and_leads_to_both_roots(data: st.DataObject, whole: int) -> None:
    second = data.draw(st.integers(1, whole))
    first = data.draw(st.integers(1, second))
    leaves = made(whole)
    proof = consistency(Subtrees(leaves), first, second)
    assert list(proof) == subproof(first, leaves[:second], True)
    assert check_consistency(first, second, proof, mth(leaves[:first]), mth(leaves[:second]))


def test_every_tree_begins_with_the_empty_one() -> None:
    empty = mth([])
    assert consistency(Subtrees(made(5)), 0) == ()
    assert check_consistency(0, 5, (), empty, mth(made(5)))
    assert not check_consistency(0, 5, (), b"x" * 32, mth(made(5)))
    assert not check_consistency(0, 5, (empty,), empty, mth(made(5)))


def test_two_trees_of_one_size_must_be_one_tree() -> None:
    assert check_consistency(5, 5, (), mth(made(5)), mth(made(5)))
    assert not check_consistency(5, 5, (), mth(made(5)), mth([*made(4), b"other"]))


@pytest.mark.parametrize(("part", "whole"), [(1, 2), (1, 70), (2, 3), (4, 8), (8, 64)])
def test_a_proof_in_a_part_of_the_tree_is_none_in_the_whole(part: int, whole: int) -> None:
    leaves = made(part)
    assert not check_inclusion(leaves[0], 0, whole, inclusion(Subtrees(leaves), 0), mth(leaves))


@given(st.data(), sizes)
def test_no_proof_serves_for_another_leaf_index_or_root(data: st.DataObject, size: int) -> None:
    index = data.draw(st.integers(0, size - 1))
    leaves = made(size)
    proof, root = inclusion(Subtrees(leaves), index), mth(leaves)
    other = data.draw(st.integers(-2, size + 2).filter(lambda n: n != index))
    assert not check_inclusion(b"another", index, size, proof, root)
    assert not check_inclusion(leaves[index], other, size, proof, root)
    assert not check_inclusion(leaves[index], index, size, (*proof, root), root)
    assert not check_inclusion(leaves[index], index, size, proof, b"\0" * 32)
    assert not (proof and check_inclusion(leaves[index], index, size, proof[:-1], root))


@given(st.data(), st.integers(2, 70))
def test_no_history_that_was_altered_before_the_first_tree_is_consistent_with_it(
    data: st.DataObject, size: int
) -> None:
    """Whatever of its hashes somebody who rewrote the history sends: their own, the old ones, or both mixed."""
    first = data.draw(st.integers(1, size - 1))
    altered = data.draw(st.integers(0, first - 1))
    old, new = made(size), made(size)
    new[altered] = b"rewritten"
    honest, forged = consistency(Subtrees(old), first), consistency(Subtrees(new), first)
    mixed = tuple(data.draw(st.sampled_from(pair)) for pair in zip(honest, forged, strict=True))
    assert not check_consistency(first, size, mixed, mth(old[:first]), mth(new))


@given(
    st.integers(-1, 40),
    st.integers(-1, 40),
    st.lists(st.binary(max_size=40), max_size=8),
    st.binary(max_size=40),
    st.binary(max_size=40),
)
def test_what_is_no_proof_is_refused_and_never_an_error(
    first: int, second: int, steps: list[bytes], old: bytes, new: bytes
) -> None:
    assert not check_inclusion(b"leaf", first, second, steps, new)
    if first > 0 and (first != second or old != new):
        assert not check_consistency(first, second, steps, old, new)


@pytest.mark.parametrize(("index", "size"), [(-1, 3), (3, 3), (0, 0), (0, 5)])
def test_there_is_no_proof_of_a_leaf_that_is_not_there(index: int, size: int) -> None:
    with pytest.raises(IndexError):
        inclusion(Subtrees(made(4)), index, size)


@pytest.mark.parametrize(("first", "second"), [(-1, 3), (4, 3), (2, 5)])
def test_there_is_no_proof_between_trees_that_are_not_there(first: int, second: int) -> None:
    with pytest.raises(IndexError):
        consistency(Subtrees(made(4)), first, second)


def test_a_proof_in_a_log_of_a_hundred_thousand_leaves_is_seventeen_hashes() -> None:
    leaves = made(100_000)
    subtrees = Subtrees(leaves)
    proof = inclusion(subtrees, 77_777)
    assert len(proof) == 17
    assert len(base64.b64encode(b"".join(proof))) < 800
    assert check_inclusion(leaves[77_777], 77_777, 100_000, proof, subtrees.root())
