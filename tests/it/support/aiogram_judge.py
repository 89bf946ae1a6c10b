"""Judges recorded Bot API calls by aiogram's typed models: every method known, every parameter known and of its type."""

import json
import sys

import aiogram.methods as methods
from pydantic import ValidationError

known = {name.lower(): getattr(methods, name) for name in methods.__all__}
problems = []
calls = json.load(open(sys.argv[1], encoding="utf-8"))
for number, call in enumerate(calls):
    model = known.get(call["method"].lower())
    if model is None:
        problems.append(f"call {number}: there is no method {call['method']}")
        continue
    params = dict(call["params"])
    # What was uploaded stands for itself: models take the name of an upload where they take a file.
    for part in call["files"]:
        if part in model.model_fields:
            params[part] = f"attach://{part}"
    unknown = set(params) - set(model.model_fields)
    if unknown:
        problems.append(f"call {number}: {call['method']} has no {sorted(unknown)}")
    try:
        model.model_validate(params)
    except ValidationError as error:
        problems.append(f"call {number}: {call['method']}: {error}")
print("\n".join(problems) or f"{len(calls)} calls are well-formed")
sys.exit(1 if problems else 0)
