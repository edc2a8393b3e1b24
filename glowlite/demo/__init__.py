"""One page of HTML that holds a trained model, and the JavaScript that runs it: see docs/play.md.

`flow/` has the layers, one file each, under the names that they have in Python; `page/` what is
seen.
"""
