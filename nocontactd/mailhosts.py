"""Mail providers whose DNS nobody who writes from there can watch.

A query for the key of a signature goes to the name servers of the domain that signed. Whoever runs
these sees from where it came, and when. Here only domains are listed that a provider signs with for
everybody, and of which it lets no customer run a part.
"""

_LISTED = """
    gmail.com googlemail.com
    outlook.com hotmail.com hotmail.co.uk hotmail.de hotmail.fr hotmail.it hotmail.es live.com msn.com
    yahoo.com yahoo.co.uk yahoo.de yahoo.fr yahoo.it yahoo.es yahoo.ca yahoo.com.br yahoo.co.in yahoo.in
    ymail.com rocketmail.com myyahoo.com aol.com aim.com
    icloud.com me.com mac.com
    gmx.de gmx.net gmx.at gmx.ch gmx.com web.de mail.com 1und1.de t-online.de magenta.de freenet.de
    posteo.de posteo.net mailbox.org
    proton.me protonmail.com protonmail.ch pm.me tuta.com tuta.io tutanota.com tutanota.de
    fastmail.com fastmail.fm hey.com zoho.com zohomail.com zohomail.eu
    orange.fr wanadoo.fr free.fr laposte.net sfr.fr bbox.fr libero.it virgilio.it tiscali.it alice.it tim.it
    bluewin.ch aon.at telenet.be skynet.be ziggo.nl kpnmail.nl home.nl telia.com seznam.cz wp.pl o2.pl onet.pl
    interia.pl
    comcast.net verizon.net att.net sbcglobal.net bellsouth.net cox.net charter.net spectrum.net earthlink.net
    shaw.ca rogers.com telus.net sympatico.ca
    btinternet.com sky.com virginmedia.com talktalk.net bigpond.com optusnet.com.au xtra.co.nz
    mail.ru list.ru bk.ru inbox.ru yandex.ru yandex.com rambler.ru ukr.net
    qq.com 163.com 126.com naver.com daum.net uol.com.br terra.com.br bol.com.br rediffmail.com
"""
_SHARED = frozenset(_LISTED.split())
_BELOW = ("gappssmtp.com", "onmicrosoft.com")
"""Of these every sub-domain, too: by them Google and Microsoft sign for customers without keys of their own."""


def unwatched(domain: str) -> bool:
    """Whether the name servers of a domain (lower case) are its provider's alone."""
    return domain in _SHARED or any(domain.endswith(f".{host}") for host in _BELOW)
