"""XML-RPC, as aria2 speaks it: a call out of a document, a document out of an answer. Pure."""

import re
from typing import Any
from xml.etree.ElementTree import Element
from xml.sax.saxutils import escape

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import ParseError, fromstring

from gateway.aria2rpc.envelope import Answer, Call
from gateway.aria2rpc.errors import RpcError

DEPTH_MAX = 20
"""Values within values: a multicall needs five."""
MARKS_MAX = 1_000_000
"""Elements and attributes as they begin: each takes some hundred bytes as it is read. 10,000 calls have fewer."""
ENCODINGS = ("utf-8", "utf-16", "us-ascii", "iso-8859-1", "windows-1252")
"""What a document may be written in."""
_DECLARED = re.compile(rb"""\s*<\?xml[^>]{0,100}?encoding\s*=\s*["']([A-Za-z0-9._-]{1,40})["']""")
_HEAD = '<?xml version="1.0"?><methodResponse>'
_NO_CHARACTER = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What no XML document may hold, however it is written."""
_WHOLE = frozenset({"int", "i1", "i2", "i4", "i8", "long"})


def read_xml_call(body: bytes) -> Call:
    """Raises RpcError for what is no call."""
    try:
        text = _decoded(body)
        if text.count("<") + text.count("=") > MARKS_MAX:
            raise RpcError(f"a call has {MARKS_MAX:,} elements at most")
        root = fromstring(text, forbid_dtd=True)
        name = (root.findtext("methodName") or "").strip()
        if root.tag != "methodCall" or not name:
            raise RpcError("not a methodCall of XML-RPC")
        values = [
            _value(found, 0) for param in root.iterfind("params/param") if (found := param.find("value")) is not None
        ]
    except (ParseError, DefusedXmlException, ValueError, LookupError, RecursionError) as error:
        raise RpcError(f"not XML-RPC: {error}") from error
    return Call(None, name, values)


def xml_answer(answer: Answer) -> bytes:
    """A result, or a fault."""
    if answer.error is None:
        told = f"<params><param>{_told(answer.result)}</param></params>"
    else:
        fault = {"faultCode": answer.error.code, "faultString": answer.error.message}
        told = f"<fault>{_told(fault)}</fault>"
    return f"{_HEAD}{told}</methodResponse>".encode()


def _decoded(body: bytes) -> str:
    """Raises ValueError. The parser is given text, so that nothing in it is written in a way of its own."""
    if body.startswith((b"\xff\xfe", b"\xfe\xff")):
        return body.decode("utf-16")
    declared = _DECLARED.match(body)
    encoding = declared[1].decode().lower() if declared else "utf-8"
    if encoding not in ENCODINGS:
        raise ValueError(f"its encoding is none of {', '.join(ENCODINGS)}")
    return body.decode("utf-8-sig" if encoding == "utf-8" else encoding)


def _value(element: Element, depth: int) -> Any:
    if depth > DEPTH_MAX:
        raise ValueError("values lie too deep in one another")
    if not len(element):
        return element.text or ""
    typed = element[0]
    kind = typed.tag.rpartition("}")[2]  # some say where an extension is from: ex:i8, ex:nil
    if kind in _WHOLE:
        return int(typed.text or "")
    match kind:
        case "boolean":
            return (typed.text or "").strip() == "1"
        case "double":
            return float(typed.text or "")
        case "nil":
            return None
        case "array":
            return [_value(one, depth + 1) for one in typed.iterfind("data/value")]
        case "struct":
            members = typed.findall("member")
            return {
                str(one.findtext("name")): _value(found, depth + 1)
                for one in members
                if (found := one.find("value")) is not None
            }
        case "base64":
            return "".join((typed.text or "").split())
        case _:
            return typed.text or ""


def _told(value: Any) -> str:
    match value:
        case dict():
            members = "".join(f"<member><name>{_text(name)}</name>{_told(one)}</member>" for name, one in value.items())
            return f"<value><struct>{members}</struct></value>"
        case list() | tuple():
            return f"<value><array><data>{''.join(map(_told, value))}</data></array></value>"
        case bool():
            return f"<value><boolean>{int(value)}</boolean></value>"
        case int():
            return f"<value><int>{value}</int></value>"
    return f"<value><string>{_text(value)}</string></value>"


def _text(value: object) -> str:
    """A carriage return would be read as a line feed; what XML has no way to say becomes a question mark in a box."""
    return escape(_NO_CHARACTER.sub("\ufffd", str(value)), {"\r": "&#13;"})
