"""Each file under tests/transcripts, played from its first line to its last."""

from pathlib import Path

import pytest

from tests.transcripts import play

FOLDER = Path(__file__).parent / "transcripts"


@pytest.mark.parametrize("transcript", sorted(FOLDER.glob("*.txt")), ids=lambda path: path.stem)
def test_a_transcript_comes_out_as_written(transcript: Path, tmp_path: Path) -> None:
    play(transcript, tmp_path)
