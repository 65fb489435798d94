"""Which folders are looked at: what the server says of them, never who made the server.

All but Sent and Drafts, by SPECIAL-USE (RFC 6154), else by their usual names; other people's are
left alone. What is deleted or junk is looked at like everything else: it is evidence, too.
"""

import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

_USUAL = {
    "\\sent": """
        sent|sent items|sent messages|sent mail|sent-mail
        |gesendet|gesendete objekte|gesendete elemente|gesendete nachrichten|gesendete mails
        |gesendete e-mails|envoyés|envoyes|messages envoyés|éléments envoyés|courrier envoyé
        |enviados|elementos enviados|mensajes enviados|correo enviado
        |itens enviados|mensagens enviadas|e-mails enviados|e-mail enviado
        |inviata|inviati|posta inviata|elementi inviati|messaggi inviati
        |verzonden|verzonden items|verzonden berichten|verzonden objecten
        |wysłane|elementy wysłane|skickat|skickade|skickade objekt|sendt|sendt post|sendte elementer
        |lähetetyt|lähetetyt viestit|odeslané|odeslaná pošta|odoslané|odoslaná pošta
        |elküldött|elküldött elemek|elküldött üzenetek|trimise|elemente trimise|poslano|poslane poruke
        |gönderilmiş|gönderilmiş öğeler|gönderilenler|gönderilmiş postalar|απεσταλμένα|σταλμένα
        |отправленные|отправленные элементы|надіслані|відправлені|изпратени|послате|poslato|poslana pošta
        |enviats|elements enviats|bidalitakoak|sendur póstur|išsiųsti|išsiųsti laiškai|nosūtītie|nosūtītās vienības
        |saadetud|saadetud kirjad|đã gửi|thư đã gửi|mục đã gửi|terkirim|pesan terkirim|item terkirim
        |ส่งแล้ว|จดหมายที่ส่ง|รายการที่ถูกส่ง|भेजे गए|भेजा गया
        |المرسلة|المرسل|البريد المرسل|الرسائل المرسلة|العناصر المرسلة|ارسال‌شده|فرستاده شده
        |נשלח|נשלחו|דואר שנשלח|פריטים שנשלחו
        |送信済み|送信済みメール|送信済みアイテム|送信済みトレイ|送信箱|已发送|已发送邮件|已发邮件|已傳送|寄件備份|已寄出
        |보낸편지함|보낸 편지함|보낸메일함|보낸 메일함""",
    "\\drafts": """
        drafts|draft|entwürfe|entwurf|brouillons|brouillon|borradores|borrador|rascunhos|rascunho|bozze
        |concepten|kopie robocze|wersje robocze|szkice|utkast|kladder|kladde|luonnokset|koncepty|rozepsané
        |rozpracované|rozpísané|piszkozatok|ciorne|osnutki|skice|nacrti|нацрти|taslaklar|πρόχειρα|черновики|чернетки|чернови
        |esborranys|zirriborroak|drög|juodraščiai|melnraksti|mustandid|thư nháp|bản nháp|nháp|draf|konsep
        |ร่าง|จดหมายร่าง|แบบร่าง|ड्राफ़्ट|المسودات|مسودات|پیش‌نویس‌ها|טיוטות
        |下書き|ドラフト|草稿|草稿箱|草稿夹|草稿匣|임시보관함|임시 보관함""",
    "\\trash": """
        trash|deleted items|deleted messages|deleted|bin|rubbish|papierkorb|gelöschte elemente|gelöschte objekte
        |corbeille|éléments supprimés|papelera|elementos eliminados|lixeira|lixo|itens excluídos|itens eliminados
        |cestino|posta eliminata|elementi eliminati|prullenbak|prullenmand|verwijderde items|kosz|elementy usunięte
        |papperskorg|papperskorgen|borttagna objekt|papirkurv|slettet post|slettede elementer|roskakori|poistetut
        |koš|odstraněná pošta|kôš|lomtár|törölt elemek|coș de gunoi|elemente șterse|smeće|koš za smeti
        |çöp kutusu|çöp|silinmiş öğeler|κάδος|κάδος απορριμμάτων|корзина|удаленные|кошик|видалені|кошче
        |paperera|ruslafata|šiukšlinė|šiukšliadėžė|miskaste|atkritne|prügikast|thùng rác|sampah|tempat sampah
        |ถังขยะ|ट्रैश|المهملات|سلة المهملات|العناصر المحذوفة|זבל|אשפה|פריטים שנמחקו
        |ゴミ箱|ごみ箱|削除済みアイテム|已删除邮件|已删除|垃圾桶|휴지통|지운편지함""",
}


@dataclass(frozen=True, slots=True)
class Folder:
    """One folder, as the server lists it."""

    name: str
    """Decoded."""
    attributes: frozenset[str]
    """In lower case: servers differ."""
    delimiter: str
    """Between a folder and those below it; "" where there are no levels."""
    above: str = ""
    """What the names of the owner's own folders begin with (RFC 2342)."""


@dataclass(frozen=True, slots=True)
class Choice:
    """A folder to look at, or why it cannot be."""

    folder: str
    problem: str = ""


def choose(
    listed: Sequence[Folder],
    foreign: Iterable[str],
    wanted: Sequence[str] | None,
    never_touch: Iterable[str],
    *,
    sweep_trash: bool,
) -> tuple[Choice, ...]:
    """The folders to look at, INBOX first.

    `foreign`: prefixes of other people's folders. `wanted`: the owner's list; None: all.
    `never_touch`: those and all below them. `sweep_trash`: the Trash too, whatever was wanted.
    """
    left = [f for f in listed if not _is_taboo(f, never_touch)]
    outgoing = with_role(listed, "\\sent") | with_role(listed, "\\drafts")
    open_to_us = [f.name for f in left if _holds_mail(f) and not _is_foreign(f, foreign) and f.name not in outgoing]
    if wanted is None:
        if not any(_same(name, "INBOX") for name in (*(f.name for f in listed), *never_touch)):
            # it always exists (RFC 9051, 5.1), listed or not
            open_to_us.append("INBOX")
        choices = [Choice(name) for name in open_to_us]
    else:
        choices = [_choice(name, open_to_us, outgoing) for name in wanted]
        swept = with_role(left, "\\trash") if sweep_trash else frozenset()
        choices += [Choice(name) for name in sorted(swept) if name not in {choice.folder for choice in choices}]
    return tuple(sorted(choices, key=lambda choice: (not _same(choice.folder, "INBOX"), choice.folder)))


def trash(listed: Sequence[Folder], foreign: Iterable[str], never_touch: Iterable[str]) -> str | None:
    """The owner's Trash, if there is one that may be used."""
    return next((f.name for f in _owned(listed, "\\trash", foreign, never_touch)), None)


def sent(listed: Sequence[Folder], foreign: Iterable[str], never_touch: Iterable[str]) -> tuple[str, ...]:
    """The folders in which the owner's own messages are kept, as far as they may be opened."""
    return tuple(f.name for f in _owned(listed, "\\sent", foreign, never_touch))


def with_role(listed: Sequence[Folder], role: str) -> frozenset[str]:
    """The folders of a SPECIAL-USE; where the server marks none, those with its usual names."""
    marked = frozenset(f.name for f in listed if role in f.attributes and _holds_mail(f))
    if marked:
        return marked - {"INBOX"}
    usual = {_folded(name) for name in _USUAL[role].split("|")}
    return frozenset(f.name for f in listed if _holds_mail(f) and _folded(_top(f)) in usual)


def unknown(listed: Sequence[Folder], never_touch: Iterable[str]) -> tuple[str, ...]:
    """What is wrong with names under `never_touch`, which may be misspelt: a sentence each, and no name in it."""
    return tuple(
        f"folder number {number} under `never_touch` is not there; is it spelled as the server shows it?"
        for number, name in enumerate(never_touch, 1)
        if not any(_is_taboo(folder, (name,)) for folder in listed) and not _same(name, "INBOX")
    )


def _owned(listed: Sequence[Folder], role: str, foreign: Iterable[str], never_touch: Iterable[str]) -> Iterator[Folder]:
    names, foreign, never_touch = with_role(listed, role), tuple(foreign), tuple(never_touch)
    for folder in listed:
        if folder.name in names and not _is_taboo(folder, never_touch) and not _is_foreign(folder, foreign):
            yield folder


def _choice(name: str, open_to_us: Sequence[str], outgoing: frozenset[str]) -> Choice:
    found = next((listed for listed in open_to_us if _same(listed, name)), None)
    if found is not None:
        return Choice(found)
    if _same(name, "INBOX"):
        return Choice("INBOX")
    return Choice(name, "Sent and Drafts are never looked at" if name in outgoing else "there is no such folder here")


def _holds_mail(folder: Folder) -> bool:
    return not folder.attributes & {"\\noselect", "\\nonexistent"}


def _is_foreign(folder: Folder, prefixes: Iterable[str]) -> bool:
    return any(folder.name.startswith(prefix) or folder.name + folder.delimiter == prefix for prefix in prefixes)


def _is_taboo(folder: Folder, never_touch: Iterable[str]) -> bool:
    return any(
        _same(folder.name, name) or (folder.delimiter and folder.name.startswith(name + folder.delimiter))
        for name in never_touch
    )


def _same(one: str, other: str) -> bool:
    """Names are compared as they are, but INBOX without case (RFC 9051, 5.1), and é is é."""
    if one.upper() == other.upper() == "INBOX":
        return True
    return unicodedata.normalize("NFC", one) == unicodedata.normalize("NFC", other)


def _top(folder: Folder) -> str:
    """The name below INBOX. (Courier, Cyrus), [Gmail]/ or the owner's own prefix; "" for one that lies deeper."""
    if not folder.delimiter:
        return folder.name
    *above, last = folder.name.removeprefix(folder.above).split(folder.delimiter)
    return last if all(_same(level, "INBOX") or level.startswith("[") for level in above) else ""


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", name.strip()).casefold()
