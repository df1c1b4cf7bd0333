"""report.html: one self-contained page about a run, for people.

`evidence` reads a bounded sample of what the run wrote, `charts` draws, `render` puts the page together. Nothing on the
page is fetched from anywhere, and everything that came from a corpus, a model or a user is escaped.
"""
