"""Twilio's resources as its API spells them: snake case, counts as strings, dates by RFC 2822, relative URIs."""

from datetime import datetime
from email.utils import format_datetime, parsedate_to_datetime
from typing import Any

Resource = dict[str, Any]

API = "/2010-04-01/Accounts"
ISO = "%Y-%m-%dT%H:%M:%SZ"
HELP = "https://www.twilio.com/docs/errors"
DEMO_REPLY = "https://demo.twilio.com/welcome/sms/reply/"
"""What a newly bought number is set to: whoever texts it gets an answer."""


def stamp(when: datetime | None) -> str | None:
    """RFC 2822 in UTC, whole seconds."""
    return None if when is None else format_datetime(when)


def moment(text: str | None) -> datetime | None:
    """`stamp`, read back."""
    return None if text is None else parsedate_to_datetime(text)


def message(account: str, sid: str, when: datetime, **facts: Any) -> Resource:
    """A Message; `facts` are direction, sender, to, body, media (how many), status and sent."""
    uri = f"{API}/{account}/Messages/{sid}"
    return {
        "body": facts["body"],
        "num_segments": "1",
        "direction": facts["direction"],
        "from": facts["sender"],
        "to": facts["to"],
        "date_updated": stamp(when),
        "price": None,
        "error_message": None,
        "uri": f"{uri}.json",
        "account_sid": account,
        "num_media": str(facts["media"]),
        "status": facts["status"],
        "messaging_service_sid": None,
        "sid": sid,
        "date_sent": stamp(facts["sent"]),
        "date_created": stamp(when),
        "error_code": None,
        "price_unit": "USD",
        "api_version": "2010-04-01",
        "subresource_uris": {"media": f"{uri}/Media.json"},
    }


def medium(account: str, parent: str, sid: str, content_type: str, when: datetime) -> Resource:
    """A Media resource; its octets lie at the URI without `.json`."""
    return {
        "account_sid": account,
        "content_type": content_type,
        "date_created": stamp(when),
        "date_updated": stamp(when),
        "parent_sid": parent,
        "sid": sid,
        "uri": f"{API}/{account}/Messages/{parent}/Media/{sid}.json",
    }


def number(account: str, phone_number: str, when: datetime, **settings: Any) -> Resource:
    """An IncomingPhoneNumber as it is after buying it, but for `settings`."""
    sid = f"PN{int(phone_number.removeprefix('+')):032x}"
    return {
        "account_sid": account,
        "address_requirements": "none",
        "address_sid": None,
        "api_version": "2010-04-01",
        "beta": False,
        "bundle_sid": None,
        "capabilities": {"fax": False, "mms": True, "sms": True, "voice": True},
        "date_created": stamp(when),
        "date_updated": stamp(when),
        "emergency_address_sid": None,
        "emergency_address_status": "unregistered",
        "emergency_status": "Inactive",
        "friendly_name": phone_number,
        "identity_sid": None,
        "origin": "twilio",
        "phone_number": phone_number,
        "sid": sid,
        "sms_application_sid": "",
        "sms_fallback_method": "POST",
        "sms_fallback_url": "",
        "sms_method": "POST",
        "sms_url": DEMO_REPLY,
        "status": "in-use",
        "status_callback": "",
        "status_callback_method": "POST",
        "trunk_sid": None,
        "type": "local",
        "uri": f"{API}/{account}/IncomingPhoneNumbers/{sid}.json",
        "voice_application_sid": "",
        "voice_caller_id_lookup": False,
        "voice_fallback_method": "POST",
        "voice_fallback_url": "",
        "voice_method": "POST",
        "voice_receive_mode": "voice",
        "voice_url": "https://demo.twilio.com/welcome/voice/",
        **settings,
    }


def error(status: int, code: int, text: str) -> Resource:
    """What Twilio answers instead."""
    return {"code": code, "message": text, "more_info": f"{HELP}/{code}", "status": status}


def page(
    uri: str | None, key: str, items: list[Resource], at: int, size: int, more: str | None, first: str | None
) -> Resource:
    """One page of a list; `more` is the relative URI of the next one."""
    return {
        "first_page_uri": first,
        "end": size * at + max(len(items) - 1, 0),
        "previous_page_uri": first if at else None,
        key: items,
        "uri": uri,
        "page_size": size,
        "start": size * at,
        "next_page_uri": more,
        "page": at,
    }


def service(account: str, number: int, when: datetime, **settings: Any) -> Resource:
    """A Messaging Service as it is after making it, but for `settings`."""
    sid = f"MG{number:032x}"
    url = f"https://messaging.twilio.com/v1/Services/{sid}"
    return {
        "account_sid": account,
        "sid": sid,
        "date_created": when.strftime(ISO),
        "date_updated": when.strftime(ISO),
        "friendly_name": "service",
        "inbound_request_url": None,
        "inbound_method": "POST",
        "fallback_url": None,
        "fallback_method": "POST",
        "status_callback": None,
        "sticky_sender": True,
        "smart_encoding": True,
        "mms_converter": True,
        "fallback_to_long_code": True,
        "scan_message_content": "inherit",
        "area_code_geomatch": True,
        "validity_period": 14400,
        "synchronous_validation": False,
        "url": url,
        "links": {"phone_numbers": f"{url}/PhoneNumbers"},
        "usecase": "undeclared",
        "us_app_to_person_registered": False,
        "use_inbound_webhook_on_number": False,
        **settings,
    }


def member(account: str, service_sid: str, phone_number: str, when: datetime) -> Resource:
    """A number in a Messaging Service."""
    sid = number(account, phone_number, when)["sid"]
    return {
        "sid": sid,
        "account_sid": account,
        "service_sid": service_sid,
        "date_created": when.strftime(ISO),
        "date_updated": when.strftime(ISO),
        "phone_number": phone_number,
        "country_code": "US",
        "capabilities": ["MMS", "SMS"],
        "url": f"https://messaging.twilio.com/v1/Services/{service_sid}/PhoneNumbers/{sid}",
    }


def service_page(base: str, key: str, items: list[Resource]) -> Resource:
    """The one page of a list of the messaging API, whose URLs are absolute."""
    url = f"{base}/v1/Services?PageSize=50&Page=0"
    meta = {
        "page": 0,
        "page_size": 50,
        "first_page_url": url,
        "previous_page_url": None,
        "url": url,
        "next_page_url": None,
        "key": key,
    }
    return {"meta": meta, key: items}
