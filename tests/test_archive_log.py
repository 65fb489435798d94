"""The log as values, held against the published examples of the formats it uses."""

import base64
import hashlib
import json
import subprocess
from pathlib import Path

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from hypothesis import given
from hypothesis import strategies as st

from nocontactd.archive.log import Checkpoint, Leaf, Signer, Tree, new_key, parse_leaf, read_checkpoint

# Leaves and roots of the test data of RFC 6962's reference implementation (merkle_tree_test).
LEAVES = [bytes.fromhex(x) for x in ("", "00", "10", "2021", "3031", "40414243", "5051525354555657")]
LEAVES.append(bytes(range(0x60, 0x70)))
ROOTS = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]

# The example of golang.org/x/mod/sumdb/note.
NEUMANN = "PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz"
NEUMANN_PUBLIC = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
SAYING = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n"
SIGNATURE = "x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM="


def test_the_tree_has_the_published_roots() -> None:
    tree = Tree()
    roots = [tree.root().hex()]
    for leaf in LEAVES:
        tree.add(leaf)
        roots.append(tree.root().hex())
    assert roots == ROOTS


def test_a_note_is_signed_as_in_the_published_example() -> None:
    signer = Signer(NEUMANN)
    assert signer.verifier == NEUMANN_PUBLIC
    assert signer.sign(SAYING) == f"{SAYING}\n\u2014 PeterNeumann {SIGNATURE}\n"


def test_a_new_key_is_written_as_in_the_published_example() -> None:
    seed = base64.b64decode(NEUMANN.split("+", 4)[4])[1:]
    assert new_key("PeterNeumann", seed) == NEUMANN


def signed(size: int = 3, origin: str = "PeterNeumann") -> tuple[Checkpoint, str]:
    checkpoint = Checkpoint(origin, size, bytes.fromhex(ROOTS[3]))
    return checkpoint, Signer(NEUMANN).sign(checkpoint.text())


def test_a_checkpoint_reads_back_only_for_its_own_log_and_key() -> None:
    checkpoint, note = signed()
    assert read_checkpoint(note.encode(), "PeterNeumann", [NEUMANN_PUBLIC]) == checkpoint
    other = Signer(new_key("PeterNeumann", bytes(32))).verifier
    assert read_checkpoint(note.encode(), "PeterNeumann", [other, NEUMANN_PUBLIC]) == checkpoint
    for origin, verifiers in (("Another", [NEUMANN_PUBLIC]), ("PeterNeumann", [other]), ("PeterNeumann", [])):
        with pytest.raises(ValueError, match="not a checkpoint of this log"):
            read_checkpoint(note.encode(), origin, verifiers)


def test_the_signature_of_a_witness_beside_ours_is_passed_over() -> None:
    checkpoint, note = signed()
    assert read_checkpoint(f"{note}\u2014 witness AAAA\n".encode(), "PeterNeumann", [NEUMANN_PUBLIC]) == checkpoint


def independent(note: str, verifier: str) -> tuple[str, int, bytes]:
    """C2SP signed-note and tlog-checkpoint, read from their specifications alone: origin, size, root."""
    name, key_id, key = verifier.split("+", 2)
    algorithm, public = base64.b64decode(key)[:1], base64.b64decode(key)[1:]
    assert algorithm == b"\x01"
    assert hashlib.sha256(name.encode() + b"\n" + algorithm + public).digest()[:4].hex() == key_id
    body, signatures = note.rsplit("\n\n", 1)
    (line,) = (line for line in signatures.splitlines() if line.startswith(f"\u2014 {name} "))
    raw = base64.b64decode(line.split(" ")[2], validate=True)
    assert raw[:4].hex() == key_id
    Ed25519PublicKey.from_public_bytes(public).verify(raw[4:], f"{body}\n".encode())
    origin, size, root, *_extensions = body.split("\n")
    assert str(int(size)) == size
    return origin, int(size), base64.b64decode(root, validate=True)


def naive(leaves: list[bytes]) -> bytes:
    """RFC 6962, 2.1."""
    if len(leaves) < 2:
        return hashlib.sha256(b"\0" + leaves[0] if leaves else b"").digest()
    k = 1 << (len(leaves) - 1).bit_length() - 1
    return hashlib.sha256(b"\1" + naive(leaves[:k]) + naive(leaves[k:])).digest()


@pytest.mark.parametrize("vector", ["new", "filled"])
def test_an_independent_reader_finds_what_the_published_archives_sign(vector: str) -> None:
    """Nothing of ours is used: the note, the key in archive.json, and the tree over log/leaves."""
    archive = Path(__file__).parent / "vectors" / vector
    verifier = json.loads((archive / "archive.json").read_text())["log_keys"][-1]
    for folder in ("log", "log/copy"):
        origin, size, root = independent((archive / folder / "checkpoint").read_text(), verifier)
        leaves = (archive / folder / "leaves").read_bytes().splitlines()
        assert (origin, size, root) == (verifier.split("+")[0], len(leaves), naive(leaves))


def test_the_independent_reader_reads_the_published_note_too() -> None:
    """Whose text is no checkpoint: its signature alone is what counts."""
    with pytest.raises(ValueError, match="not enough values"):
        independent(f"{SAYING}\n\u2014 PeterNeumann {SIGNATURE}\n", NEUMANN_PUBLIC)
    with pytest.raises(InvalidSignature):
        independent(f"{SAYING}!\n\n\u2014 PeterNeumann {SIGNATURE}\n", NEUMANN_PUBLIC)


@given(st.data())
def test_no_octet_of_a_checkpoint_can_be_altered(data: st.DataObject) -> None:
    _checkpoint, note = signed()
    octets = bytearray(note.encode())
    at = data.draw(st.integers(0, len(octets) - 1))
    octets[at] ^= data.draw(st.integers(1, 255))
    with pytest.raises(ValueError, match="not a checkpoint of this log"):
        read_checkpoint(bytes(octets), "PeterNeumann", [NEUMANN_PUBLIC])


@given(st.binary(max_size=300))
def test_what_is_no_checkpoint_is_a_value_error(data: bytes) -> None:
    with pytest.raises(ValueError, match="not a checkpoint of this log"):
        read_checkpoint(data, "PeterNeumann", [NEUMANN_PUBLIC])


def test_openssl_agrees_about_a_checkpoint(tmp_path: Path) -> None:
    """As the README in an archive promises: the signature can be checked without any of this."""
    _checkpoint, note = signed()
    text, signature = note.split("\n\n")
    public = base64.b64decode(NEUMANN_PUBLIC.split("+", 2)[2])[1:]
    (tmp_path / "text").write_text(text + "\n")
    (tmp_path / "signature").write_bytes(base64.b64decode(signature.split(" ")[2])[4:])
    (tmp_path / "key.der").write_bytes(bytes.fromhex("302a300506032b6570032100") + public)
    command = "openssl pkeyutl -verify -pubin -inkey key.der -keyform DER -rawin -in text -sigfile signature"
    subprocess.run(command.split(), cwd=tmp_path, check=True, capture_output=True)


@pytest.mark.parametrize(
    "line",
    [
        f"2026-11-22/000001 {'a' * 64} {'b' * 64}",
        f"2026-11-22/1000001 {'a' * 64} -",
        f"key/2026-11-22 {'a' * 64} {'b' * 64}",
        f"key/2026-11-22.2 {'a' * 64} -",
        f"archive.json {'a' * 64} ceremony:unattended",
        f"holders/owner.age {'a' * 64} -",
        "holders/owner.age - -",
        f"README.txt {'a' * 64} -",
    ],
)
def test_every_kind_of_leaf_comes_back_as_it_was(line: str) -> None:
    assert str(parse_leaf(line)) == line


@pytest.mark.parametrize(
    "line",
    [
        "",
        f"2026-11-22/00001 {'a' * 64} -",
        f"2026-11-22/000001 {'a' * 63} -",
        f"2026-11-22/000001  {'a' * 64} -",
        f"2026-11-22/000001 {'A' * 64} -",
        f"2026-11-22/000001 {'a' * 64} - ",
        f"2026-11-22/000001 {'a' * 64} -\n",
        f"../000001 {'a' * 64} -",
        f"holders/../x.age {'a' * 64} -",
        "\0" * 100,
    ],
)
def test_what_is_no_leaf_is_refused(line: str) -> None:
    with pytest.raises(ValueError, match="not a leaf"):
        parse_leaf(line)


def test_an_orphan_is_vouched_for_by_its_file_alone() -> None:
    leaf = Leaf("2026-11-22/000001", "a" * 64, "b" * 64)
    assert leaf.vouches("a" * 64, "b" * 64)
    assert not leaf.vouches("c" * 64, "b" * 64)
    assert not leaf.vouches("a" * 64, "c" * 64)
    assert Leaf("2026-11-22/000001", "a" * 64, "-").vouches("a" * 64, "c" * 64)


@pytest.mark.parametrize(
    "written", ["", "PRIVATE+KEY+x", "PRIVATE+KEY+x+00000000+AAAA", "PRIVATE+KEY+x+0+!!", "a+b+c+d+"]
)
def test_what_is_no_log_key_is_refused(written: str) -> None:
    with pytest.raises(ValueError, match="not a log key"):
        Signer(written)
