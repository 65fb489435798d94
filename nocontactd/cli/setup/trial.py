"""A login is tried before anything else is asked; one that is refused is asked for again, as a whole."""

from argparse import Namespace
from collections.abc import Callable
from pathlib import Path

from nocontactd.cli import complain
from nocontactd.cli.setup.questions import Questions
from nocontactd.config import Secret
from nocontactd.credentials import secret as obtained
from nocontactd.errors import CredentialError, NocontactError, SourceError
from nocontactd.ports import Source
from nocontactd.review.visible import visible


def lets_in(source: Source, ask: Questions) -> bool:
    """Whether the login works; unattended, that it does not is the end."""
    print("trying the login …", flush=True)
    try:
        shortcomings: Callable[[], tuple[str, ...]] = source.check  # type: ignore[attr-defined]
        for sentence in shortcomings():
            print(visible(f"remark: {sentence}"))
    except (CredentialError, SourceError) as problem:
        if ask.unattended:
            raise
        complain(problem)
        print("Once more, then; Ctrl-C ends it.")
        return False
    except NocontactError as problem:
        complain(problem)
        return False
    finally:
        source.close()
    print("it works")
    return True


def secret_of(source: str, option: str, file: Path | None, question: str, ask: Questions) -> str:
    """Out of the file that was named, which only its owner may read, else typed."""
    if file is None:
        return ask.unseen(option, question)
    return obtained(source, "", Secret(file=file), environment={})


def but(args: Namespace, *options: str) -> Namespace:
    """Without what did not let us in, so that it is asked for."""
    return Namespace(**{**vars(args), **dict.fromkeys(options)})
