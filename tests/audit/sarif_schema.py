"""The part of SARIF 2.1.0 that is written here, as a JSON Schema by hand from the standard's chapters 3.13 to 3.52.

Nothing else may be in it: a property that the standard does not know makes a code host refuse the file.
"""

from typing import Any

_TEXT = {"type": "string", "minLength": 1}
_MESSAGE = {"type": "object", "required": ["text"], "additionalProperties": False, "properties": {"text": _TEXT}}
_PROPERTIES = {
    "type": "object",
    "properties": {"tags": {"type": "array", "uniqueItems": True, "items": {"type": "string"}}},
}
_LEVEL = {"enum": ["none", "note", "warning", "error"]}


def _object(required: list[str], **properties: Any) -> dict[str, Any]:
    return {"type": "object", "required": required, "additionalProperties": False, "properties": properties}


_RULE = _object(
    ["id"],
    id=_TEXT,
    name={"type": "string", "pattern": "^[A-Z][A-Za-z0-9]*$"},
    shortDescription=_MESSAGE,
    fullDescription=_MESSAGE,
    help=_MESSAGE,
    defaultConfiguration=_object([], level=_LEVEL),
    properties=_PROPERTIES,
)
_LOCATION = _object(
    [],
    physicalLocation=_object(
        ["artifactLocation"],
        artifactLocation=_object(
            ["uri"],
            uri={"type": "string", "format": "uri-reference", "pattern": r"^[A-Za-z0-9%._~-][A-Za-z0-9%._~/-]*$"},
            uriBaseId={"const": "%SRCROOT%"},
        ),
        region=_object(["startLine"], startLine={"type": "integer", "minimum": 1}),
    ),
)
_SUPPRESSION = _object(
    ["kind"],
    kind={"enum": ["inSource", "external"]},
    status={"enum": ["accepted", "underReview", "rejected"]},
    justification=_TEXT,
)
_RESULT: dict[str, Any] = {
    **_object(
        ["message", "ruleId", "partialFingerprints"],
        ruleId=_TEXT,
        ruleIndex={"type": "integer", "minimum": 0},
        kind={"enum": ["notApplicable", "pass", "fail", "review", "open", "informational"]},
        level=_LEVEL,
        message=_MESSAGE,
        locations={"type": "array", "items": _LOCATION},
        partialFingerprints={"type": "object", "additionalProperties": {"type": "string"}, "minProperties": 1},
        suppressions={"type": "array", "uniqueItems": True, "items": _SUPPRESSION},
        baselineState={"enum": ["new", "unchanged", "updated", "absent"]},
        properties=_PROPERTIES,
    ),
    # 3.27.10: a level other than none goes with kind fail only.
    "if": {"required": ["kind"], "properties": {"kind": {"not": {"const": "fail"}}}},
    "then": {"required": ["level"], "properties": {"level": {"const": "none"}}},
}
SARIF = _object(
    ["version", "runs"],
    **{"$schema": {"type": "string", "format": "uri"}},
    version={"const": "2.1.0"},
    runs={
        "type": "array",
        "minItems": 1,
        "items": _object(
            ["tool"],
            tool=_object(
                ["driver"],
                driver=_object(
                    ["name"],
                    name=_TEXT,
                    semanticVersion=_TEXT,
                    rules={"type": "array", "uniqueItems": True, "items": _RULE},
                ),
            ),
            columnKind={"enum": ["utf16CodeUnits", "unicodeCodePoints"]},
            results={"type": "array", "items": _RESULT},
            properties=_PROPERTIES,
        ),
    },
)
