"""Keeps the calls of schemathesis from standing in each other's way. What is no valid value of its kind goes out as it is."""

import atexit
import collections
import itertools
import json
import pathlib
import re

import schemathesis

DURATION = re.compile(r"(0|(\d+d)?(\d+h)?(\d+m)?(\d+s)?(\d+ms)?)")
SHORT = "20ms"
KEY = "Idempotency-Key"
EXAMPLE_OF_IF_MATCH = '"17"'

numbers = itertools.count()
statuses = collections.Counter()


def is_wait(value):
    return isinstance(value, str) and value != "" and DURATION.fullmatch(value)


@schemathesis.hook
def before_call(context, case, kwargs):
    shorten_waits(case)
    # A call without a token stays one only as long as nobody touches its headers.
    if parameter_of(case) == "Authorization":
        return
    headers = case.headers
    # The one of the description would be another request's, each time but the first.
    if re.fullmatch(r"[!-~]{2,200}", headers.get(KEY) or ""):
        headers[KEY] = f"{headers[KEY]}-{next(numbers)}"
    # The state was at that revision once.
    if headers.get("If-Match") == EXAMPLE_OF_IF_MATCH and next(numbers) % 4 != 0:
        del headers["If-Match"]


def parameter_of(case):
    """The parameter that the call is about, where it is about one."""
    return getattr(getattr(case.meta.phase, "data", None), "parameter", None)


def shorten_waits(case):
    query = case.query
    if isinstance(query, dict):
        for name in ("timeout", "drain"):
            if is_wait(query.get(name)):
                query[name] = SHORT
        # Without a time it is half a minute.
        if "timeout" not in query and ("revision" in query or "wait" in query):
            query["timeout"] = SHORT
    body = case.body
    if isinstance(body, dict) and is_wait(body.get("wait")):
        body["wait"] = SHORT


@schemathesis.hook
def after_call(context, case, response):
    statuses[response.status_code] += 1


@atexit.register
def tell():
    # Whoever started the run looks whether it has reached anything.
    pathlib.Path("statuses.json").write_text(json.dumps(statuses))
