"""Networks that others published and that metrics are named after: sound in, embeddings and class scores out.

None ships with foley and none is a dependency: each reads the publisher's own weights file where there is one.
"""
