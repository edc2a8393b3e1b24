"""One HTML page that contains a trained model and the JavaScript that runs it: see docs/play.md.

`flow/` has the layers, one per file, with the same names as in Python; `page/` has the user
interface.
"""
