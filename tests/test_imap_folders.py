"""Which folders are looked at, by what servers say of them."""

import pytest

from nocontactd.sources.imap.folders import Choice, Folder, choose, trash, unknown


def folders(*rows: str, delimiter: str = "/") -> list[Folder]:
    """Rows of `NAME ATTRIBUTE...`, with `_` for a space."""
    split = [row.split() for row in rows]
    return [Folder(name.replace("_", " "), frozenset(attributes), delimiter) for name, *attributes in split]


def names(choices: tuple[Choice, ...]) -> list[str]:
    assert not [choice for choice in choices if choice.problem]
    return [choice.folder for choice in choices]


def all_of(listed: list[Folder], foreign: tuple[str, ...] = (), never_touch: tuple[str, ...] = ()) -> list[str]:
    return names(choose(listed, foreign, None, never_touch, sweep_trash=False))


def test_inbox_comes_first_and_the_rest_in_an_order_of_its_own() -> None:
    assert all_of(folders("b", "a", "INBOX", "Junk")) == ["INBOX", "Junk", "a", "b"]


def test_inbox_is_looked_at_though_a_server_does_not_list_it() -> None:
    assert all_of(folders("a")) == ["INBOX", "a"]


def test_inbox_keeps_the_spelling_of_the_server() -> None:
    assert all_of(folders("Archive", "Inbox")) == ["Inbox", "Archive"]


def test_sent_and_drafts_are_left_out_by_special_use_whatever_they_are_called() -> None:
    listed = folders("INBOX", "Ausgang \\sent", "Notizen \\drafts", "Sent", "Drafts")
    assert all_of(listed) == ["INBOX", "Drafts", "Sent"]


@pytest.mark.parametrize(
    "name",
    ["Sent", "SENT", "sent items", "Sent Messages", "INBOX/Sent", "[Gmail]/Sent Mail", "Gesendete Objekte", "Envoyés",
     "Enviados", "Posta inviata", "Verzonden items", "Wysłane", "Отправленные", "送信済みメール", "已发送",
     "Drafts", "Entwürfe", "Brouillons", "Borradores", "Bozze", "Concepten", "Черновики", "下書き", "草稿箱",
     "e\u0301le\u0301ments envoye\u0301s", "Envoyes", "Išsiųsti", "Saadetud", "Đã gửi", "ส่งแล้ว", "العناصر المرسلة",
     "פריטים שנשלחו", "送信済みトレイ", "Bản nháp", "ร่าง", "المسودات", "טיוטות", "ドラフト", "Juodraščiai"],
)  # fmt: skip
def test_sent_and_drafts_are_left_out_by_their_usual_names_where_nothing_is_marked(name: str) -> None:
    assert all_of([*folders("INBOX", "Archive"), Folder(name, frozenset(), "/")]) == ["INBOX", "Archive"]


@pytest.mark.parametrize("name", ["Project/Sent", "Sentinels", "Drafts of the choir"])
def test_a_folder_that_only_resembles_sent_or_drafts_is_looked_at(name: str) -> None:
    assert name in all_of([*folders("INBOX"), Folder(name, frozenset(), "/")])


def test_prefix_and_delimiter_are_the_servers_own() -> None:
    listed = folders("INBOX", "INBOX.Sent", "INBOX.Drafts", "INBOX.Family", delimiter=".")
    assert all_of(listed) == ["INBOX", "INBOX.Family"]


def test_junk_trash_and_all_mail_are_looked_at_for_what_was_deleted_is_evidence() -> None:
    rows = ("[Gmail] \\noselect", "[Gmail]/All_Mail \\all", "[Gmail]/Spam \\junk", "[Gmail]/Bin \\trash")
    listed = folders("INBOX", *rows)
    assert all_of(listed) == ["INBOX", "[Gmail]/All Mail", "[Gmail]/Bin", "[Gmail]/Spam"]


def test_what_holds_no_mail_is_not_looked_at() -> None:
    assert all_of(folders("INBOX", "A \\noselect", "B \\nonexistent")) == ["INBOX"]


def test_folders_of_others_are_left_alone() -> None:
    listed = folders("INBOX", "Others", "Others/anna", "Others/anna/INBOX", "#shared/club", "Otherside")
    assert all_of(listed, foreign=("Others/", "#shared/")) == ["INBOX", "Otherside"]


def test_never_touch_holds_for_a_folder_and_all_below_it() -> None:
    listed = folders("INBOX", "Lawyer", "Lawyer/2026", "Lawyers")
    assert all_of(listed, never_touch=("Lawyer",)) == ["INBOX", "Lawyers"]
    assert all_of(folders("Inbox", "a"), never_touch=("INBOX",)) == ["a"]
    assert all_of(folders("a"), never_touch=("inbox",)) == ["a"]


def test_a_name_under_never_touch_that_is_no_folder_is_told_by_its_place_and_not_by_name() -> None:
    listed = folders("INBOX", "Lawyer", "a/b")
    (problem,) = unknown(listed, ("Lawyer", "Lawyr", "inbox", "a"))
    assert "number 2" in problem and "Lawyr" not in problem
    assert unknown(folders("a"), ("INBOX",)) == ()


def test_chosen_folders_are_looked_at_and_no_others() -> None:
    assert names(choose(folders("INBOX", "a", "b"), (), ("b", "inbox"), (), sweep_trash=False)) == ["INBOX", "b"]


def test_a_chosen_folder_that_is_missing_is_a_problem_of_its_own() -> None:
    choices = choose(folders("INBOX"), (), ("gone", "INBOX"), (), sweep_trash=False)
    assert choices == (Choice("INBOX"), Choice("gone", "there is no such folder here"))


def test_sent_is_not_looked_at_even_when_it_was_chosen() -> None:
    (choice,) = choose(folders("INBOX", "Sent \\sent"), (), ("Sent",), (), sweep_trash=False)
    assert choice.problem == "Sent and Drafts are never looked at"


def test_the_trash_is_swept_beside_chosen_folders_where_removing_goes_through_it() -> None:
    listed = folders("INBOX", "Papierkorb \\trash", "a")
    assert names(choose(listed, (), ("INBOX",), (), sweep_trash=True)) == ["INBOX", "Papierkorb"]
    assert names(choose(listed, (), ("INBOX", "Papierkorb"), (), sweep_trash=True)) == ["INBOX", "Papierkorb"]
    assert names(choose(listed, (), ("INBOX",), ("Papierkorb",), sweep_trash=True)) == ["INBOX"]


def test_the_trash_is_found_by_special_use_then_by_name_and_never_against_the_owners_word() -> None:
    assert trash(folders("Trash", "Korb \\trash"), (), ()) == "Korb"
    assert trash(folders("INBOX", "INBOX/Deleted_Items"), (), ()) == "INBOX/Deleted Items"
    assert trash(folders("INBOX", "a"), (), ()) is None
    assert trash(folders("Trash"), (), ("Trash",)) is None
    assert trash(folders("Others/Trash \\trash"), ("Others/",), ()) is None
