#!/usr/bin/env python3
"""Prints what the model makes of a prompt."""

import sys

from transformers import pipeline

print(pipeline("text-generation", model=".")(" ".join(sys.argv[1:]))[0]["generated_text"])
