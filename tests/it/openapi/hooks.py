"""What schemathesis takes from answers is not to end its own token: where it names itself, it names nobody."""

import os

import schemathesis

ITSELF = os.environ["ITSELF"].split(",")


@schemathesis.hook
def before_call(context, case, kwargs):
    if case.path_parameters.get("admin") in ITSELF:
        case.path_parameters["admin"] = "nobody"
